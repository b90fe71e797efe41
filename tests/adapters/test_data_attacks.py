"""What strangers may try where they choose the host: a CKAN at any address, a DOI that leads anywhere."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.adapters.addresses import PublicPool
from functions.core.errors import BinderError, InvalidSpec, NotAllowed, UpstreamError, UpstreamTimeout
from functions.core.names import image_name
from functions.core.ports import ResolvedRepo
from tests.fakes.certificates import tls_for
from tests.fakes.data_web import OWN, DataWeb, data_web
from tests.fakes.web import Reply, web_server

DOI = "10.9999/EVIL"
QUERY = f"persistentId=doi:{DOI}"
API = {"ckan": "api/3/action/package_show?id=x", "dataverse": f"api/datasets/:persistentId?{QUERY}"}
PROVIDERS = list(API)


class Lenient(PublicPool):
    """Takes the hosts under `.example` for public, where the test's server has to be."""

    def _address(self, host: str, port: int) -> str:
        return "127.0.0.1" if host.endswith(".example") else super()._address(host, port)


def names(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
    """A name server of which some names are the attacker's."""
    known = {"inside.test": ["10.0.0.1"], "both.test": ["8.8.8.8", "127.0.0.1"], "mapped.test": ["::ffff:127.0.0.1"]}
    return [(2, 1, 6, "", (address, port)) for address in known.get(host, [])]


@pytest.fixture
def web() -> Iterator[DataWeb]:
    with data_web() as web:
        web.pool = Lenient(resolve=names)
        yield web


def launch(web: DataWeb, prefix: str, site: str, **options: Any) -> ResolvedRepo:
    """Launch what is at *site*, by its address or by a DOI that leads there."""
    web.register(DOI, f"{site}/dataset.xhtml?{QUERY}")
    spec = DOI if prefix == "dataverse" else quote(f"{site}/dataset/x", safe="")
    return web.provider(prefix, **options).resolve(spec)


def requests(web: DataWeb) -> list[str]:
    """What was asked of others than the operator's own services."""
    return [seen for seen in web.seen if not seen.split()[1].startswith(f"{OWN}/doi/")]


INSIDE = {
    "loopback": "http://127.0.0.1:~",
    "metadata": "http://169.254.169.254",
    "metadata name": "http://metadata.google.internal",
    "localhost": "http://localhost:~",
    "kubernetes": "https://kubernetes.default.svc.cluster.local",
    "decimal": "http://2130706433:~",
    "hexadecimal": "http://0x7f.1:~",
    "octal": "http://0177.0.0.1:~",
    "short": "http://127.1:~",
    "v6": "http://[::1]:~",
    "mapped": "http://[::ffff:127.0.0.1]:~",
    "name with a private address": "http://inside.test:~",
    "name with one private address": "http://both.test:~",
    "name with a mapped address": "http://mapped.test:~",
    "user name": "http://user:secret@evil.example:~",
    "user name that looks like a host": "http://evil.example@127.0.0.1:~",
    "backslash": "http://127.0.0.1:~\\@evil.example",
    "other scheme": "gopher://127.0.0.1:~",
    "file": "file://",
}


@pytest.mark.parametrize("prefix", PROVIDERS)
@pytest.mark.parametrize("site", INSIDE.values(), ids=INSIDE.keys())
def test_no_host_of_the_inside_is_asked(web: DataWeb, prefix: str, site: str) -> None:
    with pytest.raises((NotAllowed, InvalidSpec, UpstreamError)) as caught:
        launch(web, prefix, site.replace("~", str(web.port)))
    assert requests(web) == []
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prefix", PROVIDERS)
@pytest.mark.parametrize("site", INSIDE.values(), ids=INSIDE.keys())
def test_no_redirect_leads_to_a_host_of_the_inside(web: DataWeb, prefix: str, site: str) -> None:
    web.move(f"evil.example/{API[prefix]}", f"{site.replace('~', str(web.port))}/{API[prefix]}")
    with pytest.raises((NotAllowed, UpstreamError)) as caught:
        launch(web, prefix, web.url("evil.example"))
    assert requests(web) == [f"GET evil.example/{API[prefix]}"]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("site", INSIDE.values(), ids=INSIDE.keys())
def test_no_step_of_a_doi_leads_to_a_host_of_the_inside(web: DataWeb, site: str) -> None:
    web.register(DOI, "evil.example/there")
    web.move("evil.example/there", f"{site.replace('~', str(web.port))}/record")
    with pytest.raises((NotAllowed, UpstreamError)):
        web.provider("dataverse").resolve(DOI)
    assert requests(web) == ["HEAD evil.example/there"]


@pytest.mark.parametrize("prefix", ["figshare", "hydroshare"])
def test_a_redirect_of_a_service_of_the_operator_is_no_way_in(web: DataWeb, prefix: str) -> None:
    with web_server() as inside:
        path = {"figshare": "figshare/v2/articles/9/versions", "hydroshare": f"hydroshare/hsapi/resource/{'0' * 32}"}
        web.register("10.6084/m9.figshare.9", "figshare.example/9")
        web.move(f"{OWN}/{path[prefix]}{'/scimeta/elements' * (prefix == 'hydroshare')}", inside.url)
        with pytest.raises(NotAllowed):
            web.provider(prefix).resolve({"figshare": "10.6084/m9.figshare.9", "hydroshare": "0" * 32}[prefix])
        assert inside.seen == []


def test_a_doi_is_not_followed_without_tls(web: DataWeb) -> None:
    with pytest.raises(NotAllowed, match=r"evil\.example would be reached without TLS"):
        launch(web, "dataverse", web.url("evil.example"), pool=Lenient(resolve=names, allow_http=False))
    with pytest.raises(NotAllowed, match="Use https"):
        launch(web, "ckan", web.url("evil.example"), allow_http=False)
    assert requests(web) == []


def test_a_redirect_does_not_lead_out_of_tls(web: DataWeb, tmp_path: Path) -> None:
    server, client = tls_for("evil.example", tmp_path)
    with web_server(tls=server) as tls:
        tls.answer = lambda reply: reply.send(302, headers={"Location": web.url("evil.example/x")})
        with pytest.raises(UpstreamError, match="not https"):
            launch(web, "ckan", f"https://evil.example:{tls.port}", pool=Lenient(ssl_context=client))
        assert len(tls.seen) == 1
    assert requests(web) == []


@pytest.mark.parametrize("prefix", PROVIDERS)
def test_redirects_end(web: DataWeb, prefix: str) -> None:
    web.move(f"evil.example/{API[prefix]}", f"/{API[prefix]}")
    with pytest.raises(UpstreamError, match="answered 302"):
        launch(web, prefix, web.url("evil.example"))
    assert len(requests(web)) == 4


def test_the_steps_of_a_doi_end(web: DataWeb) -> None:
    web.register(DOI, "evil.example/there")
    web.move("evil.example/there", "/there")
    with pytest.raises(UpstreamError, match="redirects more often than we follow"):
        web.provider("dataverse").resolve(DOI)
    assert len(requests(web)) == 6


@pytest.mark.parametrize(
    "target", ["http://[", "http://[zz]/", "http://a b/", "http://a:99999/", "ftp://a.example/", "?\xff"]
)
def test_a_step_that_is_no_address_is_not_taken(web: DataWeb, target: str) -> None:
    web.put(f"{OWN}/doi/{DOI}", 302, Location=target)
    with pytest.raises(UpstreamError, match="redirects to an address"):
        web.provider("dataverse").resolve(DOI)


@pytest.mark.parametrize("prefix", PROVIDERS)
def test_an_answer_without_end_is_left(web: DataWeb, prefix: str) -> None:
    web.put(f"evil.example/{API[prefix]}", 200, b" " * (17 * 1024 * 1024))
    with pytest.raises(UpstreamError, match="sent more than"):
        launch(web, prefix, web.url("evil.example"))


@pytest.mark.parametrize("prefix", PROVIDERS)
def test_an_answer_that_drips_is_left_at_the_deadline(web: DataWeb, prefix: str) -> None:
    answer = web.web.answer

    def drip(reply: Reply) -> None:
        if "/api/" not in reply.path:
            return answer(reply)
        reply.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            reply.wfile.write(b" ")
            time.sleep(0.02)

    web.web.answer = drip
    with pytest.raises(UpstreamTimeout):
        launch(web, prefix, web.url("evil.example"), pool=Lenient(resolve=names, deadline_s=0.3))


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.integers(-1, 10**13) | JSON
LATEST = st.fixed_dictionaries({"versionNumber": NUMBERS, "versionMinorNumber": NUMBERS})
DATASET = st.fixed_dictionaries(
    {
        "id": NUMBERS,
        "authority": st.just("10.9999") | JSON,
        "identifier": st.just("EVIL") | JSON,
        "persistentUrl": JSON,
        "latestVersion": LATEST | JSON,
    }
)
SAID = {
    "dataverse": st.fixed_dictionaries({"status": st.just("OK"), "data": DATASET | JSON}) | JSON,
    "ckan": st.fixed_dictionaries(
        {"result": st.fixed_dictionaries({"metadata_modified": st.datetimes().map(str) | JSON}) | JSON}
    )
    | JSON,
}


@pytest.mark.parametrize("prefix", PROVIDERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_host_answers_names_can_be_used(web: DataWeb, prefix: str, data: st.DataObject) -> None:
    web.say(
        f"evil.example/{API[prefix]}", data.draw(SAID[prefix]), ETag=data.draw(st.sampled_from(['"a"', "a", '"é"']))
    )
    with contextlib.suppress(BinderError):
        found = launch(web, prefix, web.url("evil.example"))
        for text in (found.slug, found.sha, found.repo_url, found.ref_url, found.resolved_spec, found.etag):
            assert re.fullmatch(r"[!-~]*", text)
        tag = image_name("registry.example/", found.slug, found.sha).rpartition(":")[2]
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,127}", tag)
