"""What the router does to heads of requests and answers."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from emulator.run.headers import BadHead, check, for_client, for_instance, origin_form


def head(*fields: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(fields))


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/a//..%2F?", "/a//..%2F?"),
        ("//evil.example/x", "//evil.example/x"),
        ("http://host/a/b?c", "/a/b?c"),
        ("HTTPS://host:1/", "/"),
        ("http://host", "/"),
        ("http://host?q=/x", "/?q=/x"),
    ],
)
def test_a_target_is_kept_but_for_its_host(target: str, seen: str) -> None:
    assert origin_form(target) == seen


@pytest.mark.parametrize("target", ["*", "evil", "", "ftp://x/", "host:443", "/\udcff"])
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(BadHead) as caught:
        origin_form(target)
    assert caught.value.status == 400


def test_no_header_can_be_dropped_by_calling_it_one_of_the_connection() -> None:
    received = head(("Connection", "close, Authorization, X-A"), ("Authorization", "t"), ("X-A", "1"), ("Host", "h"))
    seen = for_instance(received, client="::1", scheme="http")
    assert seen["Authorization"] == "t"
    assert "X-A" not in seen and "Connection" not in seen


def test_repeated_claims_of_the_client_become_one_list() -> None:
    received = head(("X-Forwarded-For", "a"), ("X-Forwarded-For", "b"), ("Host", "h"), ("Forwarded", "for=a"))
    seen = for_instance(received, client="1.2.3.4", scheme="http")
    assert seen.getall("X-Forwarded-For") == ["a, b, 1.2.3.4"]
    assert "Forwarded" not in seen


def test_a_request_without_host_gets_one() -> None:
    seen = for_instance(head(), client="1.2.3.4", scheme="http")
    assert seen["Host"] == seen["X-Forwarded-Host"] == "localhost"


def test_repeated_headers_of_an_answer_stay_repeated() -> None:
    answer = for_client(head(("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Transfer-Encoding", "chunked")))
    assert list(answer.items()) == [("Set-Cookie", "a"), ("Set-Cookie", "b")]


def test_an_answer_with_bytes_that_are_no_text_is_none() -> None:
    with pytest.raises(ValueError, match="X-A"):
        for_client(head(("X-A", "caf\udce9")))


@pytest.mark.parametrize("fields", [[(b"a", b"b")] * 91, [(b"a", b"b" * 8000)] * 9])
def test_too_much_head_is_refused(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadHead) as caught:
        check(fields)
    assert caught.value.status == 431
