"""What the operator permits on the whole stack, changed by the command itself; and the queue that a quota makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.stack import HTTP, ROOT, Event, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

# A change is known to every instance after three seconds (docs/limits.md).
KNOWN_AFTER_S = 3.5
MANY = 12


def admin(stack: Stack, *words: str) -> dict[str, Any]:
    """The command as docs/limits.md has it: it is told where the configuration is, and has no secret."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("BINDERLESS_")}
    done = subprocess.run(
        [sys.executable, "-m", "functions", "admin", *words],
        cwd=ROOT,
        env={**others, "BINDERLESS_CONFIG": str(stack.state / "functions" / "config.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    limits: dict[str, Any] = json.loads(done.stdout)
    return limits


def permit_everything(stack: Stack) -> None:
    limits = admin(stack, "open")
    for pattern in limits["banned"]:
        admin(stack, "unban", pattern)
    for pattern in limits["repo_quotas"]:
        admin(stack, "repo-quota", pattern, "default")


@pytest.fixture(autouse=True)
def _as_before(stack: Stack) -> Iterator[None]:
    # Whoever changes something waits until all know it, and so until they know this.
    yield
    permit_everything(stack)


@pytest.fixture(scope="module")
def repo_url(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A repository whose image is there."""
    folder = tmp_path_factory.mktemp("limited")
    (folder / "README.md").write_text("# Limited\n")
    url = stack.publish(folder, "limited")
    stop(stack, stack.ready(url))
    yield url
    time.sleep(KNOWN_AFTER_S)


@pytest.fixture
def one_place(stack: Stack, repo_url: str) -> None:
    """One server of the repository at a time."""
    admin(stack, "repo-quota", f"git/{repo_url}/*", "1")
    time.sleep(KNOWN_AFTER_S)


def launch_of(event: Event) -> str:
    return event.id.rpartition(".")[0]


def stop(stack: Stack, event: Event) -> None:
    """End a launch with its server, as its owner may."""
    assert HTTP.request("DELETE", f"{stack.url}/api/launches/{launch_of(event)}").status == 200


def end(stack: Stack, repo_url: str) -> Event:
    return list(stack.until_end(stack.launch(repo_url)))[-1]


def queued(story: Iterator[Event]) -> Event:
    """The first word of a queue; there must be one before the launch goes on."""
    event = next(event for event in story if "queue" in event.data or event.phase != "waiting")
    assert "queue" in event.data, event.data
    return event


def at_once(ask: Any) -> list[Any]:
    with ThreadPoolExecutor(MANY) as people:
        return list(people.map(lambda _: ask(), range(MANY)))


def test_a_closed_hub_says_so_at_every_instance_and_opens_again(stack: Stack, repo_url: str) -> None:
    # So all instances know what is permitted now.
    at_once(lambda: HTTP.request("GET", f"{stack.url}/api/launches/none"))
    assert len(stack.instances("build")) >= 2
    assert admin(stack, "close", "We move house until noon.")["closed"] == "We move house until noon."
    time.sleep(KNOWN_AFTER_S)
    told = at_once(lambda: end(stack, repo_url))
    assert {(event.phase, event.data["status_code"], event.message) for event in told} == {
        ("failed", 429, "We move house until noon.\n")
    }
    wish = json.dumps({"provider": "git", "spec": f"{quote(repo_url, safe='')}/HEAD"})
    refused = HTTP.request("POST", f"{stack.url}/api/launches", body=wish, headers={"Content-Type": "application/json"})
    assert (refused.status, refused.json()["detail"]) == (429, "We move house until noon.")
    assert stack.users_of("limited") == []
    admin(stack, "open")
    time.sleep(KNOWN_AFTER_S)
    stop(stack, stack.ready(repo_url))


def test_a_banned_repository_is_not_launched_however_it_is_written(stack: Stack, repo_url: str) -> None:
    admin(stack, "ban", f"git/{repo_url}/*")
    time.sleep(KNOWN_AFTER_S)
    for spelled in (repo_url, repo_url.replace("limited", "%6cimited"), repo_url.replace("limited", "LIMITED")):
        event = end(stack, spelled)
        assert (event.phase, event.data["status_code"]) == ("failed", 403), event.data
        assert "is not allowed to launch" in event.message


@pytest.mark.usefixtures("one_place")
@pytest.mark.parametrize("way", ["by its owner", "at the Hub"])
def test_who_waits_is_number_one_and_ready_when_the_server_before_is_stopped(
    stack: Stack, repo_url: str, way: str
) -> None:
    first = stack.ready(repo_url)
    story = stack.until_end(stack.launch(repo_url))
    assert queued(story).data["queue"] == {"position": 1, "estimate_s": None}
    if way == "by its owner":
        stop(stack, first)
    else:
        [user] = stack.users_of("limited")
        stack.hub("DELETE", f"/users/{user}/server")
        stack.cull()
    last = list(story)[-1]
    assert last.phase == "ready", last.message
    assert first.data["url"] != last.data["url"]
    assert len(stack.users_of("limited")) == 1
    stop(stack, last)


@pytest.mark.usefixtures("one_place")
def test_a_queue_outlives_every_instance(stack: Stack, repo_url: str) -> None:
    first = stack.ready(repo_url)
    story = stack.launch(repo_url)
    before = queued(story)
    for each in stack.instances("build"):
        stack.kill_instance(each["pid"])
    with pytest.raises(Exception):  # noqa: B017 - however the HTTP library puts it
        list(story)
    story = stack.launch(repo_url, Last_Event_ID=before.id)
    again = queued(story)
    story.close()  # type: ignore[attr-defined]
    stack.run_admin("POST", "/functions/build:scale-to-zero")
    story = stack.until_end(stack.launch(repo_url, Last_Event_ID=again.id))
    at_last = queued(story)
    assert {(launch_of(it), it.data["queue"]["position"]) for it in (before, again, at_last)} == {
        (launch_of(before), 1)
    }
    stop(stack, first)
    last = list(story)[-1]
    assert (last.phase, launch_of(last)) == ("ready", launch_of(before)), last.message
    stop(stack, last)
