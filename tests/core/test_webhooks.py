"""Deliveries of git hosts: from a known sender or refused, understood or ignored with a reason."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from functions.core.errors import BadRequest, BadSignature
from functions.core.settings import Secret, WebhookSettings
from functions.core.webhooks import (
    FORM,
    JSON,
    Ignored,
    Ping,
    Push,
    check_signature,
    check_token,
    read_body,
    read_github,
    read_gitlab,
    refusal,
    secrets_of,
)
from tests.fakes.deliveries import SHA, sample, signed

MAIN = Push(
    provider="gh",
    repository="owner/plots",
    ref="main",
    spec="owner/plots/main",
    head_spec="owner/plots/HEAD",
    sha=SHA,
)
DEEP = b"[" * 200_000


def test_githubs_documented_signature_is_accepted() -> None:
    # The example of "Validating webhook deliveries" in GitHub's documentation.
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    check_signature(b"Hello, World!", given, ["It's a Secret to Everybody"])


def test_an_old_and_a_new_secret_are_both_good() -> None:
    check_signature(b"{}", signed(b"{}", "two"), ["one", "two"])


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "sha256=",
        signed(b"other", "one"),
        signed(b"{}", "guess"),
        signed(b"{}", "")[7:],
        "sha1=abc",
        "sha256=é",
    ],
)
def test_any_other_signature_is_refused(given: str | None) -> None:
    with pytest.raises(BadSignature):
        check_signature(b"{}", given, ["one"])


def test_without_secrets_no_signature_is_accepted() -> None:
    with pytest.raises(BadSignature):
        check_signature(b"{}", signed(b"{}", ""), [])


@pytest.mark.parametrize("given", ["one", "two", "schlüssel".encode().decode("latin-1")])
def test_every_token_of_gitlab_is_good(given: str) -> None:
    check_token(given, ["one", "two", "schlüssel"])


@pytest.mark.parametrize("given", [None, "", "on", "one ", "ONE", "one,two", "💣"])
def test_any_other_token_is_refused(given: str | None) -> None:
    with pytest.raises(BadSignature):
        check_token(given, ["one", "two"])


def test_an_empty_token_is_no_token() -> None:
    with pytest.raises(BadSignature):
        check_token("", [""])


def test_secrets_are_separated_by_commas() -> None:
    assert secrets_of(Secret("old, new,,")) == ["old", "new"]


def test_both_content_types_of_github_are_read() -> None:
    text = json.dumps({"ref": "a&b grün"}, ensure_ascii=False)
    assert (
        read_body(text.encode(), JSON) == read_body(urlencode({"payload": text}).encode(), FORM) == {"ref": "a&b grün"}
    )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "text/plain"),
        (b"{}", ""),
        (b"", JSON),
        (b"{", JSON),
        (b"\xff\xfe", JSON),
        (DEEP, JSON),
        (b'{"a":' * 100_000, JSON),
        (b"1" * 10_000, JSON),
        (b"payload={}&payload={}", FORM),
        (b"a=1&" * 100, FORM),
        (b"other={}", FORM),
        (b"payload=%FF", FORM),
    ],
    ids=range(12),
)
def test_what_is_not_json_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(BadRequest):
        read_body(body, content_type)


@pytest.mark.parametrize(
    ("event", "name", "wanted"),
    [
        ("push", "github-push-branch", MAIN),
        (
            "push",
            "github-push-other-branch",
            Push(
                provider="gh",
                repository="owner/plots",
                ref="feature/colours",
                spec="owner/plots/feature/colours",
                sha=SHA,
            ),
        ),
        (
            "push",
            "github-push-annotated-tag",
            Push(provider="gh", repository="owner/plots", ref="v1", spec="owner/plots/v1"),
        ),
        (
            "create",
            "github-create-tag",
            Push(provider="gh", repository="owner/plots", ref="v1", spec="owner/plots/v1"),
        ),
        ("ping", "github-ping", Ping()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_github_tells_of(event: str, name: str, wanted: Push | Ping) -> None:
    assert read_github(event, sample(name)) == wanted


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("push", "github-push-deleted-branch"),
        ("create", "github-create-branch"),
        ("delete", "github-delete"),
        ("repository", "github-renamed"),
        ("", "github-push-branch"),
        ("PUSH", "github-push-branch"),
    ],
)
def test_what_github_tells_of_in_vain(event: str, name: str) -> None:
    assert isinstance(read_github(event, sample(name)), Ignored)


@pytest.mark.parametrize(
    ("event", "name", "ref", "sha", "head_spec"),
    [
        ("Push Hook", "gitlab-push-branch", "main", SHA, "group%2Fsub%2Fplots/HEAD"),
        ("Tag Push Hook", "gitlab-push-annotated-tag", "v1", "", ""),
        # What GitLab's button for a test of tags sends.
        ("Tag Push Hook", "gitlab-push-branch", "main", SHA, "group%2Fsub%2Fplots/HEAD"),
    ],
)
def test_what_gitlab_tells_of(event: str, name: str, ref: str, sha: str, head_spec: str) -> None:
    assert read_gitlab(event, sample(name)) == Push(
        provider="gl",
        repository="group/sub/plots",
        ref=ref,
        spec=f"group%2Fsub%2Fplots/{ref}",
        head_spec=head_spec,
        sha=sha,
    )


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("Push Hook", "gitlab-push-deleted-branch"),
        ("Tag Push Hook", "gitlab-push-deleted-tag"),
        ("Issue Hook", "gitlab-push-branch"),
        ("System Hook", "gitlab-push-branch"),
        ("", "gitlab-push-branch"),
    ],
)
def test_what_gitlab_tells_of_in_vain(event: str, name: str) -> None:
    assert isinstance(read_gitlab(event, sample(name)), Ignored)


@pytest.mark.parametrize(
    ("ref", "spec"),
    [
        ("fix/#12", "owner/plots/fix/%2312"),
        ("100%", "owner/plots/100%25"),
        ("a@b+c&d", "owner/plots/a@b+c&d"),
        ("HEAD", "owner/plots/HEAD"),
        ("grün", "owner/plots/gr%C3%BCn"),
        ("it's(1)!", "owner/plots/it's(1)!"),
    ],
)
def test_a_spec_is_written_as_the_form_writes_it(ref: str, spec: str) -> None:
    push = read_github("push", sample("github-push-branch", ref=f"refs/heads/{ref}"))
    assert isinstance(push, Push)
    assert push.spec == spec


@pytest.mark.parametrize(
    "ref",
    ["main", "refs/pull/1/head", "refs/heads/", "refs/heads/../x", "refs/heads/a b", "refs/heads/a\nb", "refs/heads/-x",
     f"refs/heads/{SHA}", "refs/heads/" + "x" * 3000, "refs/notes/commits", "refs/heads/a\u202eb"],
)  # fmt: skip
def test_a_ref_that_no_link_can_name_is_ignored(ref: str) -> None:
    assert isinstance(read_github("push", sample("github-push-branch", ref=ref)), Ignored)


STRANGE: list[Any] = [None, True, 1, 1.5, [], {}, ["main"], {"full_name": 1}, "\ud800"]


@pytest.mark.parametrize("value", STRANGE, ids=repr)
@pytest.mark.parametrize("field", ["ref", "after", "repository"])
def test_a_push_with_a_wrong_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(BadRequest):
        read_github("push", sample("github-push-branch", **{field: value}))


@pytest.mark.parametrize("value", STRANGE, ids=repr)
@pytest.mark.parametrize("field", ["ref", "after", "project"])
def test_a_push_of_gitlab_with_a_wrong_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(BadRequest):
        read_gitlab("Push Hook", sample("gitlab-push-branch", **{field: value}))


@pytest.mark.parametrize("payload", [*STRANGE, "ref"], ids=repr)
def test_a_payload_that_is_no_object_is_refused(payload: Any) -> None:
    for read, event in [(read_github, "push"), (read_github, "create"), (read_gitlab, "Push Hook")]:
        with pytest.raises(BadRequest):
            read(event, payload)


@pytest.mark.parametrize(
    "name",
    ["", "plots", "../../etc", "owner/..", "owner/a/b", "owner/plots%2F..", "owner/pl ots", "o@evil.org/x", "/x"],
)
def test_a_name_that_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        read_github("push", sample("github-push-branch", repository={"full_name": name}))


def test_a_default_branch_of_a_wrong_type_is_nobodys_branch() -> None:
    push = read_github(
        "push", sample("github-push-branch", repository={"full_name": "a/b", "default_branch": ["main"]})
    )
    assert isinstance(push, Push)
    assert push.head_spec == ""


@pytest.mark.parametrize(
    ("repositories", "refs", "refused"),
    [
        (["gh/owner/*"], ["*"], ""),
        (["gh/Owner/PLOTS"], ["MA*"], ""),
        (["gl/*", "gh/owner/plots"], ["v*", "main"], ""),
        ([], ["*"], "owner/plots is not among the repositories"),
        (["gl/owner/*"], ["*"], "owner/plots is not among the repositories"),
        (["gh/own/*"], ["*"], "owner/plots is not among the repositories"),
        (["owner/*"], ["*"], "owner/plots is not among the repositories"),
        (["gh/*"], ["release-*"], "main is not among the branches"),
        (["gh/*"], [], "main is not among the branches"),
    ],
)
def test_only_what_the_operator_allows_is_built(repositories: list[str], refs: list[str], refused: str) -> None:
    settings = WebhookSettings(repositories=tuple(repositories), refs=tuple(refs))
    found = refusal(MAIN, settings)
    assert (found.reason if found else "").startswith(refused) and bool(found) == bool(refused)


FORGE = "https://git.example.org/"


def of_a_forge(clone_url: object) -> Any:
    repository = {"full_name": "group/plots", "clone_url": clone_url, "default_branch": "main"}
    return sample("github-push-branch", repository=repository)


def test_a_repository_of_ones_own_forge_is_launched_by_its_address() -> None:
    pushed = read_github("push", of_a_forge(f"{FORGE}group/plots.git"), [FORGE])
    stem = "https%3A%2F%2Fgit.example.org%2Fgroup%2Fplots.git"
    assert pushed == Push(
        provider="git",
        repository=f"{FORGE}group/plots.git",
        ref="main",
        spec=f"{stem}/main",
        head_spec=f"{stem}/HEAD",
        sha=SHA,
    )
    assert refusal(pushed, WebhookSettings(repositories=(f"git/{FORGE}group/*",))) is None


def test_a_gitlab_of_ones_own_too() -> None:
    payload = sample("gitlab-push-branch")
    payload["project"]["git_http_url"] = f"{FORGE}group/plots.git"
    pushed = read_gitlab("Push Hook", payload, [FORGE])
    assert isinstance(pushed, Push)
    assert (pushed.provider, pushed.repository) == ("git", f"{FORGE}group/plots.git")


@pytest.mark.parametrize(
    "clone_url", [None, 7, "https://git.example.org.evil.example/group/plots", "git@git.example.org:a"]
)
def test_another_address_makes_no_push_of_the_forge(clone_url: object) -> None:
    pushed = read_github("push", of_a_forge(clone_url), [FORGE])
    assert isinstance(pushed, Push)
    assert pushed.provider == "gh"


@pytest.mark.parametrize("rest", ["../secret", "a b", "x?y#z", "\n"])
def test_an_address_that_no_link_can_have_is_refused(rest: str) -> None:
    with pytest.raises(BadRequest):
        read_github("push", of_a_forge(f"{FORGE}{rest}"), [FORGE])
