"""What BinderHub makes of specs of git hosts, name by name; git's answers are made up, the names are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from functions.adapters.addresses import PublicPool
from functions.adapters.providers.gist import Gist
from functions.adapters.providers.git import Git
from functions.adapters.providers.github import GitHub, github_api
from functions.adapters.providers.gitlab import GitLab
from functions.core.errors import BinderError, InvalidSpec, NotAllowed, RefNotFound
from functions.core.ports import RepoProvider, ResolvedRepo
from tests.fakes.git_host import GitHost, git_host, tells
from tests.fakes.web import Reply, Web, web_server

TAG_OBJECT, OTHER = "f" * 40, "e" * 40
K8S = "jupyterhub/zero-to-jupyterhub-k8s"
K8S_URL = "https%3A%2F%2Fgithub.com%2Fjupyterhub%2Fzero-to-jupyterhub-k8s"
K8S_091 = "38e50c71130fcf56655685f0992f4f125bef3879"
K8S_080 = "ada2170a2181ae1760d85eab74e5264d0c6bb67f"
K8S_SHA = "f7f3ff6d1bf708bdc12e5f10e18b2a90a4795603"
FOSS = "b3344b7f17c335a817c5d7608c5e47fd7cabc023"
GIST, GIST_SHA = "mariusvniekerk/8a658f7f63b13768d1e75fa2464f5092", "7daa381aae8409bfe28193e2ed8f767c26371237"
SECRET_GIST, SECRET_SHA = "mariusvniekerk/bd01411ea4bf4eb8135893ef237398ba", "56b1968a071db4b234121510054ab3f903c83350"

# Branches that only end in a tag's or branch's name, and tags that are objects of their own, are traps.
REPOSITORIES = {
    f"/{K8S}": [
        f"{OTHER} HEAD symref-target:refs/heads/main",
        f"{OTHER} refs/heads/a/0.8.0",
        f"{TAG_OBJECT} refs/tags/0.8.0 peeled:{K8S_080}",
        f"{K8S_091} refs/tags/0.9.1",
    ],
    "/gitlab-org/gitlab-foss.git": [f"{TAG_OBJECT} refs/tags/v10.0.6 peeled:{FOSS}"],
    f"/{GIST}.git": [f"{GIST_SHA} HEAD symref-target:refs/heads/main"],
    f"/{SECRET_GIST}.git": [f"{SECRET_SHA} HEAD"],
}
GISTS = {
    f"/gists/{GIST.partition('/')[2]}": {"public": True, "history": [{"version": GIST_SHA}, {"version": OTHER}]},
    f"/gists/{SECRET_GIST.partition('/')[2]}": {"public": False, "history": [{"version": SECRET_SHA}]},
}


@dataclass(frozen=True)
class Names:
    """`repo_url`, `ref_url` and `resolved_spec` as they are for the public host."""

    slug: str
    repo_url: str
    ref_url: str
    resolved_spec: str


def gh(sha: str) -> Names:
    url = f"https://github.com/{K8S}"
    return Names("jupyterhub-zero-to-jupyterhub-k8s", url, f"{url}/tree/{sha}", f"{K8S}/{sha}")


def git(sha: str) -> Names:
    url = f"https://github.com/{K8S}"
    return Names(url, url, url, f"{K8S_URL}/{sha}")


def gist(sha: str, of: str = GIST) -> Names:
    url = f"https://gist.github.com/{of}"
    return Names(of.partition("/")[2], f"{url}.git", f"{url}/{sha}", f"{of}/{sha}")


FOSS_PAGE = "https://gitlab.com/gitlab-org/gitlab-foss"
FOSS_NAMES = Names(
    "gitlab_-org-gitlab_-foss", f"{FOSS_PAGE}.git", f"{FOSS_PAGE}/tree/{FOSS}", f"gitlab-org%2Fgitlab-foss/{FOSS}"
)
EXAMPLES = [
    ("gh", f"{K8S}/0.9.1", K8S_091, gh(K8S_091)),
    ("gh", f"{K8S}/{K8S_SHA}", K8S_SHA, gh(K8S_SHA)),
    ("git", f"{K8S_URL}/0.8.0", K8S_080, git(K8S_080)),
    ("git", f"{K8S_URL}/{K8S_SHA}", K8S_SHA, git(K8S_SHA)),
    ("gl", "gitlab-org%2Fgitlab-foss/v10.0.6", FOSS, FOSS_NAMES),
    ("gist", f"{GIST}/", GIST_SHA, gist(GIST_SHA)),
    ("gist", f"{GIST}/HEAD", GIST_SHA, gist(GIST_SHA)),
    ("gist", f"{GIST}/master", GIST_SHA, gist(GIST_SHA)),
    ("gist with secrets", f"{GIST}/master", GIST_SHA, gist(GIST_SHA)),
    ("gist with secrets", f"{SECRET_GIST}/HEAD", SECRET_SHA, gist(SECRET_SHA, SECRET_GIST)),
]
PUBLIC_HOSTS = {"gh": "github.com", "git": "github.com", "gl": "gitlab.com", "gist": "gist.github.com"}


def sends_gists(reply: Reply) -> None:
    found = GISTS.get(reply.path)
    reply.send(200 if found else 404, json.dumps(found).encode())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with git_host(tmp_path) as host:
        host.rule = tells(REPOSITORIES)
        yield host


@pytest.fixture
def api() -> Iterator[Web]:
    with web_server() as api:
        api.answer = sends_gists
        yield api


@pytest.fixture
def providers(host: GitHost, api: Web) -> dict[str, RepoProvider]:
    github = github_api(url=api.url)
    return {
        "gh": GitHub(url=host.url, api=github),
        "gist": Gist(url=host.url, api=github),
        "gist with secrets": Gist(url=host.url, api=github, allow_secret=True),
        "git": Git(allow_http=True, allow_private_addresses=True),
        "gl": GitLab(url=host.url),
    }


def moved(text: str, provider: str, url: str) -> str:
    """*text* with *url* in the place of the public host's, encoded or not."""
    public = f"https://{PUBLIC_HOSTS[provider.partition(' ')[0]]}"
    return text.replace(public, url).replace(quote(public, safe=""), quote(url, safe=""))


def names_of(found: ResolvedRepo) -> Names:
    return Names(found.slug, found.repo_url, found.ref_url, found.resolved_spec)


@pytest.mark.parametrize(("provider", "spec", "sha", "names"), EXAMPLES)
def test_an_example_resolves_to_binderhubs_names(
    providers: dict[str, RepoProvider], host: GitHost, provider: str, spec: str, sha: str, names: Names
) -> None:
    spec = moved(spec, provider, host.url)
    found = providers[provider].resolve(spec)
    expected = [moved(text, provider, host.url) for text in (names.slug, names.repo_url, names.ref_url)]
    assert (found.sha, [found.slug, found.repo_url, found.ref_url]) == (sha, expected)
    assert found.resolved_spec == moved(names.resolved_spec, provider, host.url)
    assert (found.provider, found.spec) == (provider.partition(" ")[0], spec)


@pytest.mark.parametrize(("provider", "spec", "sha", "names"), EXAMPLES)
def test_on_the_public_hosts_the_names_are_the_same_letter_by_letter(
    provider: str, spec: str, sha: str, names: Names
) -> None:
    everywhere = PublicPool(resolve=lambda host, port, **_: [(2, 1, 6, "", ("140.82.121.3", port))])
    by_default: dict[str, RepoProvider] = {
        "gh": GitHub(),
        "gist": Gist(allow_secret=True),
        "git": Git(pool=everywhere),
        "gl": GitLab(),
    }
    assert names_of(by_default[provider.partition(" ")[0]].resolve(names.resolved_spec)) == names


NOTHING = [
    ("gh", f"{K8S}/nosuchref", RefNotFound),
    ("gh", f"{K8S}/v0.1.2.3.4.5.6", RefNotFound),
    ("gist", f"{GIST}/nosuchref", RefNotFound),
    ("gist with secrets", f"{GIST}/nosuchref", RefNotFound),
    ("gist", f"{SECRET_GIST}/HEAD", NotAllowed),
    ("gl", "gitlab-org%2Fgitlab-foss/v10", RefNotFound),
    ("git", "not%20a%20repo/HEAD", InvalidSpec),
    ("git", "ftp%3A%2F%2Fprotocol.unsupported/HEAD", InvalidSpec),
    # Here BinderHub would try ssh, for which it has no key.
    ("git", "git%40github.com%3Ajupyterhub%2Fbinderhub/main", InvalidSpec),
]


@pytest.mark.parametrize(("provider", "spec", "error"), NOTHING)
def test_an_example_that_leads_nowhere_says_so(
    providers: dict[str, RepoProvider], provider: str, spec: str, error: type[BinderError]
) -> None:
    with pytest.raises(error):
        providers[provider].resolve(spec)


def test_display_configurations_are_binderhubs() -> None:
    ref = {"enabled": True, "default": "HEAD"}
    assert [provider.display_config() for provider in (GitHub(), Gist(), Git(), GitLab())] == [
        {
            "displayName": "GitHub",
            "id": "gh",
            "spec": {"validateRegex": "[^/]+/[^/]+/.+"},
            "detect": {"regex": "^(https?://github.com/)?(?<repo>.*[^/])/?"},
            "repo": {
                "label": "GitHub repository name or URL",
                "placeholder": "example: binder-examples/requirements"
                " or https://github.com/binder-examples/requirements",
                "urlEncode": False,
            },
            "ref": ref,
        },
        {
            "displayName": "GitHub Gist",
            "id": "gist",
            "spec": {"validateRegex": "[^/]+/[^/]+(/[^/]+)?"},
            "detect": {"regex": "^(https?://gist.github.com/)?(?<repo>.*[^/])/?"},
            "repo": {"label": "Gist ID (username/gistId) or URL", "placeholder": "", "urlEncode": False},
            "ref": ref,
        },
        {
            "displayName": "Git repository",
            "id": "git",
            "spec": {"validateRegex": "[^/]+/.+"},
            "repo": {
                "label": "Arbitrary git repository URL",
                "placeholder": "example: http://git.example.com/repo",
                "urlEncode": True,
            },
            "ref": ref,
        },
        {
            "displayName": "GitLab",
            "id": "gl",
            "spec": {"validateRegex": "[^/]+/.+"},
            "detect": {"regex": "^(https?://gitlab.com/)?(?<repo>.*[^/])/?"},
            "repo": {
                "label": "GitLab repository name or URL",
                "placeholder": "example: https://gitlab.com/mosaik/examples/mosaik-tutorials-on-binder"
                " or mosaik/examples/mosaik-tutorials-on-binder",
                "urlEncode": True,
            },
            "ref": ref,
        },
    ]


def test_servers_of_ones_own_are_named_in_every_address() -> None:
    sha = "a" * 40
    lab = GitLab(url="https://example.org/gitlab/")
    found = lab.resolve(f"group%2Fsub%2Fproject/{sha}")
    page = "https://example.org/gitlab/group/sub/project"
    assert names_of(found) == Names(
        "group-sub-project", f"{page}.git", f"{page}/tree/{sha}", f"group%2Fsub%2Fproject/{sha}"
    )
    assert lab.display_config()["detect"]["regex"] == "^(https?://example.org/gitlab/)?(?<repo>.*[^/])/?"
    assert GitHub(url="https://ghe.example.org").resolve(f"a/b/{sha}").repo_url == "https://ghe.example.org/a/b"
    gists = Gist(url="https://ghe.example.org/gist", allow_secret=True)
    assert gists.resolve(f"a/b1/{sha}").repo_url == "https://ghe.example.org/gist/a/b1.git"
    assert gists.display_config()["detect"]["regex"] == "^(https?://ghe.example.org/gist/)?(?<repo>.*[^/])/?"
