"""The launch as its watcher sees it, over fakes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from functions.core.errors import LaunchFailed, RateLimited, RefNotFound, UpstreamError
from functions.core.launch import Phase
from functions.core.ports import BuildStatus, ResolvedRepo
from functions.core.progress import EventId, parse_event_id
from tests.fakes.world import Fakes, RunningClock
from tests.functions.following import SPEC, asked, follow, launch, phases, until


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def crowded() -> Fakes:
    """Fakes in real time, for many who wait at once."""
    return Fakes(clock=RunningClock())


def test_an_image_that_is_there_is_launched_without_a_build(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    assert phases(launch(fakes.world())) == ["built", "launching", "ready"]
    assert fakes.backend.submitted == []


def test_ready_says_where_the_server_is_and_what_opens_it(fakes: Fakes) -> None:
    repo = fakes.know(SPEC, built=True)
    ready = launch(fakes.world())[-1]
    user = fakes.hub.started[0][0]
    assert ready["url"] == f"https://hub.example.org/user/{user}/"
    assert ready["token"] == "server-token"
    assert ready["image"] == fakes.image(repo)
    assert ready["binder_persistent_request"] == f"v2/gh/owner/plots/{repo.sha}"
    assert all("message" in event for event in launch(fakes.world()))


def test_the_hubs_own_progress_is_told(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    assert "Server requested\n" in [event["message"] for event in launch(fakes.world())]


def test_a_missing_image_is_built_and_its_log_is_told(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    story = follow(fakes.world())
    assert until(story, "waiting")["message"] == "Waiting for build to start...\n"
    fakes.finish_build(repo, '{"message": "Step 1", "phase": "building"}', "raw")
    rest = list(story)
    assert [event["message"] for event in rest[:2]] == ["Step 1", "raw\n"]
    assert phases(rest)[-1] == "ready"


def test_a_failed_build_is_told_once_with_its_reason(fakes: Fakes) -> None:
    fakes.know(SPEC)
    story = follow(fakes.world())
    until(story, "waiting")
    name = fakes.backend.submitted[0].name
    fakes.backend.write(name, '{"message": "no such package", "phase": "failed"}')
    fakes.backend.finish(name, BuildStatus.FAILURE, "no such package")
    told = list(story)
    assert [event["phase"] for event in told] == ["building", "failed"]
    assert told[-1]["message"] == "no such package\n"


def test_a_fresh_failure_is_told_again_with_its_log_and_not_built_again(fakes: Fakes) -> None:
    test_a_failed_build_is_told_once_with_its_reason(fakes)
    again = launch(fakes.world())
    assert [event["phase"] for event in again] == ["waiting", "building", "failed"]
    assert len(fakes.backend.submitted) == 1


def test_a_failure_that_was_ours_is_tried_again_by_itself(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    story = follow(fakes.world())
    until(story, "waiting")
    fakes.backend.finish(fakes.backend.submitted[0].name, BuildStatus.INTERNAL_ERROR, "evicted", our_fault=True)
    until(story, "waiting")
    fakes.finish_build(repo)
    assert until(story, "ready")
    assert len({request.name for request in fakes.backend.submitted}) == 2


def test_many_launches_of_one_image_make_one_build_and_a_server_each(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    stories = [follow(world) for world in (fakes.world(), fakes.world()) for _ in range(5)]
    for story in stories:
        until(story, "waiting")
    fakes.finish_build(repo)
    assert len({until(story, "ready")["url"] for story in stories}) == 10
    assert len(fakes.backend.submitted) == 1


def test_a_hundred_watchers_on_one_instance_read_the_log_once(crowded: Fakes) -> None:
    repo, world = crowded.know(SPEC), crowded.world()
    told: dict[str, list[str]] = {}

    def watch() -> None:
        story = follow(world)
        for event in story:
            told.setdefault(event["phase"], []).append(event["message"])
            if event["phase"] == "ready":
                break

    watchers = [threading.Thread(target=watch) for _ in range(100)]
    for watcher in watchers:
        watcher.start()
    wait_until(lambda: len(told.get("waiting", [])) == 100)
    crowded.backend.write(crowded.backend.submitted[0].name, *[f"line {n}" for n in range(50)])
    wait_until(lambda: len(told.get("unknown", [])) == 5000)
    crowded.finish_build(repo)
    for watcher in watchers:
        watcher.join()
    assert len(told["ready"]) == len(crowded.hub.started) == 100
    assert len(crowded.backend.submitted) == 1
    assert [cursor for _, cursor in crowded.backend.log_reads].count("") == 1


def wait_until(true: Callable[[], bool], *, patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_dropped_stream_goes_on_where_it_was_on_another_instance(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    story = follow(fakes.world())
    until(story, "waiting")
    name = fakes.backend.submitted[0].name
    fakes.backend.write(name, "one", "two")
    last = until(story, "unknown")
    fakes.finish_build(repo, "three")
    told = launch(fakes.world(), asked(resume=parse_event_id(last["id"])))
    assert [event["message"] for event in told[:2]] == ["two\n", "three\n"]
    assert phases(told) == ["unknown", "built", "launching", "ready"]
    assert len(fakes.backend.submitted) == len(fakes.hub.started) == 1


def test_a_stream_that_dropped_before_ready_is_told_where_the_server_is(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    first = follow(fakes.world())
    last = until(first, "launching")
    told = launch(fakes.world(), asked(resume=parse_event_id(last["id"])))
    assert told[-1]["phase"] == "ready"
    assert len(fakes.hub.started) == 1


def test_a_reload_after_ready_finds_the_same_server(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    first = launch(fakes.world(), asked(key="k"))
    again = launch(fakes.world(), asked(key="k"))
    assert first[-1]["url"] == again[-1]["url"]
    assert len(fakes.hub.started) == 1


def test_a_reload_after_the_server_was_stopped_gets_a_new_one(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    first = launch(fakes.world(), asked(key="k"))
    fakes.hub.delete_user(fakes.hub.started[0][0])
    assert launch(fakes.world(), asked(key="k"))[-1]["url"] != first[-1]["url"]


def test_a_second_tab_joins_the_launch_of_the_first(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    tabs = [follow(fakes.world(), asked(key="k")) for _ in range(2)]
    for tab in tabs:
        until(tab, "waiting")
    fakes.finish_build(repo)
    assert len({until(tab, "ready")["url"] for tab in tabs}) == 1


def test_an_event_id_of_another_link_is_not_followed(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.know("owner/other/main", built=True)
    mine = launch(fakes.world())[-1]
    other = launch(fakes.world(), asked("owner/other/main", resume=parse_event_id(mine["id"])))
    assert other[-1]["url"] != mine["url"]


def test_an_unknown_event_id_begins_anew(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    assert phases(launch(fakes.world(), asked(resume=EventId("f" * 32, 99)))) == ["built", "launching", "ready"]


def test_a_hub_that_is_full_means_queued_not_failed(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.hub.errors = [RateLimited("JupyterHub", retry_after_s=20)]
    told = launch(fakes.world())
    assert phases(told) == ["built", "launching", "waiting", "ready"]
    assert sum(fakes.clock.slept) >= 20


def test_a_hub_that_is_away_for_a_while_is_waited_for(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.hub.errors = [UpstreamError("JupyterHub", "answered 503.") for _ in range(4)]
    assert launch(fakes.world())[-1]["phase"] == "ready"
    assert len(fakes.hub.created) == 1


def test_a_server_that_is_lost_before_it_is_ready_is_started_again(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.hub.losses = 2
    told = launch(fakes.world())
    assert told[-1]["phase"] == "ready"
    assert len(fakes.hub.started) == 3
    assert len({user for user, _ in fakes.hub.started}) == 1
    assert "The server did not start. It is started once more...\n" in [event["message"] for event in told]


def test_a_server_that_never_starts_fails_the_launch_in_the_hubs_words(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.hub.losses = 100
    last = launch(fakes.world())[-1]
    assert (last["phase"], last["message"]) == ("failed", "Spawn failed: Its machine is gone.\n")
    assert len(fakes.hub.started) == 3
    assert fakes.hub.users().users == []


def test_a_hub_that_is_away_for_too_long_fails_the_launch(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.hub.errors = [UpstreamError("JupyterHub", "answered 503.") for _ in range(1000)]
    last = launch(fakes.world())[-1]
    assert (last["phase"], last["status_code"]) == ("failed", 504)


def test_a_refusal_for_good_is_told_at_once_in_the_hubs_words(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    fakes.hub.errors = [LaunchFailed("No more servers for you.")]
    last = launch(fakes.world())[-1]
    assert (last["phase"], last["message"]) == ("failed", "No more servers for you.\n")
    assert fakes.clock.slept == []


@pytest.mark.parametrize(
    ("provider", "spec", "message"),
    [
        ("nope", SPEC, "No provider found for prefix nope\n"),
        ("gh", "owner/none/main", "There is no public repository at https://git.example.org/owner/none/main."),
    ],
)
def test_a_link_that_leads_nowhere_fails_with_a_sentence(fakes: Fakes, provider: str, spec: str, message: str) -> None:
    told = launch(fakes.world(), asked(spec, provider=provider))
    assert [event["phase"] for event in told] == ["failed"]
    assert told[0]["message"].startswith(message.rstrip("\n"))


def test_a_link_to_the_old_default_branch_is_launched_from_head(fakes: Fakes) -> None:
    fakes.provider.fail("owner/plots/master", RefNotFound("https://git.example.org/owner/plots", "master"))
    fakes.know("owner/plots/HEAD", built=True)
    told = launch(fakes.world(), asked("owner/plots/master"))
    assert phases(told) == ["waiting", "built", "launching", "ready"]
    assert told[-1]["binder_request"] == "v2/gh/owner/plots/HEAD"


def test_a_watcher_that_comes_back_late_gets_its_server(fakes: Fakes) -> None:
    repo, world = fakes.know(SPEC), fakes.world()
    last = until(follow(world, asked(key="k")), "waiting")
    fakes.clock.time += 3600
    fakes.finish_build(repo)
    found = parse_event_id(last["id"])
    assert found is not None
    assert launch(fakes.world(), asked(resume=found))[-1]["phase"] == "ready"


def test_a_bug_of_ours_tells_no_traceback(fakes: Fakes) -> None:
    def broken(spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        raise ZeroDivisionError

    fakes.provider.resolve = broken  # type: ignore[method-assign]
    assert launch(fakes.world())[-1]["message"] == "Internal error. Please try again.\n"


def test_a_watched_launch_is_seen(fakes: Fakes) -> None:
    fakes.know(SPEC, built=True)
    world = fakes.world()
    ready = follow(world)
    until(ready, "ready")
    next(ready, None)
    [record] = world.launches.where("running", "yes")
    assert record.collected_at > 0
    assert record.phase is Phase.READY
