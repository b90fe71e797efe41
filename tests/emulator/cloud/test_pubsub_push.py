"""Push delivery, seen by the endpoint: the wrapper, the token, retries, dead letters, restarts, faults."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from tests.emulator.cloud.conftest import (
    Cloud,
    Endpoint,
    PubSub,
    eventually,
    pubsub_clients,
    running,
)

EMAIL = "push@p1.iam.gserviceaccount.com"
AT_ONCE = {"minimum_backoff": timedelta(0), "maximum_backoff": timedelta(0)}


def push_to(pubsub: PubSub, endpoint: Endpoint, **settings: Any) -> None:
    config = {
        "push_endpoint": endpoint.url,
        "oidc_token": {"service_account_email": EMAIL, "audience": pubsub.audience},
    }
    base = {"name": pubsub.subscription, "topic": pubsub.topic, "push_config": config, "retry_policy": AT_ONCE}
    pubsub.subscriber.create_subscription(request=base | settings)


def test_a_message_is_pushed_in_the_documented_wrapper(pubsub: PubSub, endpoint: Endpoint) -> None:
    push_to(pubsub, endpoint)
    message_id = pubsub.publish(b"{}", status="SUCCESS", buildId="b1")
    [body] = eventually(endpoint.bodies)
    message = body["message"]
    assert body["subscription"] == pubsub.subscription
    assert "deliveryAttempt" not in body
    assert base64.b64decode(message["data"]) == b"{}"
    assert message["attributes"] == {"status": "SUCCESS", "buildId": "b1"}
    assert message["messageId"] == message["message_id"] == message_id
    assert message["publishTime"] == message["publish_time"]


def test_the_push_proves_who_sends_it(cloud: Cloud, pubsub: PubSub, endpoint: Endpoint) -> None:
    push_to(pubsub, endpoint)
    pubsub.publish(b"x")
    [(headers, _)] = eventually(lambda: endpoint.requests)
    assert headers["Content-Type"] == "application/json"
    with requests.Session() as session:
        claims = id_token.verify_token(
            headers["Authorization"].removeprefix("Bearer "),
            Request(session),
            audience=pubsub.audience,
            certs_url=f"http://{cloud.http}/oauth2/v1/certs",
        )
    assert (claims["email"], claims["email_verified"]) == (EMAIL, True)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_acknowledges(pubsub: PubSub, endpoint: Endpoint, status: int) -> None:
    endpoint.statuses = [status]
    push_to(pubsub, endpoint)
    pubsub.publish(b"first")
    eventually(lambda: len(endpoint.requests) == 1)
    pubsub.publish(b"second")
    eventually(lambda: len(endpoint.requests) == 2)
    assert len({message["messageId"] for message in endpoint.messages()}) == 2


@pytest.mark.parametrize("status", [302, 400, 429, 500, 503])
def test_anything_else_is_delivered_again(pubsub: PubSub, endpoint: Endpoint, status: int) -> None:
    endpoint.statuses = [status, status]
    push_to(pubsub, endpoint)
    message_id = pubsub.publish(b"x")
    eventually(lambda: len(endpoint.requests) == 3)
    assert [message["messageId"] for message in endpoint.messages()] == [message_id] * 3


def test_a_message_that_always_fails_ends_with_the_dead_letters(pubsub: PubSub, endpoint: Endpoint) -> None:
    dead_topic, dead_subscription = pubsub.topic + "-dead", pubsub.subscription + "-dead"
    pubsub.publisher.create_topic(name=dead_topic)
    pubsub.subscriber.create_subscription(name=dead_subscription, topic=dead_topic)
    endpoint.statuses = [500] * 20
    push_to(pubsub, endpoint, dead_letter_policy={"dead_letter_topic": dead_topic, "max_delivery_attempts": 5})
    pubsub.publish(b"poison", status="SUCCESS")
    [dead] = pubsub.pull(dead_subscription)
    attributes = dict(dead.message.attributes)
    assert attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime").endswith("Z")
    assert attributes == {
        "status": "SUCCESS",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": pubsub.subscription.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p1",
    }
    assert [body["deliveryAttempt"] for body in endpoint.bodies()] == [1, 2, 3, 4, 5]


def test_pull_becomes_push_and_push_becomes_pull(pubsub: PubSub, endpoint: Endpoint) -> None:
    pubsub.subscriber.create_subscription(name=pubsub.subscription, topic=pubsub.topic)
    pubsub.publish(b"waiting")
    change = {"subscription": pubsub.subscription, "push_config": {"push_endpoint": endpoint.url}}
    pubsub.subscriber.modify_push_config(request=change)
    eventually(lambda: endpoint.requests)
    pubsub.subscriber.modify_push_config(subscription=pubsub.subscription, push_config={})
    pubsub.publish(b"pulled")
    assert [each.message.data for each in pubsub.pull()] == [b"pulled"]
    assert len(endpoint.requests) == 1


def test_what_was_not_acknowledged_survives_a_kill(tmp_path: Path, endpoint: Endpoint) -> None:
    endpoint.statuses = [500]
    with running(tmp_path) as cloud, pubsub_clients(cloud.pubsub, "pubsub-token", "survivor") as pubsub:
        pubsub.publisher.create_topic(name=pubsub.topic)
        # Its backoff would last longer than this test.
        push_to(pubsub, endpoint, retry_policy={"minimum_backoff": timedelta(seconds=600)})
        message_id = pubsub.publish(b"x")
        eventually(lambda: len(endpoint.requests) == 1)
        cloud.process.kill()
    with running(tmp_path):
        eventually(lambda: len(endpoint.requests) == 2)
    assert endpoint.messages()[1]["messageId"] == message_id


def switch(cloud: Cloud, token: str = "admin-token", **faults: Any) -> int:
    response = requests.put(
        f"http://{cloud.http}/admin/pubsub/faults",
        json=faults,
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    return response.status_code


@pytest.fixture
def faulty(cloud: Cloud, pubsub: PubSub, endpoint: Endpoint) -> Iterator[PubSub]:
    push_to(pubsub, endpoint)
    yield pubsub
    assert switch(cloud) == 200


def test_the_next_message_can_be_lost(cloud: Cloud, faulty: PubSub, endpoint: Endpoint) -> None:
    assert switch(cloud, drop=1) == 200
    faulty.publish(b"lost")
    arriving = faulty.publish(b"arriving")
    eventually(lambda: endpoint.requests)
    assert [message["messageId"] for message in endpoint.messages()] == [arriving]


def test_the_next_message_can_come_twice(cloud: Cloud, faulty: PubSub, endpoint: Endpoint) -> None:
    assert switch(cloud, duplicate=1) == 200
    message_id = faulty.publish(b"twice")
    eventually(lambda: len(endpoint.requests) == 2)
    assert {message["messageId"] for message in endpoint.messages()} == {message_id}


def test_the_next_messages_can_come_in_reverse(cloud: Cloud, faulty: PubSub, endpoint: Endpoint) -> None:
    assert switch(cloud, reorder=2) == 200
    futures = [faulty.publisher.publish(faulty.topic, data) for data in (b"first", b"second")]
    published = [future.result(10) for future in futures]
    eventually(lambda: len(endpoint.requests) == 2)
    assert [message["messageId"] for message in endpoint.messages()] == published[::-1]


def test_faults_are_switched_by_the_admin_only_and_only_sensibly(cloud: Cloud) -> None:
    assert switch(cloud, token="pubsub-token", drop=1) == 401
    assert switch(cloud, drop=-1) == 400
    assert switch(cloud, typo=1) == 400
    request = urllib.request.Request(
        f"http://{cloud.http}/admin/pubsub/faults", headers={"Authorization": "Bearer admin-token"}
    )
    with urllib.request.urlopen(request) as response:
        assert json.load(response) == {"drop": 0, "duplicate": 0, "reorder": 0, "delay_s": 0}
