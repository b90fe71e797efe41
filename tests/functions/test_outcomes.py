"""Every end is counted once: whoever watches, dies, repeats or folds."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.stores.sqlite import SQLiteStore
from functions.core.metrics import Outcome
from functions.core.ports import BuildStatus
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.reporting.outcomes import FOLD_AFTER_S, MOST_AT_ONCE, fold_batch, read_totals
from functions.state.records import outcomes as rows
from tests.fakes.store import Died
from tests.fakes.world import Fakes
from tests.functions.test_cull import run
from tests.functions.test_on_build_complete import begin, deliver

SPEC = "owner/plots/main"


def launch(fakes: Fakes) -> None:
    for _ in launch_stream(
        Asked(provider="gh", spec=SPEC, host="", client_ip="", resume_key="k", resume=None), fakes.world()
    ):
        pass


def counts(fakes: Fakes) -> dict[tuple[str, str], int]:
    """How many there were of each kind of end."""
    found: dict[tuple[str, str], int] = {}
    for series, count in read_totals(fakes.world()).counts.items():
        found[series.what, series.status] = found.get((series.what, series.status), 0) + count
    return found


def with_rows(number: int, fakes: Fakes | None = None) -> Fakes:
    """A world where so many launches ended, long enough ago to be folded."""
    fakes = fakes or Fakes()
    for n in range(number):
        rows(fakes.store).create_if_absent(
            Outcome(
                key=f"launch/{n}",
                what="launch",
                status="success",
                provider="GitHub",
                repo=f"https://example.org/{n % 3}",
                seconds=n / 10,
                retries="0",
                at=fakes.clock.time - FOLD_AFTER_S - 1,
            )
        )
    return fakes


def kept(fakes: Fakes) -> int:
    return len(fakes.store.query("outcome", "what", "launch"))


def test_a_launch_and_its_build_are_counted() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    deliver(fakes)
    fakes.hub.make_ready(fakes.hub.started[0][0])
    run(fakes)
    assert counts(fakes) == {("build", "success"): 1, ("launch", "success"): 1}


def test_a_build_is_counted_once_however_many_watch_it() -> None:
    fakes = Fakes()
    for _ in range(3):
        begin(fakes)
    fakes.backend.finish(fakes.backend.submitted[0].name, BuildStatus.FAILURE, "no such package")
    for _ in range(2):
        deliver(fakes)
    assert counts(fakes) == {("build", "failure"): 1}


def test_a_launch_whose_server_fails_is_counted_as_failed() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    deliver(fakes)
    for _ in range(3):
        fakes.hub.set_server(fakes.hub.started[0][0], None)
        run(fakes)
        fakes.clock.sleep(10)
        run(fakes)
    assert counts(fakes) == {("build", "success"): 1, ("launch", "failure"): 1}


def test_a_launch_says_how_often_its_server_was_started_again() -> None:
    fakes = Fakes()
    fakes.know(SPEC, built=True)
    fakes.hub.losses = 1
    launch(fakes)
    assert [series.retries for series in read_totals(fakes.world()).times if series.what == "launch"] == ["1"]


def test_wherever_an_instance_dies_its_launch_is_counted_once() -> None:
    for calls in range(1000):
        fakes = Fakes()
        fakes.know(SPEC, built=True)
        fakes.store.calls_left = calls
        with suppress(Died):
            launch(fakes)
        survived, fakes.store.calls_left = bool(fakes.store.calls_left), None
        fakes.clock.time += 31
        launch(fakes)
        assert counts(fakes) == {("launch", "success"): len(fakes.hub.started)}
        if survived:
            return
    raise AssertionError("a launch never ended")


def test_wherever_an_instance_dies_its_build_is_counted_once() -> None:
    for calls in range(1000):
        fakes = Fakes()
        fakes.finish_build(begin(fakes))
        fakes.store.calls_left = calls
        with suppress(Died):
            deliver(fakes)
        survived, fakes.store.calls_left = bool(fakes.store.calls_left), None
        fakes.clock.time += 31
        run(fakes)
        assert counts(fakes)["build", "success"] == 1
        if survived:
            return
    raise AssertionError("a delivery never ended")


def test_the_cull_folds_every_row_and_nothing_changes() -> None:
    fakes = with_rows(MOST_AT_ONCE + 3)
    before = read_totals(fakes.world())
    assert run(fakes)["removed"] == {"outcome": {"is in the totals": MOST_AT_ONCE + 3}}
    after = read_totals(fakes.world())
    assert (after.counts, after.times) == (before.counts, before.times)
    assert kept(fakes) == 0


def test_a_round_with_nothing_to_fold_deletes_nothing() -> None:
    fakes = with_rows(2)
    run(fakes)
    run(fakes)
    assert fakes.store.deletions == ["launch/0", "launch/1"]


def test_a_fresh_row_is_kept_as_long_as_its_end_may_be_written_again() -> None:
    fakes = Fakes()
    fakes.know(SPEC, built=True)
    launch(fakes)
    run(fakes)
    assert kept(fakes) == 1
    fakes.clock.time += FOLD_AFTER_S
    run(fakes)
    assert kept(fakes) == 0
    assert counts(fakes) == {("launch", "success"): 1}


def fold_all(fakes: Fakes) -> int:
    """Fold everything in small batches."""
    return sum(iter(lambda: fold_batch(fakes.world(), most=4), 0))


def test_wherever_a_fold_dies_nothing_is_lost_or_doubled() -> None:
    expected = read_totals(with_rows(10).world())
    for calls in range(1000):
        fakes = with_rows(10)
        fakes.store.calls_left = calls
        with suppress(Died):
            fold_all(fakes)
        survived, fakes.store.calls_left = bool(fakes.store.calls_left), None
        for _ in range(2):
            seen = read_totals(fakes.world())
            assert (seen.counts, seen.times) == (expected.counts, expected.times)
            fold_all(fakes)
        assert kept(fakes) == 0
        if survived:
            return
    raise AssertionError("a fold never ended")


@pytest.mark.parametrize("batches", [1, 2, 4])
@pytest.mark.parametrize("query", [0, 1], ids=["before the rows are read", "after"])
def test_a_fold_in_the_middle_of_a_scrape_is_not_seen(batches: int, query: int) -> None:
    fakes = with_rows(10)

    def fold() -> None:
        for _ in range(batches):
            fold_batch(fakes.world(), most=4)

    fakes.store.meanwhile = [*[lambda: None] * query, fold]
    assert counts(fakes) == {("launch", "success"): 10}
    assert fakes.store.get("totals", "metrics") is not None


def test_many_may_fold_at_once(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "store.db")
    fakes: Fakes = with_rows(60, Fakes(store=store))  # type: ignore[arg-type]
    with ThreadPoolExecutor(4) as pool:
        folded = sum(pool.map(lambda _: fold_all(fakes), range(4)))
    assert folded == 60
    assert counts(fakes) == {("launch", "success"): 60}
    assert kept(fakes) == 0
    store.close()


def events(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "launch"]


def test_a_launch_is_logged_once_as_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "functions")
    fakes = Fakes()
    repo = fakes.know(SPEC, built=True)
    for _ in range(2):
        launch(fakes)
    [event] = events(caplog)
    assert (event["schema"], event["provider"], event["spec"]) == ("binderhub.jupyter.org/launch", "GitHub", SPEC)
    assert (event["ref"], event["status"]) == (repo.sha, "success")


def test_a_launch_that_fails_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "functions")
    fakes = Fakes()
    begin(fakes)
    fakes.backend.finish(fakes.backend.submitted[0].name, BuildStatus.FAILURE, "no such package")
    deliver(fakes)
    assert [event["status"] for event in events(caplog)] == ["failure"]
