"""A Hub that starts only so many servers at once: it is asked in order, hardly in vain, and nobody is lost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from functions.core.launch import Phase
from functions.launching.advance import advance
from functions.launching.stream import launch_stream
from functions.state.places import LIFE_S
from tests.fakes.world import Fakes
from tests.functions.following import SPEC, asked, follow, launch
from tests.functions.queueing import PEOPLE, BusyHub, come, command, waits


@pytest.fixture
def fakes() -> Fakes:
    fakes = Fakes()
    fakes.know(SPEC, built=True)
    return fakes


def test_a_busy_hub_is_asked_in_order_and_hardly_in_vain(fakes: Fakes) -> None:
    hub = BusyHub(fakes, limit=8, retry_after_s=45)
    worlds = [fakes.world(), fakes.world()]
    waiting = []
    for number, who in enumerate(PEOPLE[:40]):
        fakes.clock.sleep(0.01)
        waiting.append(come(worlds[number % 2], who))
    begun = fakes.clock.time
    while any(it.phase is not Phase.READY for it in waiting) and fakes.clock.time < begun + 600:
        fakes.clock.sleep(1)
        hub.finish(2)
        now = fakes.clock.time
        for number, it in enumerate(waiting):
            if it.phase is not Phase.READY:
                worlds[0].launches.change(it.id, partial(replace, last_seen_at=now))
                waiting[number] = advance(it.id, worlds[number % 2]) or it
    assert {it.phase for it in waiting} == {Phase.READY}
    asked_at = [it.asked_at for it in waiting]
    assert all(before <= after + LIFE_S for before, after in zip(asked_at, asked_at[1:], strict=False))
    # Forty at two a second would be twenty seconds; a place is seen to be free within three.
    assert fakes.clock.time - begun < 60
    assert hub.refusals <= 4


def test_a_busy_hub_that_frees_no_start_is_asked_again_after_the_time_it_named(fakes: Fakes) -> None:
    hub = BusyHub(fakes, limit=0, retry_after_s=45)
    world = fakes.world()
    told = follow(world)
    event = waits(told)
    assert event["message"] == "The hub is busy. You are number 1 in the queue.\n"
    hub.limit = 1
    begun = fakes.clock.time
    assert list(told)[-1]["phase"] == "ready"
    assert 45 <= fakes.clock.time - begun < 45 + 2 * LIFE_S
    assert hub.refusals == 1


def test_a_hub_that_is_busy_for_an_hour_loses_nobody(fakes: Fakes) -> None:
    hub = BusyHub(fakes, limit=0, retry_after_s=60)
    told = follow(fakes.world())
    waits(told)
    end = fakes.clock.time + 3000
    for event in told:
        assert event["phase"] != "failed"
        if fakes.clock.time > end:
            break
        if fakes.clock.time > end - 100:
            hub.limit = 1
    else:
        assert event["phase"] == "ready"


def test_who_steps_back_waits_quietly(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    command(fakes, "quota 1")
    world = fakes.world()
    fakes.know("owner/other/main", built=True)
    launch(world, asked("owner/other/main"))
    fakes.clock.sleep(LIFE_S + 1)
    told = launch_stream(asked(), world)
    assert any("This hub is full." in chunk for chunk in told)
    command(fakes, "quota 2")
    hub = BusyHub(fakes, limit=0, retry_after_s=60)
    assert any("The hub is busy." in chunk for chunk in told)
    command(fakes, "quota 1")
    fakes.clock.sleep(LIFE_S + 1)
    hub.limit = 1
    begun, writes, write = fakes.clock.time, list[str](), fakes.store.compare_and_set

    def counting(kind: str, *rest: Any) -> Any:
        writes.append(kind)
        return write(kind, *rest)

    monkeypatch.setattr(fakes.store, "compare_and_set", counting)
    assert any(fakes.clock.time > begun + 60 for _ in told)
    assert writes.count("launch") < 20
    assert len(fakes.hub.started) == 1


def test_who_comes_back_to_the_queue_of_a_hub_asks_after_all_who_stayed(fakes: Fakes) -> None:
    world = fakes.world()
    hub = BusyHub(fakes, limit=0, retry_after_s=60)
    left, *stayed = [come(world, who) for who in PEOPLE[:6]]
    fakes.clock.sleep(100)
    for one in stayed:
        world.launches.change(one.id, lambda it: replace(it, last_seen_at=fakes.clock.time))
    world.gate.ask(lambda: hub.start_server("another", {}))
    fakes.clock.sleep(LIFE_S + 1)
    assert [world.gate.turn(one).ahead for one in stayed] == [0, 1, 2, 3, 4]
    turn = world.gate.turn(replace(left, last_seen_at=fakes.clock.time))
    assert (turn.now, turn.ahead) == (False, 5)
