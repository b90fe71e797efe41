"""The process as the stack sees it: flags, secrets, health, stop."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from emulator.cloud.credentials import InvalidCredentials, parse
from tests.emulator.cloud.conftest import CREDENTIALS, Cloud, Endpoint, command, eventually, pubsub_clients, running


def test_it_is_healthy_when_it_listens(cloud: Cloud) -> None:
    assert requests.get(f"http://{cloud.http}/healthz", timeout=10).status_code == 200
    assert stat.S_IMODE((cloud.state / "cloud").stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_with_a_push_on_its_way(tmp_path: Path, endpoint: Endpoint, number: int) -> None:
    stopped: list[float] = []
    endpoint.before_answer = lambda: eventually(lambda: stopped)
    with running(tmp_path) as cloud, pubsub_clients(cloud.pubsub, "pubsub-token", "stop") as pubsub:
        pubsub.publisher.create_topic(name=pubsub.topic)
        config = {"push_endpoint": endpoint.url}
        pubsub.subscriber.create_subscription(
            name=pubsub.subscription, topic=pubsub.topic, push_config=config, ack_deadline_seconds=600
        )
        pubsub.publish(b"x")
        eventually(lambda: endpoint.requests)
        began = time.monotonic()
        cloud.process.send_signal(number)
        assert cloud.process.wait(10) == 0
        stopped.append(time.monotonic())
    assert stopped[0] - began < 5
    assert "Traceback" not in (tmp_path / "cloud.log").read_text()


@pytest.mark.parametrize("flag", ["--pubsub-port", "--registry-port", "--http-port"])
def test_a_taken_port_is_named_with_its_flag(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            command(tmp_path, flag, str(port)), capture_output=True, text=True, timeout=30, check=False
        )
    assert ended.returncode == 1
    assert f"port {port} is taken; give {flag} another one" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"admin_token": ""},
        {"admin_token": "short"},
        {"pubsub_token": None},
        {"registry": []},
        {"registry": {"a:b": {"password": "long-enough"}}},
        {"registry": {"a": {"password": "long-enough", "push": "yes"}}},
        {"registry": {"a": {"password": "long-enough", "push": [1]}}},
        {"registry": {"a": {"password": "long-enough", "push": [""]}}},
        {"registry": {"a": {"password": ""}}},
        {"extra": 1},
    ],
)
def test_weak_or_wrong_credentials_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidCredentials):
        parse(CREDENTIALS | change)


def test_no_secret_is_shown() -> None:
    shown = repr(parse(CREDENTIALS))
    assert not any(secret in shown for secret in ("admin-token", "pubsub-token", "push-password"))
