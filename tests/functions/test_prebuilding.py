"""What pushes lead to: one build of the newest commit, within what the operator allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from functions.core.errors import RefNotFound, RepoNotFound, UpstreamError
from functions.core.ports import BuildStatus
from functions.core.webhooks import Push
from functions.launching.arrival import Asked
from functions.launching.prebuilding import Told, keep_up, prebuild
from functions.launching.stream import launch_stream
from functions.state import records
from tests.fakes.store import Died
from tests.fakes.world import Fakes
from tests.functions.test_cull import run as cull

MAIN = Push(provider="gh", repository="owner/plots", ref="main", spec="owner/plots/main", head_spec="owner/plots/HEAD")
SIDE = replace(MAIN, ref="side", spec="owner/plots/side", head_spec="")
SHAS = [f"{number:040x}" for number in range(1, 12)]


def fakes(**settings: Any) -> Fakes:
    return Fakes(settings={"webhooks": {"repositories": ["gh/owner/*"]} | settings})


def arrive(made: Fakes, sha: str = SHAS[0], push: Push = MAIN) -> Told:
    """A push of *sha*, told of by its host."""
    for spec in filter(None, [push.spec, push.head_spec]):
        made.provider.know(spec, sha)
    return prebuild(replace(push, sha=sha), made.world())


def round_(made: Fakes, *, later_s: float = 0.0) -> dict[str, int]:
    made.clock.time += later_s
    return dict(keep_up(made.world(), until=made.clock.time + 100))


def built(made: Fakes) -> list[str]:
    """The commits whose builds have begun."""
    return [request.ref for request in made.backend.submitted]


def due(made: Fakes) -> int:
    return len(made.store.query("prebuild", "due", "yes"))


def begin_launch(made: Fakes, spec: str) -> None:
    asked = Asked(provider="gh", spec=spec, host="", client_ip="", resume_key="", resume=None)
    for chunk in launch_stream(asked, made.world()):
        if "Waiting for build" in chunk:
            break


def test_a_push_begins_a_build_at_once() -> None:
    made = fakes()
    told = arrive(made)
    assert told.status == "QUEUED" and told.image.endswith(SHAS[0])
    assert (built(made), due(made)) == ([SHAS[0]], 0)


def test_launches_know_the_new_commit_without_asking() -> None:
    made = fakes()
    arrive(made)
    asked = len(made.provider.asked)
    world = made.world()
    assert world.refs.resolve(made.provider, MAIN.spec).repo.sha == SHAS[0]
    assert len(made.provider.asked) == asked


def test_another_branch_than_the_default_one_leaves_head_alone() -> None:
    made = fakes()
    arrive(made, push=SIDE)
    assert made.provider.asked == [SIDE.spec]


def test_ten_pushes_in_a_minute_build_the_first_and_the_newest_commit() -> None:
    made = fakes()
    for sha in SHAS[:10]:
        arrive(made, sha)
        made.clock.time += 5
    assert made.clock.slept == []
    round_(made)
    assert built(made) == [SHAS[0]]
    round_(made, later_s=10)
    assert built(made) == [SHAS[0], SHAS[9]]
    assert due(made) == 0


def test_a_push_after_the_pause_builds_at_once() -> None:
    made = fakes()
    arrive(made, SHAS[0])
    made.clock.time += 60
    assert arrive(made, SHAS[1]).status == "QUEUED"


def test_branches_do_not_wait_for_each_other() -> None:
    made = fakes()
    arrive(made, SHAS[0])
    assert arrive(made, SHAS[1], SIDE).status == "QUEUED"


def test_a_superseded_build_that_nobody_waits_for_is_cancelled() -> None:
    made = fakes(debounce_s=0)
    first = arrive(made, SHAS[0])
    arrive(made, SHAS[1])
    assert made.backend.cancelled == [made.backend.submitted[0].name]
    build = made.world().builds.get(first.image)
    assert build is not None and build.status is BuildStatus.CANCELLED and "newer commit" in build.reason


def test_a_cancelled_build_counts_neither_as_success_nor_as_failure() -> None:
    made = fakes(debounce_s=0)
    arrive(made, SHAS[0])
    arrive(made, SHAS[1])
    assert made.store.query("outcome", "what", "build") == []


def test_whoever_launches_the_older_commit_after_that_gets_it_built_at_once() -> None:
    made = fakes(debounce_s=0)
    arrive(made, SHAS[0])
    arrive(made, SHAS[1])
    spec = f"owner/plots/{SHAS[0]}"
    made.provider.know(spec, SHAS[0])
    begin_launch(made, spec)
    assert built(made) == [SHAS[0], SHAS[1], SHAS[0]]


def test_a_superseded_build_that_somebody_waits_for_goes_on() -> None:
    made = fakes(debounce_s=0)
    arrive(made, SHAS[0])
    begin_launch(made, MAIN.spec)
    arrive(made, SHAS[1])
    assert made.backend.cancelled == []


def test_a_superseded_build_that_another_branch_wants_goes_on() -> None:
    made = fakes(debounce_s=0)
    arrive(made, SHAS[0])
    arrive(made, SHAS[0], SIDE)
    arrive(made, SHAS[1])
    assert (built(made), made.backend.cancelled) == ([SHAS[0], SHAS[1]], [])


def test_going_back_to_a_commit_that_is_built_stops_the_build_of_the_newer_one() -> None:
    made = fakes(debounce_s=0)
    made.registry.put(arrive(made, SHAS[0]).image)
    made.backend.finish(made.backend.submitted[0].name)
    arrive(made, SHAS[1])
    assert arrive(made, SHAS[0]).status == "there"
    assert made.backend.cancelled == [made.backend.submitted[1].name]


def test_a_commit_that_could_not_be_built_is_not_tried_again_by_another_delivery() -> None:
    made = fakes(debounce_s=0)
    arrive(made)
    made.backend.finish(made.backend.submitted[0].name, BuildStatus.FAILURE, "no such package")
    for build in made.world().builds.where("open", "yes"):
        made.world().builds.change(build.image, lambda it: replace(it, status=BuildStatus.FAILURE, reason="no"))
    assert arrive(made).status == "FAILURE"
    assert built(made) == [SHAS[0]]


def test_a_repository_has_a_budget_of_builds_for_each_day() -> None:
    made = fakes(debounce_s=0, builds_per_day=2)
    told = [arrive(made, sha) for sha in SHAS[:3]]
    assert [it.status for it in told] == ["QUEUED", "QUEUED", "ignored"]
    assert "2 builds today" in told[2].reason
    assert (built(made), due(made)) == (SHAS[:2], 0)
    made.clock.time += 86400
    assert arrive(made, SHAS[3]).status == "QUEUED"


def test_a_budget_is_not_spent_on_what_is_there_already() -> None:
    made = fakes(debounce_s=0, builds_per_day=1)
    made.know("owner/plots/other", built=True)
    arrive(made, "c0ffee" * 6 + "c0ff")
    assert arrive(made, SHAS[0]).status == "QUEUED"


def test_a_budget_of_zero_has_no_end() -> None:
    made = fakes(debounce_s=0, builds_per_day=0)
    assert {arrive(made, sha).status for sha in SHAS} == {"QUEUED"}


def test_an_old_delivery_that_comes_again_moves_nothing() -> None:
    made = fakes(debounce_s=0)
    arrive(made, SHAS[1])
    told = prebuild(replace(MAIN, sha=SHAS[0]), made.world())
    assert "another commit" in told.reason
    assert made.world().refs.resolve(made.provider, MAIN.spec).repo.sha == SHAS[1]
    assert built(made) == [SHAS[1]]


def test_a_host_that_shows_the_push_later_is_asked_again() -> None:
    made = fakes()
    made.provider.know(MAIN.spec, SHAS[0])
    made.provider.know(MAIN.head_spec, SHAS[0])
    prebuild(replace(MAIN, sha=SHAS[1]), made.world())
    made.provider.know(MAIN.spec, SHAS[1])
    round_(made, later_s=60)
    assert (built(made), due(made)) == ([SHAS[0], SHAS[1]], 0)


@pytest.mark.parametrize(
    "error", [UpstreamError("GitHub", "is out."), RefNotFound("https://example.org/x", "main")], ids=["out", "unseen"]
)
def test_a_push_that_its_host_does_not_show_is_tried_again(error: Any) -> None:
    made = fakes()
    made.provider.fail(MAIN.spec, error)
    assert prebuild(MAIN, made.world()).status == "later"
    for spec in (MAIN.spec, MAIN.head_spec):
        made.provider.know(spec, SHAS[0])
    assert round_(made) == {"QUEUED": 1}
    assert (built(made), due(made)) == ([SHAS[0]], 0)


def test_a_backend_that_is_out_is_tried_again_after_the_pause() -> None:
    made = fakes()
    made.backend.error = UpstreamError("Kubernetes", "is out.")
    assert arrive(made).status == "later"
    made.backend.error = None
    round_(made)
    assert built(made) == []
    round_(made, later_s=60)
    assert (built(made), due(made)) == ([SHAS[0]], 0)


def test_a_registry_that_is_out_makes_no_build() -> None:
    made = fakes()
    made.registry.error = UpstreamError("The registry", "is out.")
    assert arrive(made).status == "later"
    assert built(made) == []


def test_what_never_works_is_given_up() -> None:
    made = fakes()
    made.provider.fail(MAIN.spec, UpstreamError("GitHub", "is out."))
    prebuild(MAIN, made.world())
    assert round_(made, later_s=600) == {"later": 1}
    assert round_(made, later_s=3600) == {"ignored": 1}
    assert due(made) == 0


def test_a_repository_that_is_private_or_gone_is_ignored() -> None:
    made = fakes()
    made.provider.fail(MAIN.spec, RepoNotFound("https://github.com/owner/plots"))
    told = prebuild(MAIN, made.world())
    assert told.status == "ignored" and "no public repository" in told.reason
    assert due(made) == 0


def test_head_is_what_the_host_says_and_not_what_a_delivery_does() -> None:
    made = fakes()
    made.provider.know(MAIN.head_spec, SHAS[1])
    before = made.world().refs.resolve(made.provider, MAIN.head_spec).repo
    made.provider.know(MAIN.spec, SHAS[0])
    prebuild(MAIN, made.world())
    assert made.provider.asked == [MAIN.head_spec, MAIN.spec]
    assert made.world().refs.resolve(made.provider, MAIN.head_spec).repo == before
    made.provider.know(MAIN.head_spec, SHAS[2])
    prebuild(MAIN, made.world())
    assert made.world().refs.resolve(made.provider, MAIN.head_spec).repo.sha == SHAS[2]


@pytest.mark.parametrize(
    ("push", "settings"),
    [
        (MAIN, {"repositories": ["gh/other/*"]}),
        (MAIN, {"refs": ["release-*"]}),
        (replace(MAIN, provider="gl"), {"repositories": ["*"]}),
    ],
    ids=["repository", "branch", "no provider"],
)
def test_what_is_not_allowed_is_neither_asked_for_nor_remembered(push: Push, settings: dict[str, Any]) -> None:
    made = fakes(**settings)
    assert prebuild(push, made.world()).status == "ignored"
    assert (made.provider.asked, due(made)) == ([], 0)


def test_whenever_an_instance_dies_the_commit_is_built_once() -> None:
    for calls in range(1, 40):
        made = fakes()
        made.provider.know(MAIN.spec, SHAS[0])
        made.provider.know(MAIN.head_spec, SHAS[0])
        made.store.calls_left = calls
        try:
            prebuild(MAIN, made.world())
        except Died:
            made.store.calls_left = None
            if not made.store.query("prebuild", "due", "yes"):
                # Nothing had been written, or all: a click, or the next push, finds what there is.
                continue
            round_(made, later_s=120)
            assert built(made) == [SHAS[0]], calls
            assert due(made) == 0
        else:
            return
    raise AssertionError("it never came to an end")


def test_a_round_stops_when_its_time_is_over() -> None:
    made = fakes()
    made.provider.fail(MAIN.spec, UpstreamError("GitHub", "is out."))
    prebuild(MAIN, made.world())
    assert keep_up(made.world(), until=made.clock.time - 1) == {}
    assert due(made) == 1


def test_the_scheduled_round_sees_to_what_was_put_off() -> None:
    made = fakes()
    made.provider.fail(MAIN.spec, UpstreamError("GitHub", "is out."))
    prebuild(MAIN, made.world())
    for spec in (MAIN.spec, MAIN.head_spec):
        made.provider.know(spec, SHAS[0])
    made.clock.time += 120
    assert cull(made)["mended"]["push"] == {"QUEUED": 1}
    assert built(made) == [SHAS[0]]


def test_what_was_pushed_is_forgotten_in_time() -> None:
    made = fakes()
    arrive(made)
    made.clock.time += 86400
    assert cull(made)["removed"]["prebuild_day"] == {"was not asked for": 1}
    made.clock.time += 7 * 86400
    assert cull(made)["removed"]["prebuild"] == {"was not asked for": 1}


def test_a_record_of_a_push_is_read_as_it_was_written() -> None:
    made = fakes()
    arrive(made)
    prebuilds = records.prebuilds(made.store, expires_on=lambda _: "2026-01-01")
    [it] = prebuilds.where("due", "no")
    assert (it.push, it.image) == (replace(MAIN, sha=SHAS[0]), made.backend.submitted[0].image)


def test_a_backend_that_is_out_costs_no_budget() -> None:
    made = fakes(builds_per_day=2)
    made.backend.error = UpstreamError("Kubernetes", "cannot be reached.")
    arrive(made)
    for _ in range(5):
        round_(made, later_s=61)
    made.backend.error = None
    round_(made, later_s=61)
    assert built(made) == [SHAS[0]]
    made.clock.time += 61
    assert arrive(made, SHAS[1]).status != "ignored"


def test_a_superseded_build_that_could_not_be_stopped_is_stopped_later(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fakes()
    arrive(made)
    made.clock.time += 61
    with monkeypatch.context() as out:
        out.setattr(made.backend, "cancel", raising(UpstreamError("Kubernetes", "did not answer.")))
        assert arrive(made, SHAS[1]).status == "later"
    [older, _] = made.backend.submitted
    build = made.world().builds.get(older.image)
    assert build is not None and build.open
    round_(made, later_s=61)
    assert len(made.backend.cancelled) == 1


def raising(error: Exception) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise error

    return call
