"""What is told when there is nothing to tell: true statuses, in the form that whoever asked can read."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from functions.application import LARGEST_BODY_BYTES, make_application
from functions.core.specs import MAX_TARGET
from tests.fakes.world import Fakes, events

SSE = {"Accept": "text/event-stream"}
LAUNCH = "/build/gh/owner/plots/main"
TOO_LARGE = {"CONTENT_LENGTH": str(LARGEST_BODY_BYTES + 1)}


@pytest.fixture
def fakes() -> Fakes:
    made = Fakes()
    made.know("owner/plots/main", built=True)
    return made


@pytest.fixture
def client(fakes: Fakes) -> FlaskClient:
    return make_application(fakes.world()).test_client()


NOWHERE = [
    *("/nosuch", "/nosuch/path", "/v2", "/v2/gh", "/v2/nope/owner/plots/main", "/favicon_building.ico", "/repo/owner"),
    *("/assets/nosuch.js", "/assets/../pages.py", "/.git/config", "/versions/", "/api/nosuch"),
]
WRONG = [
    "/v2/gh/owner",
    "/v2/gh/owner/plots",
    "/v2/gh/owner/plots/%zz",
    "/v2/gh/owner/plots/%1b",
    "/v2/gh/a/b/%ff",
]


@pytest.mark.parametrize(("path", "status"), [*((path, 404) for path in NOWHERE), *((path, 400) for path in WRONG)])
def test_what_leads_nowhere_says_so_to_people_and_programs(client: FlaskClient, path: str, status: int) -> None:
    page = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    data = client.get(path, headers={"Accept": "application/json"})
    assert page.status_code == data.status_code == client.head(path).status_code == status
    assert data.get_json()["message"]
    if not path.startswith(("/api", "/versions")):
        assert f"<h1>{status}: " in page.get_data(as_text=True)


@pytest.mark.parametrize("path", ["/api/nosuch", "/versions/", "/health/x", "/metrics/x", "/_config/x"])
def test_programs_are_never_told_in_html(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers={"Accept": "text/html"}).mimetype == "application/json"


@pytest.mark.parametrize("path", ["/", "/about", "/v2/gh/owner/plots/main", "/versions", "/health", "/badge.svg"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "PROPFIND"])
def test_a_method_that_an_address_does_not_have_is_405(client: FlaskClient, path: str, method: str) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/", "/versions", "/v2/gh/owner/plots/main"])
def test_what_is_too_long_or_too_large_is_refused(client: FlaskClient, path: str) -> None:
    assert client.get(f"{path}?x={'y' * MAX_TARGET}").status_code == 414
    assert client.get(path, environ_overrides=TOO_LARGE).status_code == 413
    assert client.get(path, data=b"x" * 1000).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": f"{LAUNCH}?x={'y' * MAX_TARGET}"}, 414),
        ({"path": LAUNCH, "headers": SSE, "environ_overrides": TOO_LARGE}, 413),
        ({"path": LAUNCH, "headers": {**SSE, "Host": "a b"}}, 400),
        ({"path": LAUNCH, "method": "PROPFIND", "headers": SSE}, 405),
    ],
)
def test_a_stream_tells_every_refusal_itself(
    client: FlaskClient, fakes: Fakes, asked: dict[str, Any], status: int
) -> None:
    answer = client.open(**asked)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    [told] = events([answer.get_data(as_text=True)])
    assert (told["phase"], told["status_code"]) == ("failed", status)
    assert fakes.provider.asked == []


def broken() -> dict[str, Any]:
    raise RuntimeError("secret-of-ours")


@pytest.mark.parametrize(("path", "form"), [("/about", "text/plain"), ("/api/repoproviders", "application/json")])
def test_our_own_mistakes_show_no_insides(fakes: Fakes, path: str, form: str) -> None:
    world = fakes.world()
    fakes.provider.display_config = broken  # type: ignore[method-assign]
    answer = make_application(world).test_client().get(path)
    assert (answer.status_code, answer.mimetype) == (500, form)
    assert "secret-of-ours" not in answer.get_data(as_text=True)
    assert "Traceback" not in answer.get_data(as_text=True)


FORGED = [
    "a b",
    'x"><script>alert(1)</script>',
    "evil.example/path",
    "user@evil.example",
    "evil.example:x",
    "<>",
    "é.org",
]


@pytest.mark.parametrize("host", FORGED)
@pytest.mark.parametrize("path", ["/", "/v2/gh/owner/plots/main", "/versions"])
def test_a_host_that_is_none_is_refused_and_not_repeated(client: FlaskClient, path: str, host: str) -> None:
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert host not in answer.get_data(as_text=True)


def test_what_names_the_visitors_host_is_kept_by_no_cache_between(client: FlaskClient) -> None:
    for path in ("/", "/about", "/nosuch"):
        answer = client.get(path, headers={"Host": "evil.example"})
        assert "http://evil.example/" in answer.get_data(as_text=True)
        assert answer.cache_control.private
    assert client.get("/v2/gh/owner/plots/main").cache_control.no_store


def test_where_the_operator_has_said_it_no_host_header_counts() -> None:
    fakes = Fakes(settings={"web": {"badge_base_url": "https://binder.example.org"}})
    page = make_application(fakes.world()).test_client().get("/", headers={"Host": "evil.example"})
    assert "evil.example" not in page.get_data(as_text=True)


@pytest.mark.parametrize("header", ["X-Forwarded-Proto", "X-Forwarded-Host", "Origin", "Referer", "Forwarded"])
def test_other_headers_are_not_repeated(client: FlaskClient, header: str) -> None:
    for path in ("/", "/v2/gh/owner/plots/main", "/versions", "/nosuch", "/repo/owner/plots"):
        answer = client.get(path, headers={header: 'javascript:alert("hallmark")//'})
        assert "hallmark" not in answer.get_data(as_text=True) + str(answer.headers)


@pytest.mark.parametrize("end", ["%0d%0a", "%0a", "%0d", "%e2%80%a8", "%c2%85"])
def test_an_address_cannot_write_headers(client: FlaskClient, end: str) -> None:
    for path in (f"/repo/owner/x{end}Set-Cookie:%20x=y", f"/repo/owner/x/{end}Set-Cookie:%20x=y", f"/v2/gh/a/b{end}/c"):
        answer = client.get(path)
        assert "Set-Cookie" not in answer.headers
        assert answer.status_code in (302, 400, 404)
        assert answer.headers.get("Location", "").isascii()


def test_raw_bytes_on_the_wire_end_in_an_answer(fakes: Fakes) -> None:
    server = make_server("127.0.0.1", 0, make_application(fakes.world()))
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /v2/gh/\xff\xfe/<b>/%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read()
    thread.join()
    server.server_close()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"<b>/" not in answer
