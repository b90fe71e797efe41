from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.errors import BinderError, InvalidSpec, NotAllowed
from functions.core.specs import (
    GitHubSpec,
    GitSpec,
    LaunchTarget,
    checked_ref,
    is_sha,
    is_short_sha,
    parse_git,
    parse_github,
    parse_target,
)

TARGETS = [
    pytest.param("/build/gh/a/b/HEAD", "gh", "a/b/HEAD", id="plain"),
    pytest.param("/build/gh/a/b/HEAD?build_token=x%2Fy", "gh", "a/b/HEAD", id="query"),
    pytest.param("/build/git/https%3A%2F%2Fa.b%2Fc/main", "git", "https%3A%2F%2Fa.b%2Fc/main", id="escapes kept"),
    pytest.param("/build/zenodo/10.5281/zenodo.3242074/", "zenodo", "10.5281/zenodo.3242074", id="trailing slash"),
    pytest.param("/build/gh/a//b/../HEAD", "gh", "a//b/../HEAD", id="dots and double slashes untouched"),
    pytest.param("http://host:1/build/gh/a/b/HEAD", "gh", "a/b/HEAD", id="absolute form"),
    pytest.param("/build/gh/a/b/\xc3\xbc", "gh", "a/b/%C3%BC", id="bytes as WSGI gives them"),
]


@pytest.mark.parametrize(("raw", "provider", "spec"), TARGETS)
def test_a_target_is_cut_before_it_is_decoded(raw: str, provider: str, spec: str) -> None:
    found = parse_target(raw, "build")
    assert (found.provider, found.spec) == (provider, spec)


def test_a_target_keeps_the_spec_that_tokens_are_made_for() -> None:
    assert parse_target("/x/v2/gh/a/b/HEAD//", "v2", base_path="/x/") == LaunchTarget("gh", "a/b/HEAD", "a/b/HEAD//")


@pytest.mark.parametrize(
    "raw",
    ["", "/", "/build", "/build/", "/build/gh", "/build/gh/", "/build//a/b/HEAD", "/v2/gh/a/b/HEAD", "/build/gh/€"]
    + ["/build/gh/" + "a" * 10_000, "//build/gh/a/b/HEAD", "/other/build/gh/a/b/HEAD"],
)
def test_what_is_no_launch_link_is_refused(raw: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_target(raw, "build")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("user/repo/ref", ("user", "repo", "ref")),
        ("user/repo/topic/with/slashes", ("user", "repo", "topic/with/slashes")),
        ("user/repo/topic%2Fone", ("user", "repo", "topic/one")),
        ("user/repo.git/HEAD", ("user", "repo", "HEAD")),
        ("user/my.repo_x/v1.0/", ("user", "my.repo_x", "v1.0")),
        ("under_score/-x-/%C3%BC", ("under_score", "-x-", "ü")),
    ],
)
def test_a_github_spec_is_owner_name_and_ref(spec: str, expected: tuple[str, str, str]) -> None:
    assert parse_github(spec) == GitHubSpec(*expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "foo/bar",
            'Spec is not of the form "user/repo/ref", provided: "foo/bar". Did you mean "foo/bar/HEAD"?',
        ),
        ("foo/main", 'Spec is not of the form "user/repo/ref", provided: "foo/main".'),
        ("foo", 'Spec is not of the form "user/repo/ref", provided: "foo".'),
    ],
)
def test_a_github_spec_without_ref_gets_binderhubs_hint(spec: str, message: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_github(spec)
    assert str(caught.value) == message


BAD_GITHUB = {
    "no owner": "/repo/HEAD",
    "no name": "user//HEAD",
    "only .git": "user/.git/HEAD",
    "dots for a name": "user/../HEAD",
    "dots for an owner": "../repo/HEAD",
    "escaped slash in a name": "user/a%2Fb/HEAD",
    "option": "-user/repo/--upload-pack=x",
    "space": "user/a%20b/HEAD",
    "look-alike": "user/r%D0%B5po/HEAD",
    "at": "user@host/repo/HEAD",
    "query": "user/a%3Fb/HEAD",
}
BAD_REFS = {
    "empty": "%20",
    "NUL": "a%00b",
    "line end": "a%0d%0aX-Header:%20y",
    "escape": "a%1bb",
    "right to left": "a%E2%80%AEb",
    "zero width": "a%E2%80%8Bb",
    "broken percent": "a%zz",
    "lonely percent": "100%",
    "not utf-8": "%ff",
    "surrogate": "%ed%a0%80",
    "option": "--upload-pack=touch",
    "dots": "a/../../b",
    "range": "a..b",
    "parent": "HEAD~1",
    "peel": "v1%5E%7B%7D",
    "reflog": "a@%7B1%7D",
    "at": "@",
    "glob": "refs/*",
    "bracket": "a%5Bb",
    "backslash": "a%5Cb",
    "colon": "a%3Ab",
    "leading slash": "%2Fa",
    "trailing dot": "a.",
    "lock": "a.lock",
    "hidden": "a/.b",
    "too long": "a" * 3000,
}


@pytest.mark.parametrize("spec", BAD_GITHUB.values(), ids=BAD_GITHUB.keys())
def test_what_cannot_be_on_github_is_refused(spec: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_github(spec)


@pytest.mark.parametrize("ref", BAD_REFS.values(), ids=BAD_REFS.keys())
def test_what_cannot_be_a_ref_is_refused(ref: str) -> None:
    for parse, repo in ((parse_github, "user/repo"), (parse_git, "https%3A%2F%2Fa.b%2Fc")):
        with pytest.raises(InvalidSpec):
            parse(f"{repo}/{ref}")


def test_an_empty_ref_is_told_what_is_missing() -> None:
    with pytest.raises(InvalidSpec, match="HEAD names the default branch"):
        checked_ref("")


def escaped(url: str) -> str:
    return url.replace("%", "%25").replace("/", "%2F").replace(":", "%3A").replace("?", "%3F").replace("#", "%23")


@pytest.mark.parametrize(
    ("url", "ref"),
    [
        ("https://github.com/jupyterhub/zero-to-jupyterhub-k8s", "0.8.0"),
        ("https://git.example.org:8443/a/b.git", "topic/one"),
        ("https://[2606:50c0:8000::153]/a", "HEAD"),
        ("https://example.org/~user/a%20b", "HEAD"),
    ],
)
def test_a_git_spec_is_an_address_and_a_ref(url: str, ref: str) -> None:
    assert parse_git(f"{escaped(url)}/{ref}") == GitSpec(url, escaped(url), ref)


@pytest.mark.parametrize(("url", "switch"), [("http://example.org/a", "allow_http"), ("file:///srv/a", "allow_file")])
def test_other_schemes_are_switched_on_one_by_one(url: str, switch: str) -> None:
    with pytest.raises(NotAllowed, match="not permitted"):
        parse_git(f"{escaped(url)}/HEAD")
    assert parse_git(f"{escaped(url)}/HEAD", **{switch: True}).url == url


BAD_URLS = {
    "ssh": "ssh://git@github.com/a/b",
    "scp": "git@github.com:a/b",
    "no address": "not a repo",
    "ftp": "ftp://example.org/a",
    "helper": "ext::sh -c touch",
    "option": "--upload-pack=touch",
    "no host": "https:///a",
    "only a dot": "https://./a",
    "user": "https://user@example.org/a",
    "password": "https://user:secret@example.org/a",
    "password with a slash": "https://user:sec/ret@example.org/a",
    "query": "https://example.org/a?secret",
    "fragment": "https://example.org/a#secret",
    "backslash": "https://example.org\\@evil.org/a",
    "dots": "https://example.org/a/../b",
    "escaped dots": "https://example.org/a/%2e%2e/b",
    "twice escaped dots": "https://example.org/a/%252e%252e/b",
    "look-alike": "https://exаmple.org/a",
    "full-width": "https://①②⑦.0.0.1/a",
    "escaped host": "https://127.0.0%2e1/a",
    "port": "https://example.org:99x/a",
    "port zero": "https://example.org:0/a",
    "line end": "https://example.org/a\nHost: b",
    "file with a host": "file://host/a",
    "file with dots": "file:///srv/../etc",
}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS.keys())
def test_an_address_that_cannot_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_git(f"{escaped(url)}/HEAD", allow_http=True, allow_file=True)
    assert "sec" not in str(caught.value)


def test_an_address_that_is_not_escaped_gets_a_hint() -> None:
    with pytest.raises(InvalidSpec, match="must be percent-encoded"):
        parse_git("https://github.com/a/b/HEAD")


def test_a_scheme_is_written_in_small_letters() -> None:
    assert parse_git("HTTPS%3A%2F%2Fexample.org%2FA/HEAD").url == "https://example.org/A"


@pytest.mark.parametrize("ref", ["a" * 40 + "/../x", "a" * 40 + "\n", "A" * 40, "a" * 39, "a" * 41, "g" * 40, ""])
def test_only_a_whole_sha_is_one(ref: str) -> None:
    assert not is_sha(ref)


def test_shas_are_told_from_beginnings() -> None:
    assert is_sha("0" * 40) and is_sha("f" * 64)
    assert is_short_sha("50533eb") and not is_short_sha("abc") and not is_short_sha("a" * 40)


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_github, parse_git, lambda text: parse_target(text, "build")):
        with contextlib.suppress(BinderError):
            parse(text)


@given(st.binary(max_size=60))
def test_any_bytes_in_an_address_are_parsed_or_refused(noise: bytes) -> None:
    part = "".join(f"%{byte:02x}" for byte in noise)
    for spec in (f"https%3A%2F%2F{part}/HEAD", f"https%3A%2F%2Fa.b%2F{part}/{part}"):
        try:
            url = parse_git(spec).url
        except BinderError:
            continue
        assert url.isprintable() and "@" not in url.split("/")[2] and ".." not in url.split("/")
