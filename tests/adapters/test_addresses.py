from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.addresses import ChosenPool, PublicPool, is_public
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
    "metadata of another cloud": "100.100.100.200",
    "carrier-grade NAT": "100.64.0.1",
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
    "v6 metadata of another cloud": "fd00:ec2::254",
    "v6 multicast": "ff02::1",
    "v6 documentation": "2001:db8::1",
    "v4 mapped": "::ffff:127.0.0.1",
    "v4 mapped, public": "::ffff:8.8.8.8",
    "v4 compatible": "::7f00:1",
    "v4 compatible, dotted": "::127.0.0.1",
    "v4 translated": "::ffff:0:7f00:1",
    "NAT64": "64:ff9b::7f00:1",
    "NAT64 of the metadata": "64:ff9b::a9fe:a9fe",
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
    "metadata in capital letters of numbers": "http://0XA9FEA9FE/",
    "localhost": "http://localhost/",
    "localhost with a dot": "http://localhost./",
    "localhost in capital letters": "http://LOCALHOST/",
    "address with a dot": "http://127.0.0.1./",
    "address with two dots": "http://127.0.0.1../",
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
    "dots of other scripts": "http://127。0。0。1/",
    "full-width letters": "http://ｌｏｃａｌｈｏｓｔ/",
    "encoded full-width letters": "http://%EF%BD%8Cocalhost/",
    "two hosts": "http://8.8.8.8@127.0.0.1/",
    "fragment before a host": "http://127.0.0.1#@8.8.8.8/",
    "port of mail": "https://8.8.8.8:25/",
    "port of ssh": "https://8.8.8.8:22/",
    "port that is none": "https://8.8.8.8:65536/",
    "empty label": "http://.8.8.8.8/",
    "long octal": "http://00000177.0.0.1/",
    "decimal too large": "http://42949672962130706433/",
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


@pytest.mark.parametrize("port", ["", ":443", ":80", ":3000", ":8443", ":65535"])
def test_a_public_host_is_fine_at_ports_where_git_servers_are(port: str) -> None:
    PublicPool(resolve=Names(git_example="8.8.8.8")).check(f"https://git.example{port}/repo")


def test_there_is_one_opinion_on_where_a_host_ends() -> None:
    """What is looked at is what is connected to, whatever other programs make of a backslash."""
    names = Names(git_example="127.0.0.1")
    with web_server() as web:
        pool = PublicPool(allow_private=True, resolve=names)
        HttpClient("The host", pool=pool).request("GET", f"http://git.example:{web.port}\\@evil.example/")
    assert (names.asked, len(web.seen)) == (["git.example"], 1)


def test_a_name_of_another_script_is_looked_up_in_its_encoded_form() -> None:
    names = Names()
    with pytest.raises(UpstreamError):
        PublicPool(resolve=names).check("https://Bücher.example/repo")
    assert names.asked == ["xn--bcher-kva.example"]


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


def test_a_second_answer_of_the_name_server_changes_nothing() -> None:
    """DNS rebinding: the address that was looked at is the one that is connected to."""
    answers = ["127.0.0.1", "127.0.0.2", "10.0.0.1"]
    with web_server() as web:
        pool = PublicPool(allow_private=True, resolve=lambda host, port, **_: [(2, 1, 6, "", (answers.pop(0), port))])
        assert HttpClient("The host", pool=pool).request("GET", f"http://git.example:{web.port}/").status == 200
    assert answers == ["127.0.0.2", "10.0.0.1"]


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


class Lenient(PublicPool):
    """Takes loopback for public when it is called git.example, since the test's server has to be somewhere."""

    def _address(self, host: str, port: int) -> str:
        return "127.0.0.1" if host == "git.example" else super()._address(host, port)


WAYS_INSIDE = {
    "metadata": "http://169.254.169.254/token",
    "metadata name": "http://metadata.google.internal/token",
    "loopback": "http://127.0.0.1:{port}/",
    "decimal loopback": "http://2130706433:{port}/",
    "v4 mapped": "http://[::ffff:127.0.0.1]:{port}/",
    "name with a private address": "http://inside.example:{port}/",
    "no scheme": "//localhost:{port}/",
    "user name": "http://me:secret@git.example:{port}/",
    "other scheme": "gopher://git.example:{port}/",
    "file": "file:///etc/passwd",
    "port of mail": "http://git.example:25/",
    "full-width host": "http://①②⑦.0.0.1:{port}/",
}


@pytest.mark.parametrize("hop", [1, 2, 3])
@pytest.mark.parametrize("target", WAYS_INSIDE.values(), ids=WAYS_INSIDE.keys())
def test_a_redirect_to_the_inside_is_refused_at_each_hop(target: str, hop: int) -> None:
    pool = Lenient(resolve=Names(inside_example="10.0.0.1"))
    with web_server() as web:
        start = f"http://git.example:{web.port}/"

        def answer(reply: Reply) -> None:
            last = len(web.seen) == hop
            reply.send(302, headers={"Location": target.format(port=web.port) if last else start})

        web.answer = answer
        with pytest.raises((NotAllowed, UpstreamError)) as caught:
            HttpClient("The host", pool=pool, retry=ONCE).request("GET", start, follow=5)
        assert len(web.seen) == hop
    assert "secret" not in str(caught.value)


def test_a_chosen_server_may_be_inside() -> None:
    with web_server() as web:
        client = HttpClient("The server", web.url, pool=ChosenPool(web.url))
        web.answer = lambda reply: reply.send(*((302, b"", {"Location": "/b"}) if reply.path == "/a" else (200,)))
        assert client.request("GET", "/a", follow=1).status == 200


@pytest.mark.parametrize("target", WAYS_INSIDE.values(), ids=WAYS_INSIDE.keys())
def test_a_chosen_servers_redirects_are_no_way_to_others_inside(target: str) -> None:
    with web_server() as web, web_server() as other:
        elsewhere = Lenient(resolve=Names(inside_example="10.0.0.1"))
        web.answer = lambda reply: reply.send(302, headers={"Location": target.format(port=other.port)})
        with pytest.raises((NotAllowed, UpstreamError)):
            HttpClient("The server", web.url, pool=ChosenPool(web.url, elsewhere=elsewhere), retry=ONCE).request(
                "GET", "/", follow=3
            )
        assert other.seen == []


@pytest.mark.parametrize("secret", ["Authorization", "PRIVATE-TOKEN"])
def test_a_chosen_servers_redirects_to_the_internet_are_followed_without_the_token(secret: str) -> None:
    with web_server() as web, web_server() as other:
        web.answer = lambda reply: reply.send(302, headers={"Location": f"http://git.example:{other.port}/x"})
        pool = ChosenPool(web.url, elsewhere=Lenient())
        client = HttpClient("The server", web.url, headers={secret: "secret", "Accept": "a/b"}, pool=pool)
        assert client.request("GET", "/", follow=3).status == 200
    assert web.seen[0].headers[secret.lower()] == "secret"
    assert secret.lower() not in other.seen[0].headers and other.seen[0].headers["accept"] == "a/b"


def test_tls_can_be_needed() -> None:
    names = Names(git_example="8.8.8.8")
    with pytest.raises(NotAllowed, match=r"git\.example would be reached without TLS"):
        HttpClient("The host", pool=PublicPool(allow_http=False, resolve=names)).request("GET", "http://git.example/")
    assert names.asked == []


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
