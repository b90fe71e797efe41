"""What every Publisher promises."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
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
from tests.fakes.publisher import FakePublisher
from tests.fakes.web import Seen, Web, web_server

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
    """A topic of its own, with a push subscription to a web server."""

    def __init__(self, cloud: Cloud, web: Web) -> None:
        topic = f"topic-{secrets.token_hex(4)}"
        self.cloud, self.web = cloud, web
        self.endpoint = f"127.0.0.1:{cloud.pubsub_port}"
        self._subscribe(f"projects/test/topics/{topic}", f"projects/test/subscriptions/{topic}")
        self.publisher = PubSubPublisher(project="test", topic=topic, endpoint=self.endpoint, token=cloud.token)

    def arrived(self) -> list[Message]:
        return [(base64.b64decode(m.get("data", "")), m.get("attributes", {})) for m in map(_message, self.web.seen)]

    def _subscribe(self, topic: str, subscription: str) -> None:
        metadata = [("authorization", f"Bearer {self.cloud.token}")]
        push = {
            "push_endpoint": self.web.url,
            "oidc_token": {"service_account_email": ACCOUNT, "audience": AUDIENCE},
        }
        with grpc.insecure_channel(self.endpoint) as channel:
            publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
            publisher.create_topic(name=topic, metadata=metadata)
            subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
            request = {"name": subscription, "topic": topic, "push_config": push}
            subscriber.create_subscription(request=request, metadata=metadata)


def _message(seen: Seen) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(seen.body)["message"]
    return message


@pytest.fixture
def pubsub(cloud: Cloud) -> Iterator[PubSubBench]:
    with web_server() as web:
        bench = PubSubBench(cloud, web)
        yield bench
        bench.publisher.close()


@pytest.fixture(params=["fake", "pubsub"])
def bench(request: pytest.FixtureRequest) -> Bench:
    bench: Bench = FakeBench() if request.param == "fake" else request.getfixturevalue("pubsub")
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


def test_a_push_proves_who_sent_it(pubsub: PubSubBench) -> None:
    pubsub.publisher.publish(b"x", {})
    until(lambda: bool(pubsub.arrived()))
    header = pubsub.web.seen[0].headers["authorization"]

    def verifier(audience: str, service_account: str) -> TokenVerifier:
        client = HttpClient("The cloud", pubsub.cloud.http_url)
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
