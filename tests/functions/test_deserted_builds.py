"""A build that everybody has left, where the operator wants it cancelled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.core.launch import Phase
from tests.fakes.world import Fakes
from tests.functions.test_cull import run
from tests.functions.test_on_build_complete import begin


@pytest.fixture
def fakes() -> Fakes:
    """A launch whose watcher left ten minutes ago, while its build goes on."""
    fakes = Fakes(settings={"builds": {"cancel_deserted_s": 300}})
    begin(fakes)
    fakes.clock.time += 600
    return fakes


def change_launch(fakes: Fakes, **changes: Any) -> None:
    [launch] = fakes.world().launches.where("open", "yes")
    fakes.world().launches.change(launch.id, lambda it: replace(it, **changes))


def cancelled(fakes: Fakes, query: str = "") -> bool:
    run(fakes, query)
    return fakes.backend.cancelled == [fakes.backend.submitted[0].name]


def test_a_build_that_everybody_has_left_is_cancelled_and_not_begun_again(fakes: Fakes) -> None:
    assert cancelled(fakes)
    run(fakes)
    assert len(fakes.backend.submitted) == 1
    [launch] = fakes.world().launches.where("open", "no")
    assert launch.phase is Phase.STOPPED


def test_whoever_comes_after_it_was_cancelled_gets_another_build(fakes: Fakes) -> None:
    assert cancelled(fakes)
    begin(fakes)
    assert len(fakes.backend.submitted) == 2


def test_a_build_goes_on_where_the_operator_has_said_nothing(fakes: Fakes) -> None:
    fakes.settings = {}
    assert not cancelled(fakes)


def test_a_build_goes_on_while_somebody_watches(fakes: Fakes) -> None:
    change_launch(fakes, last_seen_at=fakes.clock.time - 10)
    assert not cancelled(fakes)


def test_a_build_goes_on_when_one_of_many_watches(fakes: Fakes) -> None:
    begin(fakes)
    assert not cancelled(fakes)


def test_a_build_goes_on_for_who_wants_the_image_alone(fakes: Fakes) -> None:
    change_launch(fakes, build_only=True)
    assert not cancelled(fakes)


def test_a_build_goes_on_while_its_launch_takes_a_step(fakes: Fakes) -> None:
    change_launch(fakes, lease_holder="another", lease_until=fakes.clock.time + 10)
    assert not cancelled(fakes)


def test_a_build_that_no_launch_waits_for_goes_on(fakes: Fakes) -> None:
    change_launch(fakes, phase=Phase.STOPPED)
    assert not cancelled(fakes)


def test_a_dry_run_cancels_nothing(fakes: Fakes) -> None:
    assert not cancelled(fakes, "?dry_run=true")
