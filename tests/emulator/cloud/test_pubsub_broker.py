"""The decisions of Pub/Sub, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1.types import pubsub as proto

from emulator.cloud.pubsub.broker import Broker
from emulator.cloud.pubsub.faults import Fate, Faults, Switches
from emulator.cloud.pubsub.policy import Backoff, policy_of
from emulator.cloud.pubsub.store import Store

TOPIC, SUBSCRIPTION = "projects/p1/topics/builds", "projects/p1/subscriptions/builds"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A broker with one topic and one subscription."""

    def __init__(self, store: Store, **settings: Any) -> None:
        self.clock, self.faults = Clock(), Faults()
        self.broker = Broker(store, self.faults, self.clock)
        self.broker.create_topic(proto.Topic(name=TOPIC))
        self.broker.create_subscription(proto.Subscription(name=SUBSCRIPTION, topic=TOPIC, **settings))

    def publish(self, data: bytes = b"x") -> None:
        self.broker.publish(TOPIC, [proto.PubsubMessage(data=data)])

    def leased(self) -> int:
        return len(self.broker.lease(SUBSCRIPTION, 10))

    def give_back(self) -> None:
        ack_ids = [each.ack_id for each in self.broker.lease(SUBSCRIPTION, 10)]
        assert ack_ids
        self.broker.modify_deadline(SUBSCRIPTION, ack_ids, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "pubsub.sqlite")) as store:
        yield store


def test_a_leased_message_comes_back_after_its_deadline(store: Store) -> None:
    world = World(store, ack_deadline_seconds=20)
    world.publish()
    assert (world.leased(), world.leased()) == (1, 0)
    world.clock.now += 19
    assert world.leased() == 0
    world.clock.now += 1
    assert world.leased() == 1


def test_a_lease_can_be_extended_by_its_holder_only(store: Store) -> None:
    world = World(store)
    world.publish()
    [first] = world.broker.lease(SUBSCRIPTION, 1)
    world.broker.modify_deadline(SUBSCRIPTION, [first.ack_id], 60)
    world.clock.now += 59
    assert world.leased() == 0
    world.clock.now += 1
    assert world.leased() == 1
    world.broker.modify_deadline(SUBSCRIPTION, [first.ack_id], 0)
    assert world.leased() == 0


def test_each_attempt_waits_twice_as_long_as_the_one_before(store: Store) -> None:
    world = World(store, retry_policy=proto.RetryPolicy())
    world.publish()
    for wait_s in (10, 20, 40, 80, 160, 320, 600, 600):
        world.give_back()
        world.clock.now += wait_s - 1
        assert world.leased() == 0
        world.clock.now += 1


def test_the_backoff_never_overflows() -> None:
    assert Backoff(10, 600).after(10**6) == 600


def test_a_retry_policy_is_read_with_its_defaults() -> None:
    policy = proto.RetryPolicy(minimum_backoff=timedelta(0))
    assert policy_of(proto.Subscription(retry_policy=policy)).backoff == Backoff(0, 600)
    assert policy_of(proto.Subscription()).backoff == Backoff(0, 0)


def test_messages_are_forgotten_after_their_retention(store: Store) -> None:
    world = World(store, message_retention_duration=timedelta(minutes=10))
    world.publish()
    world.clock.now += 601
    assert world.leased() == 0


def test_a_message_stays_when_there_is_no_place_for_dead_letters(store: Store) -> None:
    world = World(store, dead_letter_policy=proto.DeadLetterPolicy(dead_letter_topic=TOPIC))
    world.publish()
    world.broker.delete_topic(TOPIC)
    for _ in range(7):
        world.give_back()
    assert world.leased() == 1


def test_a_message_that_nobody_settles_is_buried_too(store: Store) -> None:
    world = World(store, dead_letter_policy=proto.DeadLetterPolicy(dead_letter_topic=TOPIC))
    world.publish()
    for _ in range(5):
        world.leased()
        world.clock.now += 10
    [buried] = [*world.broker.lease(SUBSCRIPTION, 10), *world.broker.lease(SUBSCRIPTION, 10)]
    assert buried.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def test_faults_are_used_up() -> None:
    faults = Faults(Switches(drop=1, duplicate=1, reorder=2))
    assert faults.next_fate() == Fate(copies=0)
    assert faults.next_fate() == Fate(copies=2, delay_s=1)
    assert [faults.next_fate(), faults.next_fate()] == [Fate(), Fate()]


def test_a_delayed_message_is_late(store: Store) -> None:
    world = World(store)
    world.faults.set(Switches.parse({"delay_s": 30}))
    world.publish()
    assert world.leased() == 0
    world.clock.now += 30
    assert world.leased() == 1


@pytest.mark.parametrize("document", [[], {"drop": True}, {"drop": 1.5}, {"delay_s": float("nan")}, {"delay_s": 1e9}])
def test_senseless_faults_are_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="expected|counts|seconds"):
        Switches.parse(document)
