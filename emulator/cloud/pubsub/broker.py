"""Who gets which message, and when: the decisions of Pub/Sub over its store. No sockets.

A leased message is due again when its acknowledgement deadline and the backoff of its attempt have passed; an
acknowledgement removes it before that. Everything runs on one event loop, and no method but `wait` gives it away.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from google.pubsub_v1.types import pubsub as proto

from emulator.cloud.pubsub import filters, resources
from emulator.cloud.pubsub.errors import AlreadyExists, InvalidArgument, NotFound
from emulator.cloud.pubsub.faults import Fate, Faults
from emulator.cloud.pubsub.policy import DeliveryPolicy, policy_of
from emulator.cloud.pubsub.store import Delivery, NewDelivery, Store

_ACK_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription with what its settings mean."""

    resource: Any
    policy: DeliveryPolicy
    wants: filters.Predicate

    @classmethod
    def of(cls, resource: Any) -> Subscribed:
        return cls(resource, policy_of(resource), filters.parse(resource.filter))


@dataclass(frozen=True, slots=True)
class Leased:
    """A message handed out: *ack_id* settles it; *attempt* is None without a dead letter policy."""

    id: int
    ack_id: str
    message: Any
    attempt: int | None


class Broker:
    """Topics and subscriptions, and the messages between them."""

    def __init__(self, store: Store, faults: Faults, clock: Callable[[], float]) -> None:
        self._store = store
        self._faults = faults
        self._clock = clock
        self._topics: dict[str, Any] = {}
        self._subscriptions: dict[str, Subscribed] = {}
        self._bells: dict[str, asyncio.Event] = {}
        self._message_ids = itertools.count(int(clock() * 1e6))
        self._load()

    def _load(self) -> None:
        for name, body in self._store.resources():
            if "/topics/" in name:
                self._topics[name] = proto.Topic.deserialize(body)
            else:
                self._subscriptions[name] = Subscribed.of(proto.Subscription.deserialize(body))
        self._store.release_all()

    def topics(self) -> Iterator[Any]:
        """Every topic, by name."""
        return iter([self._topics[name] for name in sorted(self._topics)])

    def topic(self, name: str) -> Any:
        """The topic; raises NotFound."""
        if name not in self._topics:
            raise NotFound(name)
        return self._topics[name]

    def create_topic(self, topic: Any) -> Any:
        """Create and return the topic; raises AlreadyExists."""
        resources.check_topic(topic)
        if topic.name in self._topics:
            raise AlreadyExists(topic.name)
        self._store.save(topic.name, proto.Topic.serialize(topic))
        self._topics[topic.name] = topic
        return topic

    def delete_topic(self, name: str) -> None:
        """Delete the topic. Its subscriptions stay, with what they have not delivered yet."""
        self.topic(name)
        with self._store.transaction():
            self._store.delete(name)
            for subscribed in self._subscribed_to(name):
                orphan = proto.Subscription(subscribed.resource)
                orphan.topic = resources.DELETED_TOPIC
                self._save(orphan)
        del self._topics[name]

    def subscriptions(self) -> Iterator[Any]:
        """Every subscription, by name."""
        return iter([self._subscriptions[name].resource for name in sorted(self._subscriptions)])

    def subscribed(self, name: str) -> Subscribed:
        """The subscription; raises NotFound."""
        if name not in self._subscriptions:
            raise NotFound(name)
        return self._subscriptions[name]

    def create_subscription(self, subscription: Any) -> Any:
        """Create and return the subscription, which gets what is published from now on."""
        resources.check_subscription(subscription)
        if subscription.name in self._subscriptions:
            raise AlreadyExists(subscription.name)
        self.topic(subscription.topic)
        return self.put_subscription(subscription)

    def put_subscription(self, subscription: Any) -> Any:
        """Write a new or changed subscription and return it as it is kept."""
        resources.check_subscription(subscription)
        if subscription.dead_letter_policy.dead_letter_topic:
            self.topic(subscription.dead_letter_policy.dead_letter_topic)
        kept = proto.Subscription(subscription)
        kept.ack_deadline_seconds = policy_of(subscription).ack_deadline_s
        kept.state = proto.Subscription.State.ACTIVE
        self._save(kept)
        self.wake(kept.name)
        return kept

    def delete_subscription(self, name: str) -> None:
        """Delete the subscription and what waits for it."""
        self.subscribed(name)
        with self._store.transaction():
            self._store.delete(name)
        del self._subscriptions[name]
        self.wake(name)

    def publish(self, topic: str, messages: Sequence[Any]) -> list[str]:
        """Take *messages* for every subscription of *topic* that wants them, and return their ids."""
        self.topic(topic)
        resources.check_messages(messages)
        now = self._clock()
        with self._store.transaction():
            return [self._route(topic, message, self._faults.next_fate(), now) for message in messages]

    def _route(self, topic: str, message: Any, fate: Fate, now: float) -> str:
        """Within a transaction: one row for each copy and each subscription."""
        accepted = proto.PubsubMessage(
            data=message.data,
            attributes=message.attributes,
            ordering_key=message.ordering_key,
            message_id=str(next(self._message_ids)),
            publish_time=datetime.fromtimestamp(now, UTC),
        )
        body = proto.PubsubMessage.serialize(accepted)
        attributes = dict(message.attributes)
        for subscribed in self._subscribed_to(topic):
            if subscribed.wants(attributes):
                row = NewDelivery(subscribed.resource.name, now, now + fate.delay_s, body)
                self._store.add([row] * fate.copies)
                self.wake(subscribed.resource.name)
        return str(accepted.message_id)

    def lease(self, name: str, limit: int, *, deadline_s: int | None = None) -> list[Leased]:
        """Hand out up to *limit* due messages; each is due again unless acknowledged within its deadline."""
        policy = self.subscribed(name).policy
        now = self._clock()
        held_s = deadline_s or policy.ack_deadline_s
        leased = []
        with self._store.transaction():
            self._store.expire(name, published_before=now - policy.retention_s)
            for delivery in self._store.due(name, now, limit):
                if self._bury(name, delivery):
                    continue
                attempts = delivery.attempts + 1
                self._store.postpone(delivery.id, due=now + held_s + policy.backoff.after(attempts), attempts=attempts)
                leased.append(_leased(replace(delivery, attempts=attempts), policy))
        return leased

    def acknowledge(self, name: str, ack_ids: Sequence[str]) -> None:
        """These messages have arrived; one that was acknowledged before is fine."""
        self.subscribed(name)
        ids = [_parsed(ack_id)[0] for ack_id in ack_ids]
        with self._store.transaction():
            self._store.remove(name, ids)

    def modify_deadline(self, name: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Hold these messages *seconds* from now on; zero gives them back, to be delivered again after the backoff."""
        policy = self.subscribed(name).policy
        if not 0 <= seconds <= 600:
            raise InvalidArgument("ack_deadline_seconds is between 0 and 600.")
        now = self._clock()
        with self._store.transaction():
            for delivery_id, attempts in map(_parsed, ack_ids):
                delivery = self._store.find(name, delivery_id)
                # Another attempt is somebody else's lease.
                if delivery is None or delivery.attempts != attempts:
                    continue
                if seconds == 0 and self._bury(name, delivery):
                    continue
                due = now + seconds + policy.backoff.after(attempts)
                self._store.postpone(delivery_id, due=due, attempts=attempts)
        self.wake(name)

    async def wait(self, name: str, timeout_s: float | None = None) -> None:
        """Return when something may be due for *name*, its settings changed, or *timeout_s* has passed."""
        due = self._store.next_due(name)
        waits = [] if due is None else [max(0.0, due - self._clock())]
        waits += [] if timeout_s is None else [max(0.0, timeout_s)]
        bell = self._bells.setdefault(name, asyncio.Event())
        try:
            async with asyncio.timeout(min(waits, default=None)):
                await bell.wait()
        except TimeoutError:
            return

    def wake(self, name: str) -> None:
        """Wake whoever waits for *name* now."""
        if bell := self._bells.pop(name, None):
            bell.set()

    def _bury(self, name: str, delivery: Delivery) -> bool:
        """Within a transaction: move a message that was tried too often to the dead letters, if it has any."""
        policy = self.subscribed(name).policy
        if not policy.exhausted(delivery.attempts) or policy.dead_letter_topic not in self._topics:
            return False
        message = proto.PubsubMessage.deserialize(delivery.message)
        message.attributes.update(_obituary(name, delivery.attempts, message))
        self._route(policy.dead_letter_topic, message, Fate(), self._clock())
        self._store.remove(name, [delivery.id])
        return True

    def _subscribed_to(self, topic: str) -> list[Subscribed]:
        return [each for each in self._subscriptions.values() if each.resource.topic == topic]

    def _save(self, subscription: Any) -> None:
        self._store.save(subscription.name, proto.Subscription.serialize(subscription))
        self._subscriptions[subscription.name] = Subscribed.of(subscription)


def _leased(delivery: Delivery, policy: DeliveryPolicy) -> Leased:
    return Leased(
        id=delivery.id,
        ack_id=f"{delivery.id}-{delivery.attempts}",
        message=proto.PubsubMessage.deserialize(delivery.message),
        attempt=delivery.attempts if policy.dead_letter_topic else None,
    )


def _parsed(ack_id: str) -> tuple[int, int]:
    match = _ACK_ID.fullmatch(ack_id)
    if match is None:
        raise InvalidArgument(f"Invalid ack id given: {ack_id[:100]!r}.")
    return int(match[1]), int(match[2])


def _obituary(subscription: str, attempts: int, message: Any) -> Mapping[str, str]:
    """https://cloud.google.com/pubsub/docs/handling-failures#how_dead_letter_topics_work"""
    _, project, _, short_name = subscription.split("/", 3)
    return {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(attempts),
        "CloudPubSubDeadLetterSourceSubscription": short_name,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": rfc3339(message.publish_time),
    }


def rfc3339(moment: datetime) -> str:
    """A time as Google's JSON has it, with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
