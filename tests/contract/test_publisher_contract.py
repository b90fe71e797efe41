"""What every Publisher promises."""

from __future__ import annotations

import base64
import json
import secrets
import warnings
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any, Protocol

import grpc
import pytest
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from functions.adapters.http import HttpClient
from functions.adapters.identity import TokenVerifier
from functions.adapters.pubsub import PubSubPublisher
from functions.core.errors import BadSignature, UpstreamError
from functions.core.ports import Publisher
from tests.contract.cloud import Cloud
from tests.contract.cluster import until
from tests.fakes.java_emulators import PUBSUB, needed
from tests.fakes.publisher import FakePublisher
from tests.fakes.web import Web, web_server

Message = tuple[bytes, dict[str, str]]
ACCOUNT = "pusher@test.iam.gserviceaccount.com"
AUDIENCE = "https://functions.example.org/on_build_complete"


class Bench(Protocol):
    """A publisher, and what has arrived behind it."""

    @property
    def publisher(self) -> Publisher: ...

    def arrived(self) -> list[Message]: ...


class FakeBench:
    def __init__(self) -> None:
        self.publisher = FakePublisher()

    def arrived(self) -> list[Message]:
        return self.publisher.published


class PubSubBench:
    """A topic of its own, with a push subscription to a web server, and another for what that one never takes."""

    def __init__(self, endpoint: str, web: Web, token: str = "") -> None:
        self.name = f"topic-{secrets.token_hex(4)}"
        self.topic, self.subscription = f"projects/test/topics/{self.name}", f"projects/test/subscriptions/{self.name}"
        self.web = web
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._channel = grpc.insecure_channel(endpoint)
        self._subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))
        self._subscribe()
        self.publisher = PubSubPublisher(project="test", topic=self.name, endpoint=endpoint, token=token)

    def arrived(self) -> list[Message]:
        return [(base64.b64decode(m.get("data", "")), m.get("attributes", {})) for m in self.messages()]

    def messages(self) -> list[dict[str, Any]]:
        """The messages of all pushes, in their order."""
        return [json.loads(seen.body)["message"] for seen in self.web.seen]

    def dead_letters(self) -> list[Message]:
        """What was given up so far."""
        request = {"subscription": f"{self.subscription}-dead", "max_messages": 10, "return_immediately": True}
        with warnings.catch_warnings():
            # Pulling without waiting is out of favour where it is not just for a look.
            warnings.simplefilter("ignore", DeprecationWarning)
            answer = self._subscriber.pull(request=request, metadata=self._metadata)
        return [(it.message.data, dict(it.message.attributes)) for it in answer.received_messages]

    def close(self) -> None:
        self.publisher.close()
        self._channel.close()

    def _subscribe(self) -> None:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        for topic in (self.topic, f"{self.topic}-dead"):
            publisher.create_topic(name=topic, metadata=self._metadata)
        push = {
            "push_endpoint": self.web.url,
            "oidc_token": {"service_account_email": ACCOUNT, "audience": AUDIENCE},
        }
        given_up = {"dead_letter_topic": f"{self.topic}-dead", "max_delivery_attempts": 5}
        for request in (
            {"name": self.subscription, "topic": self.topic, "push_config": push, "dead_letter_policy": given_up},
            {"name": f"{self.subscription}-dead", "topic": f"{self.topic}-dead"},
        ):
            retry = {"retry_policy": {"minimum_backoff": timedelta(0), "maximum_backoff": timedelta(0)}}
            self._subscriber.create_subscription(request=request | retry, metadata=self._metadata)


@pytest.fixture
def embedded(cloud: Cloud) -> Iterator[PubSubBench]:
    with web_server() as web, closing(PubSubBench(f"127.0.0.1:{cloud.pubsub_port}", web, cloud.token)) as bench:
        yield bench


@pytest.fixture
def official(pubsub_emulator: str) -> Iterator[PubSubBench]:
    with web_server() as web, closing(PubSubBench(pubsub_emulator, web)) as bench:
        yield bench


BENCHES = ["embedded", pytest.param("official", marks=needed(PUBSUB))]


@pytest.fixture(params=BENCHES)
def pubsub(request: pytest.FixtureRequest) -> PubSubBench:
    bench: PubSubBench = request.getfixturevalue(request.param)
    return bench


@pytest.fixture(params=["fake", *BENCHES])
def bench(request: pytest.FixtureRequest) -> Bench:
    bench: Bench = FakeBench() if request.param == "fake" else request.getfixturevalue(request.param)
    return bench


def test_a_message_arrives_as_it_was_published(bench: Bench) -> None:
    bench.publisher.publish(b'{"id": "1"}', {"buildId": "1", "status": "SUCCESS"})
    until(lambda: bool(bench.arrived()))
    assert bench.arrived() == [(b'{"id": "1"}', {"buildId": "1", "status": "SUCCESS"})]


def test_data_may_be_any_bytes(bench: Bench) -> None:
    bench.publisher.publish(bytes(range(256)), {})
    until(lambda: bool(bench.arrived()))
    assert bench.arrived() == [(bytes(range(256)), {})]


def test_each_message_is_published(bench: Bench) -> None:
    for number in range(5):
        bench.publisher.publish(b"x", {"number": str(number)})
    until(lambda: len(bench.arrived()) >= 5)
    assert {attributes["number"] for _, attributes in bench.arrived()} == set("01234")


# Only Pub/Sub can show these.


def answering(pubsub: PubSubBench, *statuses: int) -> None:
    """Let the pushes be answered so, the last of them for ever."""
    left = [*statuses]
    pubsub.web.answer = lambda reply: reply.send(left.pop(0) if len(left) > 1 else left[0])


def test_a_push_is_in_the_documented_wrapper(pubsub: PubSubBench) -> None:
    # https://cloud.google.com/pubsub/docs/push#receive_push
    pubsub.publisher.publish(b"{}", {"buildId": "1"})
    until(lambda: bool(pubsub.arrived()))
    [seen], [message] = pubsub.web.seen, pubsub.messages()
    assert (seen.method, seen.headers["content-type"]) == ("POST", "application/json")
    assert json.loads(seen.body)["subscription"] == pubsub.subscription
    assert (message["data"], message["attributes"]) == ("e30=", {"buildId": "1"})
    assert message["messageId"] and message["publishTime"].endswith("Z")


@pytest.mark.parametrize("status", [200, 204])
def test_what_was_taken_does_not_come_again(pubsub: PubSubBench, status: int) -> None:
    answering(pubsub, status, status, 503, 204)
    for number in range(2):
        pubsub.publisher.publish(b"taken", {"number": str(number)})
    until(lambda: len(pubsub.messages()) == 2)
    pubsub.publisher.publish(b"again", {})
    until(lambda: len(pubsub.messages()) >= 4)
    assert [data for data, _ in pubsub.arrived()] == [b"taken", b"taken", b"again", b"again"]


@pytest.mark.parametrize("status", [400, 503])
def test_what_was_not_taken_comes_again(pubsub: PubSubBench, status: int) -> None:
    answering(pubsub, status, status, 204)
    pubsub.publisher.publish(b"x", {})
    until(lambda: len(pubsub.messages()) >= 3)
    assert len({message["messageId"] for message in pubsub.messages()}) == 1


def test_what_is_never_taken_ends_with_the_dead_letters(pubsub: PubSubBench) -> None:
    answering(pubsub, 400)
    pubsub.publisher.publish(b"poison", {"buildId": "1"})
    found: list[Message] = []

    def look() -> bool:
        found.extend(pubsub.dead_letters())
        return bool(found)

    until(look)
    data, attributes = found[0]
    assert (data, attributes["buildId"]) == (b"poison", "1")
    assert attributes["CloudPubSubDeadLetterSourceSubscription"] == pubsub.name
    assert int(attributes["CloudPubSubDeadLetterSourceDeliveryCount"]) >= 5


@needed(PUBSUB)
def test_a_message_for_no_topic_is_an_error_of_ours_at_the_official_emulator_too(pubsub_emulator: str) -> None:
    publisher = PubSubPublisher(project="test", topic="unknown", endpoint=pubsub_emulator)
    with closing(publisher), pytest.raises(UpstreamError, match=r"Pub/Sub did not take the message: NotFound\."):
        publisher.publish(b"x", {})


# The official emulator signs nothing and lets everybody in.


def test_a_push_proves_who_sent_it(cloud: Cloud, embedded: PubSubBench) -> None:
    embedded.publisher.publish(b"x", {})
    until(lambda: bool(embedded.arrived()))
    header = embedded.web.seen[0].headers["authorization"]

    def verifier(audience: str, service_account: str) -> TokenVerifier:
        client = HttpClient("The cloud", cloud.http_url)
        return TokenVerifier(client, certs_url="oauth2/v1/certs", audience=audience, service_account=service_account)

    verifier(AUDIENCE, ACCOUNT).verify(header)
    for audience, account in ((AUDIENCE, "other@test.iam.gserviceaccount.com"), ("https://other", ACCOUNT)):
        with pytest.raises(BadSignature):
            verifier(audience, account).verify(header)


@pytest.mark.parametrize("options", [{"token": "wrong"}, {"token": ""}, {"topic": "unknown"}], ids=str)
def test_a_message_that_is_refused_is_an_error_of_ours(cloud: Cloud, options: dict[str, Any]) -> None:
    endpoint = f"127.0.0.1:{cloud.pubsub_port}"
    publisher = PubSubPublisher(
        **{"project": "test", "topic": "t", "endpoint": endpoint, "token": cloud.token, **options}
    )
    with pytest.raises(UpstreamError, match=r"Pub/Sub did not take the message: [A-Za-z]+\."):
        publisher.publish(b"x", {})
    publisher.close()


def test_a_service_that_is_away_is_not_waited_for_long() -> None:
    # Nobody listens on port 1.
    publisher = PubSubPublisher(project="test", topic="t", endpoint="127.0.0.1:1", timeout_s=0.5)
    with pytest.raises(UpstreamError):
        publisher.publish(b"x", {})
    publisher.close()
