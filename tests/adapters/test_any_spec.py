"""Whatever a stranger writes for a spec of a git provider: it names a repository, or is refused as such."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from functions.adapters.addresses import PublicPool
from functions.adapters.providers.gist import Gist
from functions.adapters.providers.git import Git
from functions.adapters.providers.github import GitHub
from functions.adapters.providers.gitlab import GitLab
from functions.core.errors import InvalidSpec, NotAllowed
from functions.core.forges import GistSpec, GitHubSpec, GitLabSpec, parse_gist, parse_github, parse_gitlab
from functions.core.ports import RepoProvider, ResolvedRepo
from functions.core.specs import GitSpec, parse_git

SHA = "a" * 40
GOOD = st.sampled_from(
    ["owner", "my-group", "under_score", "project", "repo.git", "v1.0", "HEAD", "8a658f7f63b13768d1e75fa2464f5092", "ü"]
    + ["https://example.org", "https://example.org:8443", "topic", "C", "7daa381", SHA]
)
BAD = st.sampled_from(
    [
        "",
        ".",
        "..",
        ".git",
        "-",
        "~",
        "@",
        "me:secret@",
        "https:",
        "//",
        "\\",
        "\0",
        "\r\n",
        "\x1b",
        "\u202e",
        "\u200b",
        "%",
    ]
    + ["%2e%2e", "%252e", "?", "#", " ", "\t", "[::1]", "127.0.0.1", "@{0}", "^{}", "*", "а", "①", "．．", "ext::sh"]
)
TEXT = st.one_of(GOOD, GOOD, GOOD, BAD, st.text(max_size=4))
# Encoded as it should be, too little, or once too often.
ENCODED = st.builds(
    lambda text, encode: encode(text),
    TEXT,
    st.sampled_from([lambda text: quote(text, safe=""), quote, str, lambda text: quote(quote(text, safe=""), safe="")]),
)
SEPARATORS = st.sampled_from(["/", "/", "/", "%2F", "%2f", "%2F", "//", "", "%5C", "@"])
SPECS = st.one_of(
    st.text(max_size=100),
    st.lists(st.tuples(ENCODED, SEPARATORS), max_size=7).map(lambda pairs: "".join(a + b for a, b in pairs)),
    st.lists(ENCODED, min_size=2, max_size=4).map("/".join),
    st.lists(ENCODED, min_size=2, max_size=4).map(lambda parts: "%2F".join(parts[:-1]) + "/" + parts[-1]),
)
ADDRESSES = st.lists(TEXT, min_size=1, max_size=3).map(
    lambda parts: quote("https://Example.org:443/" + "/".join(parts), safe="")
)
PROJECTS = st.lists(GOOD, min_size=2, max_size=3).map(lambda parts: quote("/".join(parts), safe=""))
REPOSITORIES = st.one_of(
    SPECS, ADDRESSES, PROJECTS, *(st.lists(GOOD | ENCODED, min_size=n, max_size=n).map("/".join) for n in (1, 2))
)


def spec_of(named: Any) -> str:
    """The spec that says the same as *named*, with everything encoded."""
    match named:
        case GitHubSpec(owner, name, ref) | GistSpec(owner, name, ref):
            parts = [owner, name, ref]
        case GitLabSpec(project, _, ref) | GitSpec(project, _, ref):
            parts = [project, ref]
    return "/".join(quote(part, safe="") for part in parts)


def meaning(named: Any) -> tuple[str, ...]:
    """The values of *named*, without how the link wrote them."""
    fields = (field for field in named.__dataclass_fields__ if not field.startswith("escaped_"))
    return tuple(getattr(named, field) for field in fields)


def parse_any_git(spec: str) -> GitSpec:
    return parse_git(spec, allow_http=True, allow_file=True)


@pytest.mark.parametrize("parse", [parse_github, parse_gist, parse_gitlab, parse_git, parse_any_git])
@given(spec=SPECS)
def test_a_spec_is_refused_or_can_be_written_again(parse: Callable[[str], Any], spec: str) -> None:
    try:
        named = parse(spec)
    except (InvalidSpec, NotAllowed):
        return
    assert meaning(parse(spec_of(named))) == meaning(named)


def a_public_host(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
    return [(2, 1, 6, "", ("140.82.121.3", port))]


PROVIDERS: list[tuple[Callable[[str], Any], RepoProvider]] = [
    (parse_github, GitHub()),
    (parse_gist, Gist(allow_secret=True)),
    (parse_gitlab, GitLab()),
    (partial(parse_git, allow_http=True), Git(allow_http=True, pool=PublicPool(resolve=a_public_host))),
]


def resolved(parse: Callable[[str], Any], provider: RepoProvider, repository: str) -> ResolvedRepo | None:
    """*repository* at a whole commit id, for which nothing is asked of anybody; None if that is no spec of its own."""
    spec = f"{repository.rstrip('/')}/{SHA}"
    try:
        return provider.resolve(spec) if parse(spec).ref == SHA else None
    except (InvalidSpec, NotAllowed):
        return None


@pytest.mark.parametrize(("parse", "provider"), PROVIDERS, ids=["gh", "gist", "gl", "git"])
@given(repository=REPOSITORIES)
def test_names_of_a_resolved_repository_are_harmless(
    parse: Callable[[str], Any], provider: RepoProvider, repository: str
) -> None:
    if not (found := resolved(parse, provider, repository)):
        return
    for text in (found.slug, found.repo_url, found.ref_url, found.resolved_spec):
        assert text.isprintable() and not re.search(r"\s", text)
    for text in (found.slug, found.repo_url):
        assert ".." not in re.split(r"[/\\]", unquote(unquote(text)))
        assert "@" not in text.partition("://")[2].partition("/")[0]


@pytest.mark.parametrize(("parse", "provider"), PROVIDERS, ids=["gh", "gist", "gl", "git"])
@given(repository=REPOSITORIES)
def test_a_resolved_spec_resolves_to_itself(
    parse: Callable[[str], Any], provider: RepoProvider, repository: str
) -> None:
    if not (found := resolved(parse, provider, repository)):
        return
    again = provider.resolve(found.resolved_spec)
    assert (again.slug, again.repo_url, again.sha) == (found.slug, found.repo_url, found.sha)
    assert again.resolved_spec == found.resolved_spec


@pytest.mark.parametrize(("parse", "provider"), PROVIDERS, ids=["gh", "gist", "gl", "git"])
def test_what_is_tried_holds_good_ones(parse: Callable[[str], Any], provider: RepoProvider) -> None:
    """Else the tests above would say nothing."""
    assert find(REPOSITORIES, lambda repository: resolved(parse, provider, repository) is not None)
