from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.adapters.http import ONCE, HttpClient
from functions.adapters.providers.answers import etag_of
from functions.adapters.providers.api import Api
from functions.core.errors import RateLimited, UpstreamError
from functions.core.ports import ResolvedRepo
from tests.fakes.web import Reply, Web

SHA = "5" * 40
DATE = "Wed, 21 Oct 2026 07:00:00 GMT"


class Monotonic:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
def api(web: Web, clock: Monotonic) -> Api:
    headers = {"Authorization": "Bearer secret"}
    return Api(HttpClient("GitHub", web.url, headers=headers, timeout_s=5, retry=ONCE), monotonic=clock)


def known(*, sha: str = SHA, etag: str = '"e1"') -> ResolvedRepo:
    return ResolvedRepo(
        provider="gh", spec="a/b/5555", repo_url="u", sha=sha, slug="a-b", resolved_spec="r", ref_url="p", etag=etag
    )


def commit(api: Api, before: ResolvedRepo | None = None) -> tuple[str, str] | None:
    return api.commit(
        "x", "5555", accept="text/plain", read=lambda answer: answer.body.decode(errors="replace"), known=before
    )


def sends(status: int, body: bytes = b"", **headers: str) -> Callable[[Reply], None]:
    """An answer with exactly these headers; names are written with `_` for `-`."""

    def answer(reply: Reply) -> None:
        reply.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), "Date": DATE, **headers}.items():
            reply.send_header(name.replace("_", "-"), value)
        reply.end_headers()
        reply.wfile.write(body)

    return answer


def test_an_answer_brings_its_etag(web: Web, api: Api) -> None:
    web.answer = sends(200, SHA.encode(), ETag='W/"e1"')
    assert commit(api) == (SHA, 'W/"e1"')
    assert "if-none-match" not in web.seen[0].headers


def test_an_etag_that_still_holds_brings_back_what_is_known(web: Web, api: Api) -> None:
    web.answer = sends(304)
    assert commit(api, known()) == (SHA, '"e1"')
    assert web.seen[0].headers["if-none-match"] == '"e1"'


def test_an_etag_that_holds_no_more_brings_the_new_answer(web: Web, api: Api) -> None:
    new = "5" * 39 + "6"
    web.answer = sends(200, new.encode(), ETag='"e2"')
    assert commit(api, known()) == (new, '"e2"')


def test_what_is_known_of_another_commit_is_not_built_on(web: Web, api: Api) -> None:
    web.answer = sends(200, SHA.encode())
    assert commit(api, known(sha="4" * 40)) == (SHA, "")
    assert "if-none-match" not in web.seen[0].headers


def test_unchanged_without_a_question_is_the_services_fault(web: Web, api: Api) -> None:
    web.answer = sends(304)
    with pytest.raises(UpstreamError):
        commit(api)


@pytest.mark.parametrize("etag", ["x" * 201, "\xfc"], ids=["too long", "not ascii"])
def test_an_etag_that_cannot_be_sent_back_is_none(web: Web, api: Api, etag: str) -> None:
    web.answer = sends(200, SHA.encode(), ETag=etag)
    answer = api.get("x")
    assert answer is not None and etag_of(answer) == ""


LIMITS = [
    pytest.param(403, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1792569600"}, 3600, id="quota used up"),
    pytest.param(429, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1792566060"}, 60, id="quota, 429"),
    pytest.param(403, {"Retry_After": "90"}, 90, id="secondary limit"),
    pytest.param(403, {"Retry_After": "90", "X_RateLimit_Remaining": "4000"}, 90, id="secondary limit, quota left"),
    pytest.param(429, {"Retry_After": "90"}, 90, id="secondary limit, 429"),
    pytest.param(429, {}, 60, id="untold"),
    pytest.param(403, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "soon"}, 60, id="nonsense"),
    pytest.param(403, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1792566000"}, 1, id="over by now"),
    pytest.param(503, {"Retry_After": "90"}, 90, id="maintenance"),
    pytest.param(429, {"Retry_After": "99999999"}, 3600, id="beyond reason"),
]


@pytest.mark.parametrize(("status", "headers", "seconds"), LIMITS)
def test_a_limit_says_how_long(web: Web, api: Api, status: int, headers: dict[str, str], seconds: float) -> None:
    web.answer = sends(status, b"", **headers)
    with pytest.raises(RateLimited) as caught:
        api.get("x")
    assert caught.value.retry_after_s == seconds


def test_a_secondary_limit_without_a_time_is_known_by_its_text(web: Web, api: Api) -> None:
    web.answer = sends(403, b'{"message": "You have exceeded a secondary rate limit."}')
    with pytest.raises(RateLimited) as caught:
        api.get("x")
    assert caught.value.retry_after_s == 60


@pytest.mark.parametrize(("status", "headers", "seconds"), LIMITS)
def test_while_a_limit_lasts_nothing_is_asked(
    web: Web, api: Api, clock: Monotonic, status: int, headers: dict[str, str], seconds: float
) -> None:
    web.answer = sends(status, b"", **headers)
    with pytest.raises(RateLimited):
        api.get("x")
    clock.now_s += seconds - 0.75
    with pytest.raises(RateLimited) as caught:
        api.get("y")
    assert (caught.value.retry_after_s, len(web.seen)) == (0.75, 1)


def test_after_a_limit_all_is_as_before(web: Web, api: Api, clock: Monotonic) -> None:
    web.answer = sends(429, Retry_After="90")
    with pytest.raises(RateLimited):
        api.get("x")
    clock.now_s += 90
    web.answer = sends(200)
    assert api.get("x") is not None


def test_a_refusal_is_no_limit(web: Web, api: Api) -> None:
    web.answer = sends(403, X_RateLimit_Remaining="17")
    for _ in range(2):
        with pytest.raises(UpstreamError, match="does not let us look this up") as caught:
            api.get("x")
        assert not isinstance(caught.value, RateLimited)
    assert (len(web.seen), api.quota_remaining) == (2, 17)


def test_the_quota_that_is_left_is_what_was_said_last(web: Web, api: Api) -> None:
    assert api.quota_remaining is None
    web.answer = sends(200, X_RateLimit_Remaining="59")
    api.get("x")
    web.answer = sends(404, X_RateLimit_Remaining="58")
    api.get("x")
    assert api.quota_remaining == 58
    web.answer = sends(200, X_RateLimit_Remaining="many")
    api.get("x")
    assert api.quota_remaining == 58


@pytest.mark.parametrize("status", [401, 403, 418, 500])
def test_no_error_tells_the_token(web: Web, api: Api, status: int) -> None:
    web.answer = sends(status, b"Bearer secret")
    with pytest.raises(UpstreamError) as caught:
        api.get("x?private_token=secret")
    assert "secret" not in str(caught.value) and "secret" not in repr(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"5" * 41, SHA.encode() + b"/../x", b"\xff" * 40])
def test_what_is_no_commit_is_the_services_fault(web: Web, api: Api, body: bytes) -> None:
    web.answer = sends(200, body)
    with pytest.raises(UpstreamError, match="not the id of a commit"):
        commit(api)
