from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.errors import BinderError, InvalidSpec, NotAllowed
from functions.core.specs import (
    GitSpec,
    LaunchTarget,
    checked_ref,
    is_sha,
    is_short_sha,
    parse_git,
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


@pytest.mark.parametrize("ref", BAD_REFS.values(), ids=BAD_REFS.keys())
def test_what_cannot_be_a_ref_is_refused(ref: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_git(f"https%3A%2F%2Fa.b%2Fc/{ref}")


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
    "half an escape": "https://example.org/%6%63a",
    "port": "https://example.org:99x/a",
    "port zero": "https://example.org:0/a",
    "port beyond the last": "https://example.org:65536/a",
    "line end": "https://example.org/a\nHost: b",
    "file with a host": "file://host/a",
    "file with dots": "file:///srv/../etc",
}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS.keys())
def test_an_address_that_cannot_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_git(f"{escaped(url)}/HEAD", allow_http=True, allow_file=True)
    assert "sec" not in str(caught.value)


HINTS = {
    "https://github.com/a/b": "https%3A%2F%2Fgithub.com%2Fa%2Fb/HEAD",
    "https://github.com/a/b/main": "https%3A%2F%2Fgithub.com%2Fa%2Fb/main",
    "https%3A%2F%2Fgithub.com%2Fa%2Fb": "https%3A%2F%2Fgithub.com%2Fa%2Fb/HEAD",
}


@pytest.mark.parametrize(("spec", "meant"), HINTS.items())
def test_an_address_in_the_wrong_form_gets_a_hint(spec: str, meant: str) -> None:
    with pytest.raises(InvalidSpec, match=f'Did you mean "{meant}"'):
        parse_git(spec)
    assert parse_git(meant).url == "https://github.com/a/b"


@pytest.mark.parametrize("spec", ["https://me:secret@github.com/a/b", "https%3A%2F%2Fme:secret@github.com%2Fa%2Fb"])
def test_a_hint_repeats_no_password(spec: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_git(spec)
    assert "secret" not in str(caught.value)


def test_a_scheme_is_written_in_small_letters() -> None:
    assert parse_git("HTTPS%3A%2F%2Fexample.org%2FA/HEAD").url == "https://example.org/A"


@pytest.mark.parametrize(
    "spelled",
    [
        "https://Git.Example.ORG/A/plots",
        "https://git.example.org:443/A/plots",
        "https://git.example.org./A/plots",
        "https://git.example.org.:443/A/plots",
        "https://git.example.org/%41/%70lots",
        "https://git.example.org//A///plots",
    ],
)
def test_an_address_is_one_however_it_is_written(spelled: str) -> None:
    """Or each way of writing it would have a quota, an image and a build of its own, and pass a ban."""
    plain = "https://git.example.org/A/plots"
    assert parse_git(f"{escaped(spelled)}/HEAD") == GitSpec(plain, escaped(plain), "HEAD")


def test_what_differs_for_a_host_stays_as_it_is() -> None:
    for url in ("https://example.org/a%2Fb", "https://example.org:8443/a", "https://example.org/a%256c"):
        assert parse_git(f"{escaped(url)}/HEAD").url == url


@given(st.text(alphabet="aA%26c:./~", max_size=30))
def test_an_address_cannot_be_written_so_that_its_plain_form_has_another(noise: str) -> None:
    try:
        url = parse_git(f"{escaped(f'https://example.org/{noise}')}/HEAD").url
    except BinderError:
        return
    assert parse_git(f"{escaped(url)}/HEAD").url == url


@pytest.mark.parametrize("ref", ["a" * 40 + "/../x", "a" * 40 + "\n", "A" * 40, "a" * 39, "a" * 41, "g" * 40, ""])
def test_only_a_whole_sha_is_one(ref: str) -> None:
    assert not is_sha(ref)


def test_shas_are_told_from_beginnings() -> None:
    assert is_sha("0" * 40) and is_sha("f" * 64)
    assert is_short_sha("50533eb") and not is_short_sha("abc") and not is_short_sha("a" * 40)


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(BinderError):
        parse_target(text, "build")


@given(st.binary(max_size=60))
def test_any_bytes_in_an_address_are_parsed_or_refused(noise: bytes) -> None:
    part = "".join(f"%{byte:02x}" for byte in noise)
    for spec in (f"https%3A%2F%2F{part}/HEAD", f"https%3A%2F%2Fa.b%2F{part}/{part}"):
        try:
            url = parse_git(spec).url
        except BinderError:
            continue
        assert url.isprintable() and "@" not in url.split("/")[2] and ".." not in url.split("/")
