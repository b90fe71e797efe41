"""More people than places: who waits is told so, goes on in order, and costs the services nothing."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from functions.core.errors import UpstreamError
from functions.core.launch import Launch
from functions.core.progress import parse_event_id
from functions.launching.advance import advance
from functions.launching.stream import SEEN_EVERY_S, launch_stream
from functions.state.places import LIFE_S
from tests.fakes.world import Fakes, events
from tests.functions.following import SPEC, asked, follow, launch, phases
from tests.functions.queueing import PEOPLE, STOPPED, BusyHub, come, command, waits


@pytest.fixture
def fakes() -> Fakes:
    fakes = Fakes()
    fakes.know(SPEC, built=True)
    return fakes


def test_who_finds_the_hub_full_is_queued_and_goes_on_when_a_server_ends(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    first = come(fakes.world(), PEOPLE[0])
    told = follow(fakes.world())
    event = waits(told)
    assert event["phase"] == "waiting"
    assert event["message"] == "This hub is full. You are number 1 in the queue.\n"
    assert event["queue"] == {"position": 1, "estimate_s": None}
    world = fakes.world()
    world.launches.change(first.id, STOPPED)
    assert phases(list(told)) == ["built", "launching", "ready"]


def test_the_stream_tells_a_position_once_and_says_when_it_changes(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    come(fakes.world(), PEOPLE[0])
    before = come(fakes.world(), PEOPLE[1])
    told = follow(fakes.world())
    assert waits(told)["queue"]["position"] == 2
    started = fakes.clock.time
    fakes.world().launches.change(before.id, STOPPED)
    assert waits(told)["queue"]["position"] == 1
    assert fakes.clock.time - started <= LIFE_S + 1


def test_a_position_is_not_told_again_for_a_second_more_or_less_of_its_estimate(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    world = fakes.world()
    first, second, _ = (come(world, who) for who in PEOPLE[:3])
    chunks = launch_stream(asked(), world)
    begun = fakes.clock.time
    while fakes.clock.time < begun + 20:
        next(chunks)
    world.launches.change(first.id, STOPPED)
    fakes.clock.sleep(LIFE_S)
    advance(second.id, world)
    told: list[dict[str, Any]] = []
    while fakes.clock.time < begun + 50:
        told += events([next(chunks)])
    assert [event["queue"]["position"] for event in told] == [2] * len(told)
    # Ten looks, each with another estimate; in words it is a minute, and then two.
    assert 1 <= len(told) <= 2
    assert told[0]["queue"]["estimate_s"] > 30


def test_who_loses_the_connection_in_the_queue_comes_back_to_the_same_launch(fakes: Fakes) -> None:
    """A page of another site has no cookie: only the id of the last event, if one was told."""
    command(fakes, "quota 1")
    first = come(fakes.world(), PEOPLE[0])
    chunks = launch_stream(asked(), fakes.world())
    heard = next(chunk for chunk in chunks if "queue" in chunk)
    last = parse_event_id(heard.partition("id: ")[2].partition("\n")[0])
    assert last is not None
    fakes.world().launches.change(first.id, STOPPED)
    assert phases(launch(fakes.world(), asked(resume=last))) == ["built", "launching", "ready"]
    assert len(fakes.hub.started) == 2


def test_an_image_is_built_while_its_launch_waits_for_a_place(fakes: Fakes) -> None:
    new = fakes.know("owner/new/main")
    command(fakes, "quota 1")
    come(fakes.world(), PEOPLE[0])
    told = follow(fakes.world(), asked("owner/new/main"))
    assert next(told)["message"] == "Waiting for build to start...\n"
    fakes.finish_build(new, "done")
    assert waits(told)["queue"]["position"] == 1


def test_a_queue_is_bounded_and_then_refuses_with_the_message_of_the_quota() -> None:
    fakes = Fakes(settings={"launches": {"secret": "s" * 32, "queue_length": 2}})
    fakes.know(SPEC, built=True)
    command(fakes, "quota 1")
    world = fakes.world()
    for who in PEOPLE[:3]:
        come(world, who)
    [refused] = launch(fakes.world())
    assert (refused["status_code"], refused["message"]) == (
        429,
        "Too many users on this BinderHub! Try again soon.\n",
    )


def test_a_hub_that_waits_for_nothing_refuses_at_once(fakes: Fakes) -> None:
    command(fakes, "quota 0")
    [refused] = launch(fakes.world())
    assert refused["status_code"] == 429


def test_closing_the_hub_ends_who_waits_with_its_message_and_leaves_servers_alone(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    assert come(fakes.world(), PEOPLE[0]).user
    told = follow(fakes.world())
    waits(told)
    command(fakes, "close Until noon.")
    command(fakes, "quota 5")
    end = list(told)[-1]
    assert (end["phase"], end["status_code"], end["message"]) == ("failed", 429, "Until noon.\n")
    assert len(fakes.hub.started) == 1


def test_a_quota_that_was_lowered_holds_back_who_waits_already(fakes: Fakes) -> None:
    new = fakes.know("owner/new/main")
    command(fakes, "quota 5")
    come(fakes.world(), PEOPLE[0])
    told = follow(fakes.world(), asked("owner/new/main"))
    next(told)
    command(fakes, "quota 1")
    fakes.clock.sleep(LIFE_S)
    fakes.finish_build(new)
    assert waits(told)["queue"]["position"] == 1
    assert len(fakes.hub.started) == 1


def test_who_leaves_the_queue_is_not_waited_for_and_gets_no_server(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    first = come(fakes.world(), PEOPLE[0])
    come(fakes.world(), PEOPLE[1])
    fakes.clock.sleep(61)
    fakes.world().launches.change(first.id, STOPPED)
    last = launch(fakes.world())
    assert last[-1]["phase"] == "ready"
    assert not any("queue" in event for event in last)


def test_waiting_for_a_turn_costs_one_look_every_few_seconds_and_no_reading_of_records(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    world = fakes.world()
    come(world, PEOPLE[0])
    chunks = launch_stream(asked(), world)
    while "queue" not in next(chunks):
        pass
    begun, before = fakes.clock.time, len(fakes.store.queries)
    fakes.store.got.clear()
    while fakes.clock.time < begun + 300:
        next(chunks)
    looks = len(fakes.store.queries) - before
    # A look is two queries.
    assert looks <= 2 * (300 / LIFE_S + 1)
    # That its watcher is there is written down every twenty seconds.
    assert fakes.store.got.count("launch") <= 300 / SEEN_EVERY_S + 1


def test_who_waits_at_an_instance_shares_its_looks(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    world = fakes.world()
    waiting = [come(world, who) for who in PEOPLE]
    begun, before = fakes.clock.time, len(fakes.store.queries)
    for _ in range(100):
        fakes.clock.sleep(0.1)
        assert sum(world.places.turn(it).now for it in waiting[1:]) == 0
    assert len(fakes.store.queries) - before <= 2 * ((fakes.clock.time - begun) / LIFE_S + 1)


def test_a_store_that_is_out_leaves_the_queue_as_it_was(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    command(fakes, "quota 1")
    world = fakes.world()
    come(world, PEOPLE[0])
    second = come(world, PEOPLE[1])

    def out(*_: Any, **__: Any) -> None:
        raise UpstreamError("The store", "is out.")

    fakes.clock.sleep(LIFE_S)
    assert not world.places.turn(second).now
    monkeypatch.setattr(fakes.store, "query", out)
    fakes.clock.sleep(LIFE_S)
    assert not world.places.turn(second).now


def test_the_api_shows_where_a_launch_stands(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    come(fakes.world(), PEOPLE[0])
    client = make_application(fakes.world()).test_client()
    wish = {"provider": "gh", "spec": SPEC}
    shown = client.post("/api/launches", json=wish).get_json()
    assert (shown["phase"], shown["queue"]) == ("waiting", {"position": 1, "estimate_s": None})
    assert client.get(f"/api/launches/{shown['id']}").get_json()["queue"]["position"] == 1


class Crowd:
    """People over several instances, who come, are served and leave; counts what is wrong on the way."""

    def __init__(self, fakes: Fakes, seed: int, quota: int) -> None:
        self.fakes, self.quota, self.chance = fakes, quota, random.Random(seed)
        self.worlds = [fakes.world() for _ in range(3)]
        self.served: list[str] = []
        self.open: list[Launch] = []
        self.most = 0

    def run(self, people: int) -> None:
        specs = (SPEC, "owner/other/main", "owner/third/main")
        left = [(who, self.chance.choice(specs)) for who in (PEOPLE * 3)[:people]]
        while left or self.open:
            for _ in range(self.chance.randrange(6)):
                if left:
                    who, spec = left.pop()
                    self.open.append(come(self.chance.choice(self.worlds), who, spec))
            self._everybody_looks()
            self._some_leave()
            self.fakes.clock.sleep(self.chance.choice((0.5, 1.0, 2.0)))

    def _everybody_looks(self) -> None:
        self.chance.shuffle(self.open)
        now = self.fakes.clock.time
        for it in self.open:
            world = self.chance.choice(self.worlds)
            world.launches.change(it.id, partial(replace, last_seen_at=now))
            after = advance(it.id, world)
            if after is not None and after.user and it.id not in self.served:
                self.served.append(it.id)
        self.open = [it for it in self.open if it.id not in self.served]

    def _some_leave(self) -> None:
        store = self.worlds[0].launches
        holding = [it for it in store.where("open", "yes", limit=5000) if it.user]
        holding += store.where("running", "yes", limit=5000)
        self.most = max(self.most, len(holding))
        for it in holding:
            if self.chance.random() < 0.3:
                store.change(it.id, STOPPED)


@pytest.mark.parametrize("seed", range(8))
def test_over_several_instances_nobody_is_lost_and_the_quota_holds(fakes: Fakes, seed: int) -> None:
    for name in ("other", "third"):
        fakes.know(f"owner/{name}/main", built=True)
    command(fakes, "quota 5")
    crowd = Crowd(fakes, seed, quota=5)
    crowd.run(people=60)
    assert len(crowd.served) == len(set(crowd.served)) == 60
    assert crowd.most <= 5


def test_the_position_is_json_that_clients_can_ignore(fakes: Fakes) -> None:
    """Known clients show `message` and look at `phase` alone."""
    command(fakes, "quota 1")
    come(fakes.world(), PEOPLE[0])
    event = waits(follow(fakes.world()))
    assert set(event) - {"id"} == {"phase", "message", "queue"}
    assert json.loads(json.dumps(event)) == event


def test_every_instance_tells_how_many_wait_for_what_and_how_long(fakes: Fakes) -> None:
    def told(reason: str) -> tuple[float | None, float | None]:
        found = [
            value(f'{name}{{reason="{reason}"}}', make_application(fakes.world()).test_client())
            for name in ("binderless_queue_length", "binderless_queue_longest_wait_seconds")
        ]
        return found[0], found[1]

    assert (told("quota"), told("hub")) == ((0, 0), (0, 0))
    BusyHub(fakes, limit=1, retry_after_s=45)
    command(fakes, "quota 3")
    for who in PEOPLE[:5]:
        come(fakes.world(), who)
        fakes.clock.sleep(LIFE_S)
    assert told("quota") == (2, 2 * LIFE_S)
    assert told("hub") == (2, 4 * LIFE_S)
    fakes.clock.sleep(61)
    assert (told("quota"), told("hub")) == ((0, 0), (0, 0))


def value(series: str, client: FlaskClient) -> float | None:
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), None)
