from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from functions.adapters.http import ONCE
from functions.adapters.providers.git import Git
from functions.core.errors import InvalidSpec, NotAllowed, RefNotFound, RepoNotFound, UpstreamError, UpstreamTimeout
from tests.fakes.git_host import GitHost, Handler, Repository, Rule, git_host, new_repository


@dataclass(frozen=True)
class Shas:
    first: str
    main: str
    other_main: str
    tag_object: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repositories")


@pytest.fixture(scope="module")
def shas(folder: Path) -> Shas:
    repository = new_repository(folder / "repo")
    first = repository.commit("first")
    repository.git("tag", "-a", "v1", "-m", "annotated")
    repository.git("tag", "plain")
    other = _branch(repository, "a/main")
    repository.git("checkout", "--quiet", "main")
    main = repository.commit("main goes on")
    repository.git("tag", "both", first)
    repository.git("branch", "both", main)
    return Shas(first, main, other, repository.git("rev-parse", "v1"))


def _branch(repository: Repository, name: str) -> str:
    repository.git("checkout", "--quiet", "-b", name)
    return repository.commit(f"on {name}")


@pytest.fixture
def host(folder: Path, shas: Shas) -> Iterator[GitHost]:
    with git_host(folder) as host:
        yield host


@pytest.fixture
def git() -> Git:
    return Git(allow_http=True, allow_private_addresses=True, file_folders=[Path("/")], timeout_s=5)


def spec(url: str, ref: str) -> str:
    return f"{quote(url, safe='')}/{ref}"


REFS = [
    pytest.param("HEAD", "main", id="HEAD"),
    pytest.param("main", "main", id="not the branch that ends in main"),
    pytest.param("a/main", "other_main", id="branch with a slash"),
    pytest.param("v1", "first", id="annotated tag gives its commit"),
    pytest.param("plain", "first", id="lightweight tag"),
    pytest.param("refs/heads/main", "main", id="full name"),
    pytest.param("tags/v1", "first", id="half a name"),
    pytest.param("both", "main", id="branch before tag"),
    pytest.param("tags/both", "first", id="tag of the same name"),
]


@pytest.mark.parametrize(("ref", "expected"), REFS)
@pytest.mark.parametrize("speaks_v2", [True, False], ids=["v2", "v0"])
def test_a_ref_is_resolved_over_http(
    host: GitHost, git: Git, shas: Shas, ref: str, expected: str, speaks_v2: bool
) -> None:
    host.speaks_v2 = speaks_v2
    assert git.resolve(spec(f"{host.url}/repo", ref)).sha == getattr(shas, expected)


@pytest.mark.parametrize(("ref", "expected"), REFS)
@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_a_ref_is_resolved_from_a_folder(
    folder: Path, tmp_path: Path, git: Git, shas: Shas, ref: str, expected: str, packed: bool
) -> None:
    path = folder / "repo"
    if packed:
        Repository(folder).git("clone", "--quiet", "--mirror", str(path), str(tmp_path / "bare"))
        path = tmp_path / "bare"
        Repository(path).git("gc", "--quiet")
    assert git.resolve(spec(f"file://{path}", ref)).sha == getattr(shas, expected)


def test_one_request_resolves_a_ref(host: GitHost, git: Git) -> None:
    git.resolve(spec(f"{host.url}/repo", "main"))
    assert host.requests == ["POST /repo/git-upload-pack"]


def test_a_resolved_repository_has_binderhubs_names(host: GitHost, git: Git, shas: Shas) -> None:
    url = f"{host.url}/repo"
    found = git.resolve(spec(url, "HEAD"))
    assert (found.repo_url, found.slug, found.ref_url) == (url, url, url)
    assert found.resolved_spec == f"{quote(url, safe='')}/{shas.main}"


def test_a_full_sha_is_kept_without_asking(host: GitHost, git: Git) -> None:
    assert git.resolve(spec(f"{host.url}/repo", "a" * 40)).sha == "a" * 40
    assert host.requests == []


def test_a_full_sha_does_not_open_private_addresses() -> None:
    with pytest.raises(NotAllowed):
        Git(allow_http=True).resolve(spec("http://127.0.0.1/repo", "a" * 40))


def test_a_ref_that_is_not_there_names_the_default_branch(host: GitHost, git: Git) -> None:
    with pytest.raises(RefNotFound) as caught:
        git.resolve(spec(f"{host.url}/repo", "master"))
    assert caught.value.default_branch == "main"


def test_a_short_sha_is_told_to_be_too_short(host: GitHost, git: Git, shas: Shas) -> None:
    with pytest.raises(RefNotFound, match="all 40 characters"):
        git.resolve(spec(f"{host.url}/repo", shas.main[:7]))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_private_or_absent_repository_is_not_found(host: GitHost, git: Git, status: int) -> None:
    host.rule = lambda handler: handler.answer(status)
    with pytest.raises(RepoNotFound):
        git.resolve(spec(f"{host.url}/secret", "main"))


def test_an_absent_repository_of_the_backend_is_not_found(host: GitHost, git: Git) -> None:
    with pytest.raises(RepoNotFound):
        git.resolve(spec(f"{host.url}/nothing", "main"))


def test_a_page_is_not_a_repository(host: GitHost, git: Git) -> None:
    host.rule = lambda handler: handler.answer(200, b"<html>", Content_Type="text/html")
    with pytest.raises(InvalidSpec, match="not the address of a git repository"):
        git.resolve(spec(f"{host.url}/page", "main"))


@pytest.mark.parametrize(
    "body",
    [b"", b"zzzz", b"0005", b"003fshort", b"0009nope\n0000", b"0010ERR go away!0000", b"\0" * 100],
    ids=["empty", "no length", "cut length", "cut line", "no ref", "refusal", "zeros"],
)
def test_broken_protocol_is_the_hosts_fault(host: GitHost, git: Git, body: bytes) -> None:
    kinds = {"GET": "advertisement", "POST": "result"}
    host.rule = lambda handler: handler.answer(
        200, body, Content_Type=f"application/x-git-upload-pack-{kinds[handler.command]}"
    )
    with pytest.raises(UpstreamError):
        git.resolve(spec(f"{host.url}/repo", "main"))


def test_an_empty_repository_has_no_head(folder: Path, git: Git) -> None:
    if not (folder / "empty").exists():
        new_repository(folder / "empty")
    with git_host(folder) as host, pytest.raises(RefNotFound):
        git.resolve(spec(f"{host.url}/empty", "HEAD"))
    with pytest.raises(RefNotFound):
        git.resolve(spec(f"file://{folder}/empty", "HEAD"))


def test_a_detached_head_is_a_commit_without_a_branch(tmp_path: Path, git: Git) -> None:
    repository = new_repository(tmp_path / "detached")
    sha = repository.commit("first")
    repository.git("checkout", "--quiet", "--detach")
    with git_host(tmp_path) as host:
        assert git.resolve(spec(f"{host.url}/detached", "HEAD")).sha == sha
        with pytest.raises(RefNotFound) as caught:
            git.resolve(spec(f"{host.url}/detached", "nope"))
    assert caught.value.default_branch is None


def test_a_sha256_repository_is_understood(tmp_path: Path, git: Git) -> None:
    repository = new_repository(tmp_path / "long", "--object-format=sha256")
    sha = repository.commit("first")
    repository.git("tag", "-a", "v1", "-m", "annotated")
    with git_host(tmp_path) as host:
        assert git.resolve(spec(f"{host.url}/long", "v1")).sha == sha
    assert git.resolve(spec(f"file://{repository.path}", "v1")).sha == sha


def moved(handler: Handler) -> bool:
    path = handler.path.replace("/old/", "/repo/")
    return path != handler.path and handler.answer(301, Location=path)


def only_discovery_moves(handler: Handler) -> bool:
    """As hosts do that know a repository without `.git` only by its page."""
    if handler.path.startswith("/old/git-upload-pack"):
        return handler.answer(404)
    return moved(handler)


@pytest.mark.parametrize(("rule", "requests"), [(moved, 2), (only_discovery_moves, 4)])
def test_a_moved_repository_is_followed(host: GitHost, git: Git, shas: Shas, rule: Rule, requests: int) -> None:
    host.rule = rule
    found = git.resolve(spec(f"{host.url}/old", "main"))
    assert (found.sha, found.repo_url) == (shas.main, f"{host.url}/old")
    assert len(host.requests) == requests


def test_a_circle_of_redirects_ends(host: GitHost, git: Git) -> None:
    host.rule = lambda handler: handler.answer(302, Location=handler.path)
    with pytest.raises(UpstreamError):
        git.resolve(spec(f"{host.url}/repo", "main"))
    assert len(host.requests) <= 8


def test_a_host_that_is_not_there_is_told(git: Git) -> None:
    with pytest.raises(UpstreamError, match="find"):
        git.resolve(spec("https://no-such-host.invalid/repo", "main"))


def test_a_closed_port_is_told(tmp_path: Path) -> None:
    with git_host(tmp_path) as host:
        url = host.url
    with pytest.raises(UpstreamError, match="cannot be reached"):
        Git(allow_http=True, allow_private_addresses=True, retry=ONCE).resolve(spec(f"{url}/repo", "main"))


def test_http_and_folders_are_not_permitted_unless_switched_on(tmp_path: Path) -> None:
    for url in ("http://example.org/repo", f"file://{tmp_path}"):
        with pytest.raises(NotAllowed):
            Git().resolve(spec(url, "HEAD"))


@pytest.mark.parametrize("ref", ["HEAD", "v1", "main"])
def test_a_folder_without_repository_is_not_found(tmp_path: Path, git: Git, ref: str) -> None:
    with pytest.raises(RepoNotFound):
        git.resolve(spec(f"file://{tmp_path}", ref))


def glob_index(repository: Repository) -> list[str]:
    return [str(path) for path in (repository.path / ".git/objects/pack").glob("*.idx")]


@pytest.mark.parametrize("by_offset", ["true", "false"], ids=["base by offset", "base by name"])
def test_tags_that_are_deltas_in_a_pack_are_peeled(tmp_path: Path, git: Git, by_offset: str) -> None:
    repository = new_repository(tmp_path / "many")
    sha = repository.commit("first")
    message = "the same long message, so that git stores most tags as a difference " * 20
    for number in range(8):
        repository.git("tag", "-a", f"v{number}", "-m", f"{message}{number}")
    tags = {number: repository.git("rev-parse", f"v{number}") for number in range(8)}
    repository.git("-c", f"repack.useDeltaBaseOffset={by_offset}", "gc", "--quiet", "--aggressive")
    assert "chain length = 1" in repository.git("verify-pack", "-v", *glob_index(repository))
    for number, tag in tags.items():
        (repository.path / ".git/refs/tags" / f"v{number}").write_text(f"{tag}\n")
    (repository.path / ".git/packed-refs").unlink()
    found = {git.resolve(spec(f"file://{repository.path}", f"v{number}")).sha for number in tags}
    assert found == {sha}


def test_a_slow_host_is_a_timeout(host: GitHost) -> None:
    over = threading.Event()
    impatient = Git(allow_http=True, allow_private_addresses=True, timeout_s=0.1, retry=ONCE)
    host.rule = lambda handler: over.wait(20) and False
    try:
        with pytest.raises(UpstreamTimeout):
            impatient.resolve(spec(f"{host.url}/repo", "main"))
    finally:
        over.set()


def test_a_repository_that_borrows_its_objects_is_read(tmp_path: Path, git: Git) -> None:
    repository = new_repository(tmp_path / "lender")
    sha = repository.commit("first")
    repository.git("tag", "-a", "v1", "-m", "annotated")
    Repository(tmp_path).git("clone", "--quiet", "--shared", "--bare", "lender", "borrower")
    assert git.resolve(spec(f"file://{tmp_path}/borrower", "v1")).sha == sha


def damage_object(repository: Repository, sha: str) -> None:
    path = repository.path / ".git/objects" / sha[:2] / sha[2:]
    path.chmod(0o644)
    path.write_bytes(b"not zlib")


def lose_object(repository: Repository, sha: str) -> None:
    (repository.path / ".git/objects" / sha[:2] / sha[2:]).unlink()


def use_reftable(repository: Repository, sha: str) -> None:
    (repository.path / ".git/reftable").mkdir()


@pytest.mark.parametrize("damage", [damage_object, lose_object, use_reftable])
def test_a_damaged_folder_is_told_instead_of_guessed(
    tmp_path: Path, git: Git, damage: Callable[[Repository, str], None]
) -> None:
    repository = new_repository(tmp_path / "repo")
    damage(repository, repository.commit("first"))
    with pytest.raises(UpstreamError):
        git.resolve(spec(f"file://{repository.path}", "main"))


@pytest.mark.parametrize("content", ["ref: refs/heads/loop", "nonsense", "", "../../config"])
def test_a_ref_that_leads_nowhere_is_not_found(tmp_path: Path, git: Git, content: str) -> None:
    repository = new_repository(tmp_path / "repo")
    (repository.path / ".git/refs/heads/loop").write_text(content)
    with pytest.raises(RefNotFound):
        git.resolve(spec(f"file://{repository.path}", "loop"))


def test_a_ref_does_not_lead_out_of_the_repository(tmp_path: Path, git: Git) -> None:
    repository = new_repository(tmp_path / "repo")
    (tmp_path / "secret").write_text(repository.commit("first"))
    (repository.path / ".git/refs/heads/out").symlink_to(tmp_path / "secret")
    with pytest.raises(RefNotFound):
        git.resolve(spec(f"file://{repository.path}", "out"))


@pytest.mark.parametrize("ref", ["main", "a" * 40])
def test_only_folders_that_are_offered_may_be_launched_from(tmp_path: Path, ref: str) -> None:
    (tmp_path / "offered").mkdir()
    (tmp_path / "offered" / "way-out").symlink_to(tmp_path)
    git = Git(file_folders=[tmp_path / "offered"])
    for path in (tmp_path / "private", tmp_path / "offered" / "way-out" / "private"):
        with pytest.raises(NotAllowed):
            git.resolve(spec(f"file://{path}", ref))
