"""Pub/Sub judged by google-cloud-pubsub: resources, publishing and pulling."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from tests.emulator.cloud.conftest import Cloud, PubSub, pubsub_clients, running


@pytest.fixture
def subscribed(pubsub: PubSub) -> PubSub:
    pubsub.subscriber.create_subscription(name=pubsub.subscription, topic=pubsub.topic)
    return pubsub


def test_a_published_message_is_pulled_and_acknowledged(subscribed: PubSub) -> None:
    message_id = subscribed.publish(b"built", status="SUCCESS")
    [received] = subscribed.pull()
    assert (received.message.data, received.message.message_id) == (b"built", message_id)
    assert dict(received.message.attributes) == {"status": "SUCCESS"}
    subscribed.subscriber.acknowledge(subscription=subscribed.subscription, ack_ids=[received.ack_id])
    subscribed.subscriber.modify_ack_deadline(
        subscription=subscribed.subscription, ack_ids=[received.ack_id], ack_deadline_seconds=0
    )
    subscribed.publish(b"next")
    assert [each.message.data for each in subscribed.pull()] == [b"next"]


def test_a_message_given_back_is_pulled_again(subscribed: PubSub) -> None:
    subscribed.publish(b"again")
    [first] = subscribed.pull()
    subscribed.subscriber.modify_ack_deadline(
        subscription=subscribed.subscription, ack_ids=[first.ack_id], ack_deadline_seconds=0
    )
    [second] = subscribed.pull()
    assert second.message.message_id == first.message.message_id
    assert second.delivery_attempt == 0


def test_a_pull_waits_for_a_message(subscribed: PubSub) -> None:
    later = threading.Timer(0.2, subscribed.publish, [b"late"])
    later.start()
    assert [each.message.data for each in subscribed.pull()] == [b"late"]
    later.join()


def test_a_streaming_pull_hands_messages_to_a_callback(subscribed: PubSub) -> None:
    received: list[bytes] = []
    done = threading.Event()

    def receive(message: Any) -> None:
        received.append(message.data)
        message.ack()
        done.set()

    future = subscribed.subscriber.subscribe(subscribed.subscription, receive)
    subscribed.publish(b"streamed")
    assert done.wait(10)
    future.cancel()
    future.result(10)
    assert received == [b"streamed"]


def test_only_messages_that_pass_the_filter_arrive(pubsub: PubSub) -> None:
    pubsub.subscriber.create_subscription(
        request={"name": pubsub.subscription, "topic": pubsub.topic, "filter": 'attributes.status != "QUEUED"'}
    )
    for status in ("QUEUED", "SUCCESS"):
        pubsub.publish(status.encode(), status=status)
    assert [each.message.data for each in pubsub.pull()] == [b"SUCCESS"]


def test_a_subscription_is_shown_as_it_was_made(pubsub: PubSub) -> None:
    request = {
        "name": pubsub.subscription,
        "topic": pubsub.topic,
        "retry_policy": {"minimum_backoff": timedelta(seconds=2)},
        "push_config": {"push_endpoint": "http://127.0.0.1:1/x", "oidc_token": {"service_account_email": "a@b.c"}},
    }
    pubsub.subscriber.create_subscription(request=request)
    shown = pubsub.subscriber.get_subscription(subscription=pubsub.subscription)
    assert shown.retry_policy.minimum_backoff == timedelta(seconds=2)
    assert (shown.ack_deadline_seconds, shown.state.name) == (10, "ACTIVE")
    with pytest.raises(exceptions.FailedPrecondition):
        pubsub.pull()


def test_resources_are_listed_page_by_page(subscribed: PubSub) -> None:
    for number in range(3):
        subscribed.publisher.create_topic(name=f"projects/paged/topics/topic-{number}")
    pages = subscribed.publisher.list_topics(request={"project": "projects/paged", "page_size": 2}).pages
    assert [len(page.topics) for page in pages] == [2, 1]
    names = [each.name for each in subscribed.subscriber.list_subscriptions(project="projects/p1")]
    assert subscribed.subscription in names


def test_a_subscription_can_be_changed_but_not_its_filter(subscribed: PubSub) -> None:
    wanted = {"name": subscribed.subscription, "ack_deadline_seconds": 33, "filter": "attributes:x"}
    change = subscribed.subscriber.update_subscription
    changed = change(request={"subscription": wanted, "update_mask": {"paths": ["ack_deadline_seconds"]}})
    assert (changed.ack_deadline_seconds, changed.topic) == (33, subscribed.topic)
    with pytest.raises(exceptions.InvalidArgument):
        change(request={"subscription": wanted, "update_mask": {"paths": ["filter"]}})


def test_a_deleted_topic_leaves_its_subscription(subscribed: PubSub) -> None:
    subscribed.publish(b"kept")
    subscribed.publisher.delete_topic(topic=subscribed.topic)
    shown = subscribed.subscriber.get_subscription(subscription=subscribed.subscription)
    assert shown.topic == "_deleted-topic_"
    assert [each.message.data for each in subscribed.pull()] == [b"kept"]
    subscribed.subscriber.delete_subscription(subscription=subscribed.subscription)
    with pytest.raises(exceptions.NotFound):
        subscribed.pull()


REFUSED: dict[str, tuple[Callable[[PubSub], Any], type[Exception]]] = {
    "a topic that exists": (lambda p: p.publisher.create_topic(name=p.topic), exceptions.AlreadyExists),
    "an unknown topic": (lambda p: p.publisher.get_topic(topic=p.topic + "x"), exceptions.NotFound),
    "publishing nowhere": (
        lambda p: p.publisher.publish(p.topic + "x", b"x").result(10),
        exceptions.NotFound,
    ),
    "publishing nothing": (lambda p: p.publish(b""), exceptions.InvalidArgument),
    "a bad name": (
        lambda p: p.publisher.create_topic(name="projects/p1/topics/goog-x"),
        exceptions.InvalidArgument,
    ),
    "a path as a name": (
        lambda p: p.publisher.create_topic(name="projects/p1/topics/../../etc"),
        exceptions.InvalidArgument,
    ),
    "a subscription that exists": (
        lambda p: p.subscriber.create_subscription(name=p.subscription, topic=p.topic),
        exceptions.AlreadyExists,
    ),
    "a subscription to nothing": (
        lambda p: p.subscriber.create_subscription(name=p.subscription + "x", topic=p.topic + "x"),
        exceptions.NotFound,
    ),
    "a wrong ack id": (
        lambda p: p.subscriber.acknowledge(subscription=p.subscription, ack_ids=["x"]),
        exceptions.InvalidArgument,
    ),
    "a wrong filter": (lambda p: _make(p, filter="attributes.a = 1"), exceptions.InvalidArgument),
    "a deadline too long": (lambda p: _make(p, ack_deadline_seconds=601), exceptions.InvalidArgument),
    "a file as endpoint": (
        lambda p: _make(p, push_config={"push_endpoint": "file:///etc/passwd"}),
        exceptions.InvalidArgument,
    ),
    "a port that cannot be": (
        lambda p: _make(p, push_config={"push_endpoint": "http://127.0.0.1:99999/"}),
        exceptions.InvalidArgument,
    ),
    "dead letters to nowhere": (
        lambda p: _make(p, dead_letter_policy={"dead_letter_topic": p.topic + "x"}),
        exceptions.NotFound,
    ),
    "a promise we do not keep": (
        lambda p: _make(p, enable_message_ordering=True),
        exceptions.MethodNotImplemented,
    ),
}


def _make(pubsub: PubSub, **settings: Any) -> None:
    request = {"name": pubsub.subscription + "x", "topic": pubsub.topic, **settings}
    pubsub.subscriber.create_subscription(request=request)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(subscribed: PubSub, case: str) -> None:
    ask, error = REFUSED[case]
    with pytest.raises(error):
        ask(subscribed)


@pytest.mark.parametrize("token", ["", "wrong", "pubsub-token-and-more"])
def test_without_the_token_nothing_is_answered(cloud: Cloud, token: str) -> None:
    with pubsub_clients(cloud.pubsub, token, "stranger") as stranger:
        with pytest.raises(exceptions.Unauthenticated):
            stranger.publisher.create_topic(name=stranger.topic, retry=None)
        with pytest.raises(exceptions.Unauthenticated):
            next(iter(stranger.subscriber.streaming_pull(iter([{"subscription": "x"}]), retry=None)))


@pytest.fixture
def anonymous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with running(tmp_path, "--allow-anonymous") as cloud:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", cloud.pubsub)
        yield


@pytest.mark.usefixtures("anonymous")
def test_clients_of_an_emulator_are_let_in_where_that_is_allowed() -> None:
    publisher, subscriber = PublisherClient(), SubscriberClient()
    publisher.create_topic(name="projects/p1/topics/open")
    subscriber.create_subscription(name="projects/p1/subscriptions/open", topic="projects/p1/topics/open")
    publisher.publish("projects/p1/topics/open", b"hello").result(10)
    pulled = subscriber.pull(subscription="projects/p1/subscriptions/open", max_messages=1)
    assert pulled.received_messages[0].message.data == b"hello"
    publisher.stop()
    publisher.transport.close()
    subscriber.close()
