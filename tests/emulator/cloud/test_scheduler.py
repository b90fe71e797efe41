"""The scheduler: which schedule files it takes, when jobs run, and what a target sees."""

from __future__ import annotations

import json
import subprocess
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from emulator.cloud.schedule import InvalidSchedule, Job, parse
from tests.emulator.cloud.conftest import Endpoint, command, eventually, running

TARGET = {"name": "cull", "uri": "http://127.0.0.1:1/cull"}


def write(folder: Path, *jobs: dict[str, Any]) -> str:
    # JSON is YAML.
    path = folder / "schedule.yaml"
    path.write_text(json.dumps({"jobs": jobs}))
    return str(path)


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-01-01T{text}+00:00").timestamp()


@pytest.mark.parametrize(
    ("cron", "now", "next_run"),
    [
        ("* * * * *", "10:00:00", "10:01:00"),
        ("* * * * *", "10:00:59.9", "10:01:00"),
        ("*/5 * * * *", "10:04:59", "10:05:00"),
        ("*/5 * * * *", "10:05:00", "10:10:00"),
        ("*/40 * * * *", "10:41:00", "11:00:00"),
        ("*/59 * * * *", "10:59:00", "11:00:00"),
    ],
)
def test_cron_names_the_next_run(cron: str, now: str, next_run: str) -> None:
    assert Job(name="a", uri="http://x", cron=cron).next_run(at(now)) == at(next_run)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"jobs": {}},
        {"jobs": [TARGET]},
        {"jobs": [TARGET | {"cron": "0 5 * * *"}]},
        {"jobs": [TARGET | {"cron": "*/0 * * * *"}]},
        {"jobs": [TARGET | {"cron": "*/60 * * * *"}]},
        {"jobs": [TARGET | {"cron": "* * * * *", "every_s": 1}]},
        {"jobs": [TARGET | {"every_s": "soon"}]},
        {"jobs": [TARGET | {"every_s": 0.001}]},
        {"jobs": [TARGET | {"every_s": 1, "uri": "file:///etc/passwd"}]},
        {"jobs": [TARGET | {"every_s": 1, "retry_count": 6}]},
        {"jobs": [TARGET | {"every_s": 1, "evry": 1}]},
        {"jobs": [TARGET | {"every_s": 1, "http_method": "CONNECT"}]},
        {"jobs": [TARGET | {"every_s": 1, "audience": 5}]},
        {"jobs": [TARGET | {"every_s": 1, "retry_count": 1.5}]},
        {"jobs": [TARGET | {"every_s": 1, "name": "a/b"}]},
        {"jobs": [TARGET | {"every_s": 1}, TARGET | {"every_s": 2}]},
    ],
)
def test_a_wrong_schedule_is_refused(document: Any) -> None:
    with pytest.raises(InvalidSchedule):
        parse(document)


def test_a_wrong_schedule_stops_the_start_with_a_clear_error(tmp_path: Path) -> None:
    schedule = write(tmp_path, TARGET | {"cron": "@daily"})
    ended = subprocess.run(
        command(tmp_path, "--schedule", schedule), capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert "job cull: cannot run '@daily'" in ended.stderr
    assert "Traceback" not in ended.stderr


def run_now(address: str, name: str, token: str = "admin-token") -> requests.Response:
    return requests.post(
        f"http://{address}/admin/scheduler/jobs/{name}:run",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )


def test_a_job_runs_when_asked_and_retries(tmp_path: Path, endpoint: Endpoint) -> None:
    job = {"name": "cull", "uri": endpoint.url, "cron": "*/59 * * * *", "retry_count": 2, "min_backoff_s": 0}
    endpoint.statuses = [500, 503]
    with running(tmp_path, "--schedule", write(tmp_path, job | {"service_account_email": "a@b.c"})) as cloud:
        assert run_now(cloud.http, "cull").json() == {"job": "cull", "status": 204, "attempts": 3}
        assert run_now(cloud.http, "nobody").status_code == 404
        assert run_now(cloud.http, "cull", token="guess").status_code == 401
    headers, body = endpoint.requests[0]
    assert (headers["X-CloudScheduler"], headers["X-CloudScheduler-JobName"]) == ("true", "cull")
    assert headers["User-Agent"] == "Google-Cloud-Scheduler"
    assert headers["Authorization"].startswith("Bearer ey")
    assert (len(endpoint.requests), body) == (3, b"")


def test_a_job_runs_on_schedule_without_waiting_for_the_run_before(tmp_path: Path, endpoint: Endpoint) -> None:
    together = threading.Barrier(2, timeout=10)
    endpoint.before_answer = together.wait  # type: ignore[assignment]
    job = {"name": "cull", "uri": endpoint.url, "every_s": 0.1}
    with running(tmp_path, "--schedule", write(tmp_path, job)):
        eventually(lambda: len(endpoint.requests) >= 2 and together.n_waiting == 0)
    assert not together.broken
    together.abort()
    endpoint.before_answer = lambda: None
