"""Where BinderHub is known to hurt, measured on its commit b9fad995: each test is one that it would fail."""

from __future__ import annotations

import re
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from functions.adapters.providers.git import Git
from functions.adapters.providers.github import GitHub
from functions.application import make_application
from functions.core import build_tokens
from functions.core.build import filled_appendix
from functions.core.errors import BinderError, UpstreamError
from functions.core.names import image_name
from functions.core.ports import BuildStatus, ResolvedRepo
from functions.core.progress import parse_event_id
from functions.core.specs import is_sha
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.on_build_complete import on_build_complete
from functions.state.limits import LIFE_S
from functions.world import World
from tests.fakes.git_host import GitHost, Repository, git_host, new_repository
from tests.fakes.provider import FakeProvider
from tests.fakes.stub_hub import StubHub, stub_hub
from tests.fakes.world import Fakes, RunningClock, events
from tests.functions.requests import push, request

SPEC = "owner/plots/main"


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def crowded() -> Fakes:
    """Fakes in real time, for many who wait at once."""
    return Fakes(clock=RunningClock())


@pytest.fixture
def hub() -> Iterator[StubHub]:
    with stub_hub() as hub:
        yield hub


def asked(spec: str = SPEC, **changes: Any) -> Asked:
    plain = Asked(
        provider="gh", spec=spec, host="https://binder.example.org/", client_ip="", resume_key="", resume=None
    )
    return replace(plain, **changes)


def story(world: World, wish: Asked | None = None) -> Iterator[dict[str, Any]]:
    for chunk in launch_stream(wish or asked(), world):
        yield from events([chunk])


def last(world: World, wish: Asked | None = None) -> dict[str, Any]:
    """The event that ends the launch; what a stream does after that is not waited for."""
    return next(event for event in story(world, wish) if event["phase"] in ("ready", "failed"))


def over(world: World, hub: StubHub) -> World:
    """*world* in real time, with another Hub."""
    return replace(world, hub=hub.client())


def test_w01_hundreds_of_launches_are_in_progress_on_one_instance(crowded: Fakes, hub: StubHub) -> None:
    crowded.know(SPEC, built=True)
    world = over(crowded.world(), hub)
    with ThreadPoolExecutor(200) as crowd:
        ends = [crowd.submit(last, world) for _ in range(200)]
        hub.await_starting(200)
        hub.go.set()
        assert {future.result(60)["phase"] for future in ends} == {"ready"}


def test_w02_watchers_of_one_build_hold_up_no_other(crowded: Fakes) -> None:
    slow, quick = crowded.know(SPEC), crowded.know("other/quick/main")
    world, gone = crowded.world(), threading.Event()

    def watch() -> None:
        for _ in story(world):
            if gone.is_set():
                return

    with ThreadPoolExecutor(64) as crowd:
        watching = [crowd.submit(watch) for _ in range(64)]
        told = story(world, asked("other/quick/main"))
        next(told)
        crowded.finish_build(quick)
        assert next(event for event in told if event["phase"] in ("ready", "failed"))["phase"] == "ready"
        assert not any(future.done() for future in watching)
        gone.set()
        crowded.backend.finish(next(job.name for job in crowded.backend.submitted if job.image == crowded.image(slow)))


def fail_the_build(fakes: Fakes) -> list[dict[str, Any]]:
    """All that is told when repo2docker says itself that it failed."""
    fakes.know(SPEC)
    told = story(fakes.world())
    next(told)
    name = fakes.backend.submitted[0].name
    fakes.backend.write(name, '{"message": "no such package", "phase": "failed"}')
    fakes.backend.finish(name, BuildStatus.FAILURE, "no such package")
    return list(told)


def test_w03_the_stream_of_a_failed_build_ends_and_is_no_longer_in_progress(fakes: Fakes) -> None:
    fail_the_build(fakes)
    world = fakes.world()
    assert not world.builds.where("open", "yes")
    assert not world.launches.where("open", "yes")


def test_w04_a_failure_is_told_once_and_in_words(fakes: Fakes) -> None:
    failures = [event for event in fail_the_build(fakes) if event["phase"] == "failed"]
    assert failures == [{**failures[0], "message": "no such package\n"}]


def test_w05_a_hub_that_is_full_after_a_new_build_says_so_once(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    told = story(fakes.world())
    next(told)
    fakes.world().limits.change(lambda limits: replace(limits, total_quota=0))
    fakes.clock.sleep(LIFE_S)
    fakes.finish_build(repo)
    failures = [event for event in told if event["phase"] == "failed"]
    assert [event["message"] for event in failures] == ["Too many users on this BinderHub! Try again soon.\n"]
    assert fakes.hub.started == []


REFUSALS = [
    ("user", 400, "Invalid username"),
    ("user", 403, "You may not do that"),
    ("server", 400, "Spawner options are not valid"),
    ("server", 403, "You may not do that"),
    ("server", 409, "someone already has a running server"),
    ("server", 400, "someone already has the maximum of 1 named servers"),
]


@pytest.mark.parametrize(("what", "status", "words"), REFUSALS)
def test_w06_what_the_hub_refuses_for_good_fails_at_once_in_its_words(
    fakes: Fakes, hub: StubHub, what: str, status: int, words: str
) -> None:
    fakes.know(SPEC, built=True)
    hub.refusals[what] = (status, words)
    end = last(over(fakes.world(), hub))
    assert (end["phase"], words in end["message"]) == ("failed", True)
    posts = [seen.path for seen in hub.web.seen if seen.method == "POST"]
    assert len(posts) == (1 if what == "user" else 2)
    assert fakes.clock.slept == []


def test_w07_a_launch_that_fails_has_had_one_user_and_leaves_none(fakes: Fakes, hub: StubHub) -> None:
    fakes.know(SPEC, built=True)
    hub.refusals["server"] = (400, "no")
    assert last(over(fakes.world(), hub))["phase"] == "failed"
    [user] = hub.users
    assert hub.deleted == [f"{user}/server", user]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    """A git host with the branches `main` and `a/main`, and the tag `v1`, which has a message."""
    repository = new_repository(tmp_path / "plots")
    repository.commit("one")
    repository.git("branch", "a/main")
    repository.commit("two")
    repository.git("tag", "-a", "v1", "-m", "The first")
    with git_host(tmp_path) as host:
        yield host


def resolved(host: GitHost, ref: str) -> str:
    git = Git(allow_http=True, allow_private_addresses=True)
    return git.resolve(f"{quote(f'{host.url}/plots', safe='')}/{ref}").sha


def test_w08_a_branch_is_the_one_of_just_that_name(host: GitHost) -> None:
    repository = Repository(host.folder / "plots")
    assert resolved(host, "main") == repository.git("rev-parse", "refs/heads/main")
    assert resolved(host, "a/main") == repository.git("rev-parse", "refs/heads/a/main")


def test_w09_a_tag_with_a_message_is_its_commit(host: GitHost) -> None:
    assert resolved(host, "v1") == Repository(host.folder / "plots").git("rev-parse", "v1^{commit}")


@pytest.mark.parametrize("more", ["/../x", "a", "\n"])
def test_w10_a_commit_id_is_nothing_but_a_commit_id(more: str) -> None:
    assert is_sha("a" * 40)
    assert not is_sha("a" * 40 + more)
    with pytest.raises(BinderError):
        GitHub().resolve(f"owner/plots/{'a' * 40}/../x")


def test_w11_spellings_of_a_name_are_different_images_as_in_a_registry_shared_with_binderhub() -> None:
    one, other = (image_name("r.example.org/", slug, "1" * 40) for slug in ("Foo-Bar", "foo-bar"))
    assert one != other


@pytest.fixture
def client(fakes: Fakes) -> FlaskClient:
    fakes.settings["web"] = {"base_path": "/binder/", "cors_allow_origins": ["https://book.example.org"]}
    return make_application(fakes.world()).test_client()


@pytest.mark.parametrize(
    "path", ["/binder/v2/nope/a/b/c", "/binder/nosuch/path", "/binder/favicon_fail.ico", "/v2/gh/a/b/c"]
)
def test_w12_what_is_not_there_is_404(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_w12_links_of_the_first_binder_stay_below_the_base_path(client: FlaskClient) -> None:
    assert client.get("/binder/repo/a/b").headers["Location"] == "/binder/v2/gh/a/b/master"


def test_w13_the_appendix_is_filled_in() -> None:
    template = 'ENV BINDER_URL={binder_url} REPO={repo_url}\nRUN echo "${HOME} {}"'
    filled = filled_appendix(
        template, binder_url="https://b.example.org/v2/gh/o/n/1", repo_url="https://g.example.org/o/n"
    )
    assert filled == (
        'ENV BINDER_URL=https://b.example.org/v2/gh/o/n/1 REPO=https://g.example.org/o/n\nRUN echo "${HOME} {}"'
    )


def test_w13_a_build_gets_the_appendix_of_its_repository(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    fakes.settings["builds"] = {"appendix": "ENV BINDER_URL={binder_url}"}
    next(story(fakes.world()))
    [build] = fakes.backend.submitted
    assert build.appendix == f"ENV BINDER_URL=https://binder.example.org/v2/gh/{repo.resolved_spec}"


@pytest.mark.parametrize("header", ["Authorization", "X-XSRFToken", "Cache-Control", "Last-Event-ID"])
def test_w14_pages_of_other_sites_may_send_more_than_the_plainest_headers(client: FlaskClient, header: str) -> None:
    asks = {
        "Origin": "https://book.example.org",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": header.lower(),
    }
    answer = client.options("/binder/build/gh/owner/plots/main", headers=asks)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, "https://book.example.org")
    assert header.lower() in answer.headers["Access-Control-Allow-Headers"].lower().split(", ")


def test_w15_a_preview_of_a_link_has_a_picture(client: FlaskClient) -> None:
    page = client.get("/binder/v2/gh/owner/plots/main", base_url="https://b.example.org").get_data(as_text=True)
    found = re.search(r'property="og:image" content="([^"]+)"', page)
    assert found is not None
    assert found[1].startswith("https://b.example.org/binder/")


@pytest.mark.parametrize("path", ["", "about", "v2/gh/owner/plots/main", "versions", "metrics", "health", "badge.svg"])
def test_w15_whoever_asks_for_the_head_alone_gets_it(client: FlaskClient, path: str) -> None:
    answer = client.head(f"/binder/{path}", buffered=True)
    assert (answer.status_code, answer.data) == (200, b"")


def test_w16_a_build_token_of_one_instance_is_good_for_another(fakes: Fakes) -> None:
    page = build_tokens.Page(provider="gh", raw_spec=SPEC, origin="binder.example.org")
    one, other = (build_tokens.token_keys(fakes.world().config.launches) for _ in range(2))
    token = build_tokens.mint(page, one, now=fakes.clock.now(), expires_s=300)
    build_tokens.check(token, page, other, now=fakes.clock.now())


def test_w17_a_server_whose_start_was_answered_with_an_error_is_found_again(fakes: Fakes, hub: StubHub) -> None:
    fakes.know(SPEC, built=True)
    hub.loses_answers = True
    hub.go.set()
    assert last(over(fakes.world(), hub))["phase"] == "ready"
    assert (len(hub.users), len(hub.servers)) == (1, 1)


@pytest.mark.parametrize("way_back", ["Last-Event-ID", "cookie"])
def test_w18_who_loses_the_connection_comes_back_to_the_same_server(fakes: Fakes, hub: StubHub, way_back: str) -> None:
    fakes.know(SPEC, built=True)
    dropped = story(over(fakes.world(), hub), asked(resume_key="browser"))
    heard = next(event for event in dropped if event["phase"] == "launching")
    dropped.close()  # type: ignore[attr-defined]
    hub.go.set()
    again = asked(resume=parse_event_id(heard["id"])) if way_back == "Last-Event-ID" else asked(resume_key="browser")
    assert last(over(fakes.world(), hub), again)["phase"] == "ready"
    assert (len(hub.users), len(hub.servers)) == (1, 1)


def test_w19_a_client_that_reconnects_for_ever_gets_one_server(fakes: Fakes, hub: StubHub) -> None:
    fakes.know(SPEC, built=True)
    hub.go.set()
    end = last(over(fakes.world(), hub))
    for _ in range(12):
        told = list(story(over(fakes.world(), hub), asked(resume=parse_event_id(end["id"]))))
        assert [event for event in told if event["phase"] != "ready"] == []
    assert len(hub.servers) == 1


def test_w20_a_registry_that_is_out_makes_no_builds(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.registry.error = UpstreamError("The registry", "answered 503.")
    end = last(fakes.world())
    assert (end["phase"], "The registry answered 503." in end["message"]) == ("failed", True)
    assert fakes.backend.submitted == []


def test_w21_git_hosts_that_hang_hold_up_no_other_launch(crowded: Fakes) -> None:
    crowded.know(SPEC, built=True)
    go_on, hanging = threading.Event(), threading.Semaphore(0)

    class Hanging(FakeProvider):
        def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
            hanging.release()
            go_on.wait(60)
            raise UpstreamError("The git host", "did not answer.")

    world = replace(crowded.world(), providers={"gh": crowded.provider, "git": Hanging("git")})
    with ThreadPoolExecutor(40) as crowd:
        stuck = [crowd.submit(last, world, asked(f"{number}/HEAD", provider="git")) for number in range(40)]
        for _ in stuck:
            assert hanging.acquire(timeout=60)
        assert last(world)["phase"] == "ready"
        go_on.set()
        assert {future.result(60)["phase"] for future in stuck} == {"failed"}


def test_w22_clients_that_do_not_read_hold_no_copies_of_the_log(fakes: Fakes) -> None:
    fakes.know(SPEC)
    world = fakes.world()
    first = story(world)
    next(first)
    size_bytes = 4000 * 2000
    fakes.backend.write(fakes.backend.submitted[0].name, *(f"{number:04}" + "x" * 1996 for number in range(4000)))
    next(first)
    tracemalloc.start()
    stalled = [story(world) for _ in range(20)]
    for client in stalled:
        next(client), next(client)
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < size_bytes


def test_w23_a_crowd_over_two_instances_makes_one_build_and_everyone_gets_a_server(crowded: Fakes) -> None:
    repo, crowd_size = crowded.know(SPEC), 100
    worlds = [crowded.world(), crowded.world()]
    waiting = threading.Semaphore(0)

    def take_part(number: int) -> str:
        told = story(worlds[number % 2], asked(resume_key=f"browser {number}"))
        next(told)
        waiting.release()
        return str(next(event["phase"] for event in told if event["phase"] in ("ready", "failed")))

    with ThreadPoolExecutor(crowd_size) as crowd:
        ends = [crowd.submit(take_part, number) for number in range(crowd_size)]
        for _ in range(crowd_size):
            assert waiting.acquire(timeout=60)
        crowded.finish_build(repo)
        on_build_complete(
            request(body=push(crowded.backend.submitted[0].name), authorization="Bearer push"), crowded.world()
        )
        assert {future.result(60) for future in ends} == {"ready"}
    assert (len(crowded.backend.submitted), len(crowded.hub.started)) == (1, crowd_size)
