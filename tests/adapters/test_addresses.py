from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import urllib3

from functions.adapters.addresses import PublicPool, TrustedPool, is_public
from functions.adapters.http import ONCE, HttpClient
from functions.core.errors import NotAllowed, UpstreamError, UpstreamTimeout
from tests.fakes.certificates import tls_for
from tests.fakes.web import Reply, web_server


class Names:
    """A name server that knows some names, and counts."""

    def __init__(self, **known: str) -> None:
        self.known = {name.replace("_", "."): addresses.split() for name, addresses in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host not in self.known:
            raise OSError("unknown")
        return [(2, 1, 6, "", (address, port)) for address in self.known[host]]


NOT_PUBLIC = {
    "loopback": "127.0.0.1",
    "all of loopback": "127.8.9.10",
    "private A": "10.0.0.1",
    "private B": "172.16.5.4",
    "private C": "192.168.1.1",
    "metadata": "169.254.169.254",
    "shared": "100.64.0.1",
    "this network": "0.0.0.0",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "documentation": "192.0.2.1",
    "benchmarks": "198.18.0.1",
    "protocol assignments": "192.0.0.9",
    "v6 loopback": "::1",
    "v6 unspecified": "::",
    "v6 link-local": "fe80::1",
    "v6 link-local with a zone": "fe80::1%eth0",
    "v6 unique local": "fd00::1",
    "v6 metadata": "fd20:ce::254",
    "v6 multicast": "ff02::1",
    "v6 documentation": "2001:db8::1",
    "v4 mapped": "::ffff:127.0.0.1",
    "v4 mapped, public": "::ffff:8.8.8.8",
    "v4 compatible": "::7f00:1",
    "NAT64": "64:ff9b::7f00:1",
    "local NAT64": "64:ff9b:1::a00:1",
    "6to4": "2002:7f00:1::",
    "Teredo": "2001:0:7f00:1::",
    "nonsense": "one.two",
}


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_an_address_of_the_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "140.82.121.3", "2606:50c0:8000::153"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


TRICKS = {
    "address": "http://127.0.0.1/",
    "metadata address": "http://169.254.169.254/computeMetadata/v1/",
    "metadata name": "http://metadata.google.internal/",
    "metadata name with a dot": "http://metadata.google.internal./",
    "capital letters": "http://METADATA.GOOGLE.INTERNAL/",
    "localhost": "http://localhost/",
    "under localhost": "http://a.localhost/",
    "kubernetes name": "http://kubernetes.default.svc.cluster.local/",
    "decimal": "http://2130706433/",
    "octal": "http://0177.0.0.1/",
    "hex": "http://0x7f000001/",
    "hex part": "http://0x7f.1/",
    "short": "http://127.1/",
    "decimal of a public address": "http://134744072/",
    "v6": "http://[::1]/",
    "mapped": "http://[::ffff:169.254.169.254]/",
    "zone": "http://[fe80::1%25eth0]/",
    "percent": "http://127.0.0%2e1/",
    "user name": "http://user:secret@8.8.8.8/",
    "other scheme": "gopher://8.8.8.8/",
    "no host": "http:///etc/passwd",
    "full-width digits": "http://①②⑦.0.0.1/",
}


@pytest.mark.parametrize("url", TRICKS.values(), ids=TRICKS.keys())
def test_a_trick_is_refused_before_the_name_server_is_asked(url: str) -> None:
    names = Names()
    with pytest.raises((NotAllowed, UpstreamError)) as caught:
        PublicPool(resolve=names).check(url)
    assert names.asked == []
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("addresses", ["10.0.0.1", "8.8.8.8 10.0.0.1", "fd20:ce::254", "::ffff:10.0.0.1"])
def test_a_public_name_with_a_private_address_is_refused(addresses: str) -> None:
    with pytest.raises(NotAllowed, match=r"git\.example"):
        PublicPool(resolve=Names(git_example=addresses)).check("https://git.example/repo")


def test_a_public_host_is_fine() -> None:
    PublicPool(resolve=Names(git_example="8.8.8.8")).check("https://git.example/repo")


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UpstreamError, match=r"nowhere\.example is not the name of a host"):
        PublicPool(resolve=Names()).check("https://nowhere.example/repo")


def test_private_addresses_can_be_permitted() -> None:
    with web_server() as web:
        client = HttpClient("The host", web.url, pool=PublicPool(allow_private=True))
        assert client.request("GET", "/x").status == 200
        assert web.seen[0].headers["host"] == f"127.0.0.1:{web.port}"


def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    names = Names(git_example="127.0.0.1")
    with web_server() as web:
        pool = PublicPool(allow_private=True, resolve=names)
        HttpClient("The host", pool=pool).request("GET", f"http://git.example:{web.port}/x?y=z")
        assert (web.seen[0].path, web.seen[0].headers["host"]) == ("/x?y=z", f"git.example:{web.port}")
    assert names.asked == ["git.example"]


def test_the_certificate_is_checked_for_the_name(tmp_path: Path) -> None:
    server, client = tls_for("git.example", tmp_path)
    pool = PublicPool(
        allow_private=True, ssl_context=client, resolve=Names(git_example="127.0.0.1", other_example="127.0.0.1")
    )
    with web_server(tls=server) as web:
        http = HttpClient("The host", pool=pool, retry=ONCE)
        assert http.request("GET", f"https://git.example:{web.port}/").status == 200
        for other in ("other.example", "127.0.0.1"):
            with pytest.raises(UpstreamError):
                http.request("GET", f"https://{other}:{web.port}/")
    assert len(web.seen) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    server, _ = tls_for("127.0.0.1", tmp_path)
    with web_server(tls=server) as web, pytest.raises(UpstreamError, match="certificate"):
        HttpClient("The host", web.url, pool=PublicPool(allow_private=True)).request("GET", "/")
    assert web.seen == []


def test_a_redirect_to_the_inside_is_refused() -> None:
    names = Names(git_example="127.0.0.1")

    class Lenient(PublicPool):
        """Takes loopback for public, where the test's server has to be."""

        def _address(self, host: str, port: int) -> str:
            return "127.0.0.1" if host == "git.example" else super()._address(host, port)

    with web_server() as web:
        web.answer = lambda reply: reply.send(302, headers={"Location": "http://169.254.169.254/token"})
        with pytest.raises(NotAllowed):
            HttpClient("The host", pool=Lenient(resolve=names)).request(
                "GET", f"http://git.example:{web.port}/", follow=3
            )
        assert len(web.seen) == 1


def test_tls_can_be_needed() -> None:
    names = Names(git_example="8.8.8.8")
    with pytest.raises(NotAllowed, match=r"git\.example would be reached without TLS"):
        HttpClient("The host", pool=PublicPool(allow_http=False, resolve=names)).request("GET", "http://git.example/")
    assert names.asked == []


def test_the_operators_service_may_be_inside_and_its_redirects_may_not() -> None:
    with web_server() as service, web_server() as inside:
        pool = TrustedPool(f"{service.url}/api", own=urllib3.PoolManager(), others=PublicPool())
        client = HttpClient("The service", service.url, pool=pool)
        service.answer = lambda reply: reply.send(*answers[reply.path])
        answers = {
            "/same": (302, b"", {"Location": "/there"}),
            "/there": (200, b"yes", {}),
            "/other": (302, b"", {"Location": inside.url}),
            "/name": (302, b"", {"Location": f"http://localhost:{service.port}/there"}),
        }
        assert client.request("GET", "/same", follow=1).body == b"yes"
        for path in ("/other", "/name"):
            with pytest.raises(NotAllowed):
                client.request("GET", path, follow=1)
        assert inside.seen == []


def drip_header(reply: Reply) -> None:
    reply.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(reply)


def drip_body(reply: Reply) -> None:
    reply.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    drip(reply)


def drip(reply: Reply) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        reply.wfile.write(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize("answer", [drip_header, drip_body])
def test_a_host_that_drips_is_left_at_the_deadline(answer: Any) -> None:
    began = time.monotonic()
    with web_server() as web:
        web.answer = answer
        pool = PublicPool(allow_private=True, deadline_s=0.3)
        with pytest.raises(UpstreamTimeout):
            HttpClient("The host", web.url, pool=pool, retry=ONCE).request("GET", "/")
    assert time.monotonic() - began < 10


def test_redirects_do_not_stretch_the_deadline() -> None:
    now = [0.0]

    def slowly(reply: Reply) -> None:
        now[0] += 4
        reply.send(307, headers={"Location": "/again"})

    with web_server() as web:
        web.answer = slowly
        pool = PublicPool(allow_private=True, deadline_s=10, clock=lambda: now[0])
        with pytest.raises(UpstreamTimeout, match="all we asked within 10 seconds"):
            HttpClient("The host", web.url, pool=pool.visit(), sleep=lambda seconds: None).request(
                "GET", "/", follow=30
            )
    assert len(web.seen) == 3
