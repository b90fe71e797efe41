"""A round with a Hub over real sockets that has many users: calls, memory, and what is left to the next round."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from functions.cull import cull
from functions.culling.rounds import begin
from functions.culling.unused import cull_users
from tests.fakes.stub_hub import StubHub, stub_hub
from tests.fakes.web import Reply
from tests.fakes.world import Fakes
from tests.functions.requests import request

BUSY_S, IDLE_S = 10, 700


@pytest.fixture
def hub() -> Iterator[StubHub]:
    with stub_hub() as hub:
        yield hub


def crowd(hub: StubHub, fakes: Fakes, count: int, *, idle: int = 0) -> None:
    """So many users, the first of whom are idle."""
    now = fakes.clock.now()
    hub.crowd = {f"u{number:05}": now - (IDLE_S if number < idle else BUSY_S) for number in range(count)}


def run(hub: StubHub, fakes: Fakes) -> dict[str, Any]:
    answer = cull(request(authorization="Bearer scheduler"), replace(fakes.world(), hub=hub.client()))
    report: dict[str, Any] = json.loads(answer.get_data())
    return report


def break_off(reply: Reply) -> None:
    reply.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{")
    reply.close_connection = True


def test_users_in_use_cost_a_call_for_two_hundred_and_no_query_each(hub: StubHub) -> None:
    fakes = Fakes()
    crowd(hub, fakes, 2000)
    assert run(hub, fakes)["kept"] == {"server": {"is in use": 2000}}
    assert len(hub.web.seen) == 10
    assert len(fakes.store.queries) < 25


def test_those_who_go_cost_two_calls_each(hub: StubHub) -> None:
    fakes = Fakes()
    crowd(hub, fakes, 1000, idle=300)
    report = run(hub, fakes)
    assert (report["removed"], report["kept"]) == ({"server": {"is idle": 300}}, {"server": {"is in use": 700}})
    assert len(hub.deleted) == 600
    pages = len(hub.web.seen) - len(hub.deleted)
    assert pages <= 6


def test_memory_does_not_grow_with_the_number_of_users(hub: StubHub) -> None:
    fakes = Fakes()
    crowd(hub, fakes, 200)
    run(hub, fakes)
    peaks = []
    for count in (500, 4000):
        crowd(hub, fakes, count)
        tracemalloc.start()
        run(hub, fakes)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A page and its answer; of each user only the name is kept.
    assert peaks[1] - peaks[0] < 3500 * 250


def test_more_than_a_round_may_ask_is_removed_by_the_next_ones(hub: StubHub) -> None:
    fakes = Fakes()
    crowd(hub, fakes, 120, idle=120)
    left = []
    for _ in range(3):
        round_ = begin(replace(fakes.world(), hub=hub.client()), dry_run=False)
        round_.hub_calls_left = 101
        cull_users(round_)
        round_.end()
        left.append(len(hub.crowd))
    assert left == [70, 20, 0]


def test_a_hub_whose_pages_are_broken_off_loses_nobody(hub: StubHub) -> None:
    fakes = Fakes()
    crowd(hub, fakes, 300, idle=300)
    hub.web.answer = break_off
    assert run(hub, fakes)["removed"] == {}
    assert len(hub.crowd) == 300
