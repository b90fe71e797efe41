from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.core.errors import InvalidSpec
from functions.core.forges import GistSpec, GitHubSpec, GitLabSpec, parse_gist, parse_github, parse_gitlab

GIST = "8a658f7f63b13768d1e75fa2464f5092"


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
    ("spec", "expected"),
    [
        (f"user/{GIST}", ("user", GIST, "HEAD")),
        (f"user/{GIST}/", ("user", GIST, "HEAD")),
        (f"user/{GIST}//", ("user", GIST, "HEAD")),
        (f"user/{GIST}/master", ("user", GIST, "master")),
        (f"user/{GIST}/7daa381/and/more", ("user", GIST, "7daa381")),
        (f"user/{GIST}.git/HEAD", ("user", GIST, "HEAD")),
        ("anonymous/1234567/HEAD", ("anonymous", "1234567", "HEAD")),
    ],
)
def test_a_gist_spec_is_owner_id_and_perhaps_a_ref(spec: str, expected: tuple[str, str, str]) -> None:
    assert parse_gist(spec) == GistSpec(*expected)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("group%2Fproject/main", ("group/project", "group%2Fproject", "main")),
        ("a%2Fb%2Fc-d%2Fe.f/HEAD", ("a/b/c-d/e.f", "a%2Fb%2Fc-d%2Fe.f", "HEAD")),
        ("a%2fb/topic/one", ("a/b", "a%2fb", "topic/one")),
        ("a%2Fb/topic%2Fone/", ("a/b", "a%2Fb", "topic/one")),
        ("a%2Fb.git/HEAD", ("a/b", "a%2Fb.git", "HEAD")),
    ],
)
def test_a_gitlab_spec_is_an_encoded_path_and_a_ref(spec: str, expected: tuple[str, str, str]) -> None:
    assert parse_gitlab(spec) == GitLabSpec(*expected)


GITHUB_FORM = 'Spec is not of the form "user/repo/ref", provided: '
GIST_FORM = 'Spec is not of the form "user/gist/ref", provided: '
GITLAB_FORM = 'Spec is not of the form "group%2Fproject/ref", provided: '
NO_ADDRESS = 'Name the repository in the form "{}", without the address of its host.'
SENTENCES = [
    # BinderHub's words.
    (parse_github, "foo/bar", GITHUB_FORM + '"foo/bar". Did you mean "foo/bar/HEAD"?'),
    (parse_github, "foo/main", GITHUB_FORM + '"foo/main".'),
    (parse_github, "foo", GITHUB_FORM + '"foo".'),
    # Where BinderHub shows an error of Python's.
    (parse_gist, "foo", GIST_FORM + '"foo".'),
    (parse_gist, GIST, f'{GIST_FORM}"{GIST}". Did you mean "user/{GIST}/HEAD"?'),
    (
        parse_gist,
        f"{GIST}/HEAD",
        f'"{GIST}/HEAD" cannot be a user and the id of a gist. Did you mean "user/{GIST}/HEAD"?',
    ),
    (parse_gist, "user/repo/HEAD", '"user/repo" cannot be a user and the id of a gist.'),
    (parse_gitlab, "foo", GITLAB_FORM + '"foo".'),
    (parse_gitlab, "foo/main", GITLAB_FORM + '"foo/main".'),
    (parse_gitlab, "foo/bar", GITLAB_FORM + '"foo/bar". Did you mean "foo%2Fbar/HEAD"?'),
    (parse_gitlab, "foo%2Fbar", GITLAB_FORM + '"foo/bar". Did you mean "foo%2Fbar/HEAD"?'),
    (parse_gitlab, "foo/bar/main", GITLAB_FORM + '"foo/bar/main". Did you mean "foo%2Fbar/main"?'),
    (parse_gitlab, "a/b/c/v1", GITLAB_FORM + '"a/b/c/v1". Did you mean "a%2Fb%2Fc/v1"?'),
    (parse_gitlab, "a%2F-/HEAD", '"a/-" cannot be the path of a GitLab project.'),
    # Addresses in the place of names.
    (
        parse_github,
        "https://github.com/a/b/HEAD",
        NO_ADDRESS.format("user/repo/ref") + ' Did you mean "a/b/HEAD"?',
    ),
    (
        parse_gist,
        f"https%3A%2F%2Fgist.github.com%2Fa%2F{GIST}",
        f'{NO_ADDRESS.format("user/gist/ref")} Did you mean "a/{GIST}/HEAD"?',
    ),
    (
        parse_gitlab,
        "https%3A%2F%2Fgitlab.com%2Fa%2Fb%2Fc/main",
        NO_ADDRESS.format("group%2Fproject/ref") + ' Did you mean "a%2Fb%2Fc/main"?',
    ),
    (parse_gitlab, "https:/gitlab.com", NO_ADDRESS.format("group%2Fproject/ref")),
    (parse_github, "git@github.com:a/b", NO_ADDRESS.format("user/repo/ref")),
]


@pytest.mark.parametrize(("parse", "spec", "message"), SENTENCES)
def test_what_is_wrong_with_a_spec_is_a_sentence(parse: Callable[[str], object], spec: str, message: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse(spec)
    assert str(caught.value) == message


@pytest.mark.parametrize("parse", [parse_github, parse_gist, parse_gitlab])
@pytest.mark.parametrize(
    "spec",
    [
        "https://me:secret@github.com/a/b/HEAD",
        "me:secret@github.com/a/b",
        "ssh:me:secret@a/b",
        "https://me:ha/secret@host/a/b",
    ],
)
def test_no_message_repeats_a_password(parse: Callable[[str], object], spec: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse(spec)
    assert "secret" not in str(caught.value)


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
BAD_GISTS = {
    "no owner": f"/{GIST}/HEAD",
    "no id": "user//HEAD",
    "only .git": "user/.git/HEAD",
    "dots for an owner": f"../{GIST}/HEAD",
    "dots for an id": "user/../HEAD",
    "escaped slash in an id": "user/a%2Fb/HEAD",
    "query": f"user/{GIST}%3Fa/HEAD",
    "long id": f"user/{'a' * 100}/HEAD",
    "space in a ref": f"user/{GIST}/a%20b",
}
BAD_GITLAB = {
    "one part": "project/HEAD",
    "empty part": "a%2F%2Fb/HEAD",
    "leading slash": "%2Fa%2Fb/HEAD",
    "trailing slash": "a%2Fb%2F/HEAD",
    "only .git": "a%2F.git/HEAD",
    "dots": "a%2F..%2Fb/HEAD",
    "a dot": "a%2F.%2Fb/HEAD",
    "escaped dots": "a%2F%2e%2e%2Fb/HEAD",
    "twice escaped slash": "a%252Fb/HEAD",
    "page of a project": "a%2Fb%2F-%2Ftree%2Fmain/HEAD",
    "query": "a%2Fb%3Fprivate_token=x/HEAD",
    "space": "a%2Fb%20c/HEAD",
    "line end": "a%2Fb%0d%0ac/HEAD",
    "look-alike": "a%2Fr%D0%B5po/HEAD",
    "user": "me%40evil.org%2Fa/HEAD",
    "too deep": "%2F".join("a" * 22) + "/HEAD",
}


@pytest.mark.parametrize("spec", BAD_GITHUB.values(), ids=BAD_GITHUB.keys())
def test_what_cannot_be_on_github_is_refused(spec: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_github(spec)


@pytest.mark.parametrize("spec", BAD_GISTS.values(), ids=BAD_GISTS.keys())
def test_what_cannot_be_a_gist_is_refused(spec: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_gist(spec)


@pytest.mark.parametrize("spec", BAD_GITLAB.values(), ids=BAD_GITLAB.keys())
def test_what_cannot_be_on_gitlab_is_refused(spec: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_gitlab(spec)


@pytest.mark.parametrize(
    "ref", ["a..b", "--upload-pack=x", "HEAD~1", "a%00b", "a%2F..%2Fb", "a" * 3000, "a" * 40 + "/../x"]
)
def test_what_cannot_be_a_ref_is_refused_everywhere(ref: str) -> None:
    for parse, repo in ((parse_github, "user/repo"), (parse_gitlab, "a%2Fb")):
        with pytest.raises(InvalidSpec):
            parse(f"{repo}/{ref}")
