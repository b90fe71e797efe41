from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core import gitrefs
from functions.core.gitrefs import (
    Capabilities,
    NotGit,
    Ref,
    choose,
    default_branch,
    ls_refs_request,
    parse_advertisement,
    parse_ls_refs,
    pkt_line,
    pkt_lines,
)

A, B, C = "a" * 40, "b" * 40, "c" * 40


def lines(*payloads: str) -> bytes:
    """Each payload as a line; an empty one is a flush."""
    return b"".join(pkt_line(payload.encode() + b"\n") if payload else b"0000" for payload in payloads)


@given(st.lists(st.binary(max_size=300).filter(lambda line: not line.endswith(b"\n"))))
def test_pkt_lines_come_back_as_they_went(payloads: list[bytes]) -> None:
    body = b"".join(pkt_line(payload + b"\n") for payload in payloads) + b"0000"
    assert list(pkt_lines(body)) == [*payloads, None]


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for parse in (parse_ls_refs, parse_advertisement):
        with contextlib.suppress(NotGit):
            parse(body)


def test_a_request_asks_for_what_the_ref_may_be_and_nothing_else() -> None:
    assert ls_refs_request("main") == (
        b"0014command=ls-refs\n00010009peel\n000csymrefs\n0014ref-prefix HEAD\n"
        b"001fref-prefix refs/heads/main\n001eref-prefix refs/tags/main\n0019ref-prefix refs/main\n0000"
    )


def test_a_request_to_a_sha256_repository_says_so() -> None:
    assert b"object-format=sha256\n" in ls_refs_request("HEAD", object_format="sha256")


def test_a_v2_answer_holds_peeled_tags_and_the_default_branch() -> None:
    refs = parse_ls_refs(
        lines(f"{A} HEAD symref-target:refs/heads/main", f"{A} refs/heads/main", f"{B} refs/tags/v1 peeled:{C}", "")
    )
    assert refs["refs/tags/v1"] == Ref("refs/tags/v1", B, peeled=C)
    assert (choose(refs, "v1"), choose(refs, "HEAD"), default_branch(refs)) == (C, A, "main")


def test_an_unborn_head_is_no_ref() -> None:
    assert parse_ls_refs(lines("unborn HEAD symref-target:refs/heads/main", "")) == {}


def test_a_v0_advertisement_is_understood() -> None:
    body = lines("# service=git-upload-pack", "") + lines(
        f"{A} HEAD\0multi_ack symref=HEAD:refs/heads/main agent=git/2", f"{A} refs/heads/main"
    )
    refs = parse_advertisement(body + lines(f"{B} refs/tags/v1", f"{C} refs/tags/v1^{{}}", ""))
    assert isinstance(refs, dict)
    assert (choose(refs, "v1"), choose(refs, "main"), default_branch(refs)) == (C, A, "main")


def test_only_refs_worth_keeping_are_kept() -> None:
    v2 = lines(f"{A} refs/heads/main", f"{B} refs/heads/other", "")
    v0 = lines(f"{A} refs/heads/main\0caps", f"{B} refs/tags/v1", f"{C} refs/tags/v1^{{}}", "")
    for refs in (parse_ls_refs(v2, keep={"refs/heads/main"}), parse_advertisement(v0, keep={"refs/heads/main"})):
        assert refs == {"refs/heads/main": Ref("refs/heads/main", A)}


def test_a_v1_advertisement_is_understood() -> None:
    body = lines("# service=git-upload-pack", "", "version 1", f"{A} refs/heads/main\0caps", f"shallow {B}", "")
    assert parse_advertisement(body) == {"refs/heads/main": Ref("refs/heads/main", A)}


@pytest.mark.parametrize("rest", [(f"{'0' * 40} capabilities^{{}}\0caps", ""), ("",)], ids=["capabilities", "nothing"])
def test_an_empty_repository_has_no_refs(rest: tuple[str, ...]) -> None:
    assert parse_advertisement(lines("# service=git-upload-pack", "", *rest)) == {}


def test_a_v2_advertisement_tells_what_the_server_can() -> None:
    body = lines("# service=git-upload-pack", "", "version 2", "ls-refs=unborn", "object-format=sha256", "")
    assert parse_advertisement(body) == Capabilities("sha256")


REFS = {
    name: Ref(name, sha)
    for name, sha in {
        "refs/heads/a/main": A,
        "refs/heads/both": A,
        "refs/tags/both": B,
        "refs/tags/only": B,
        "refs/pull/1/head": C,
    }.items()
}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("main", None),
        ("a/main", A),
        ("both", A),
        ("tags/both", B),
        ("heads/both", A),
        ("refs/tags/both", B),
        ("only", B),
        ("pull/1/head", C),
        ("HEAD", None),
        ("onl", None),
        ("Both", None),
    ],
)
def test_a_ref_is_chosen_by_its_exact_name(wanted: str, expected: str | None) -> None:
    assert choose(REFS, wanted) == expected


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html>",
    "no digits": b"zzzz",
    "a sign": b"+00a12345",
    "an underscore": b"0_0a12345",
    "length three": b"0003",
    "cut length": b"00",
    "cut line": b"0032" + A.encode(),
    "no end": lines(f"{A} HEAD"),
    "no sha": lines("HEAD", ""),
    "short sha": lines("abc HEAD", ""),
    "sha with a tail": lines(f"{A}/../x HEAD", ""),
    "no name": lines(A, ""),
    "no end after the first line": lines("# service=git-upload-pack", f"{A} HEAD", ""),
    "an error": lines("ERR access denied", ""),
    "too long a line": b"fff5" + b"a" * 0xFFF1,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("parse", [parse_ls_refs, parse_advertisement])
def test_broken_answers_are_refused(parse: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(NotGit):
        parse(body)


def test_a_false_peeled_sha_is_refused() -> None:
    with pytest.raises(NotGit):
        parse_ls_refs(lines(f"{A} refs/tags/v1 peeled:../x", ""))


@pytest.mark.parametrize("capability", ["fetch", "object-format=sha1", "ls-refs\0", "ls-refs object-format"])
def test_a_server_that_cannot_list_refs_is_refused(capability: str) -> None:
    with pytest.raises(NotGit, match="cannot list"):
        parse_advertisement(lines("version 2", capability, ""))


def test_an_unknown_object_format_is_refused() -> None:
    with pytest.raises(NotGit, match="a way we do not know"):
        parse_advertisement(lines("version 2", "ls-refs", f"object-format={'x' * 60_000}", ""))


def test_too_many_refs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitrefs, "MAX_REFS", 10)
    with pytest.raises(NotGit, match="more than 10"):
        parse_ls_refs(lines(*(f"{A} refs/heads/{number}" for number in range(11)), ""))


def test_a_line_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="too long"):
        pkt_line(b"a" * 65520)
