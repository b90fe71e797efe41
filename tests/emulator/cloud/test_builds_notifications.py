"""Every change of a build's state is a message of the topic cloud-builds, with the faults of Pub/Sub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulator.cloud.building import PROJECT, BuildCloud, a_build, building_cloud
from tests.emulator.cloud.conftest import PubSub, eventually, pubsub_clients
from tests.emulator.kubelet.cluster import Cluster


@pytest.fixture(scope="module")
def builder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildCloud]:
    with building_cloud(tmp_path_factory.mktemp("builder"), cluster) as made:
        yield made


@pytest.fixture(scope="module")
def builds_topic(builder: BuildCloud) -> Iterator[PubSub]:
    with pubsub_clients(builder.cloud.pubsub, "pubsub-token", "cloud-builds") as made:
        made.publisher.create_topic(name=f"projects/{PROJECT}/topics/cloud-builds")
        yield made


@pytest.fixture
def subscription(builder: BuildCloud, builds_topic: PubSub, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"projects/{PROJECT}/subscriptions/{request.node.name}"
    builds_topic.subscriber.create_subscription(name=name, topic=f"projects/{PROJECT}/topics/cloud-builds")
    yield name
    builder.admin("/pubsub/faults", {})
    builds_topic.subscriber.delete_subscription(subscription=name)


def received(topic: PubSub, subscription: str, count: int) -> list[Any]:
    messages: list[Any] = []

    def enough() -> bool:
        messages.extend(each.message for each in topic.pull(subscription))
        return len(messages) >= count

    eventually(enough)
    return messages


def test_each_state_is_announced(builder: BuildCloud, builds_topic: PubSub, subscription: str) -> None:
    ended = builder.ended(builder.create(a_build("true", tags=["a-tag"])))
    messages = received(builds_topic, subscription, 3)
    assert [message.attributes["status"] for message in messages] == ["QUEUED", "WORKING", "SUCCESS"]
    assert {message.attributes["buildId"] for message in messages} == {ended["id"]}
    assert json.loads(messages[-1].data) == ended


def test_announcements_can_be_lost(builder: BuildCloud, builds_topic: PubSub, subscription: str) -> None:
    builder.admin("/pubsub/faults", {"drop": 2})
    builder.ended(builder.create(a_build("true")))
    assert [each.attributes["status"] for each in received(builds_topic, subscription, 1)] == ["SUCCESS"]


def test_announcements_can_come_twice(builder: BuildCloud, builds_topic: PubSub, subscription: str) -> None:
    builder.admin("/pubsub/faults", {"duplicate": 3})
    builder.ended(builder.create(a_build("true")))
    assert len(received(builds_topic, subscription, 6)) == 6


def test_announcements_can_come_in_another_order(builder: BuildCloud, builds_topic: PubSub, subscription: str) -> None:
    builder.admin("/pubsub/faults", {"reorder": 3})
    builder.ended(builder.create(a_build("true")))
    found = [each.attributes["status"] for each in received(builds_topic, subscription, 3)]
    assert found == ["SUCCESS", "WORKING", "QUEUED"]


def listed(builder: BuildCloud, tag: str) -> list[str]:
    answer = json.loads(builder.ask("GET", builder.builds(f'?filter=tags%3D"{tag}"')).data)
    return [build["id"] for build in answer.get("builds", ())]


def test_a_create_can_lose_its_answer(builder: BuildCloud) -> None:
    assert builder.admin("/builds/faults", {"lose_create_answers": 1}) == {
        "refuse_creates": 0,
        "lose_create_answers": 1,
    }
    assert builder.ask("POST", builder.builds(), a_build("true", tags=["lost"])).status == 503
    (build_id,) = listed(builder, "lost")
    assert builder.ended({"id": build_id})["status"] == "SUCCESS"


def test_a_create_can_be_refused(builder: BuildCloud) -> None:
    builder.admin("/builds/faults", {"refuse_creates": 1})
    assert builder.ask("POST", builder.builds(), a_build("true", tags=["refused"])).status == 503
    assert listed(builder, "refused") == []
    builder.create(a_build("true", tags=["refused"]))
    assert len(listed(builder, "refused")) == 1


def test_switches_that_are_none_are_refused(builder: BuildCloud) -> None:
    assert "error" in builder.admin("/builds/faults", {"lose_create_answers": -1})
    assert builder.ask("PUT", "/admin/builds/faults", {}).status == 401
