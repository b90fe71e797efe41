"""What a launch survives: every time it ends in one image, one server for each launch, and nothing left over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import Event, Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

# Long enough to do something to the stack while it is built.
SLOW = {"requirements.txt": "six==1.17.0\n"}


@pytest.fixture(autouse=True)
def _faultless_before_and_after(stack: Stack) -> Iterator[None]:
    stack.cloud_admin("PUT", "/admin/pubsub/faults", {})
    yield
    stack.cloud_admin("PUT", "/admin/pubsub/faults", {})


def assert_one_of_each(stack: Stack, repo_url: str) -> None:
    name = repo_url.rpartition("/")[2].removesuffix(".git")
    assert len(stack.builds_of(repo_url)) == 1
    assert len(stack.users_of(name)) == 1
    assert len([pod for pod in stack.pods() if f"-{name}-" in pod["metadata"]["name"]]) == 1


def begin(stack: Stack, repo_url: str, **headers: str) -> tuple[Event, Iterator[Event]]:
    """A launch whose build has begun."""
    story = stack.launch(repo_url, **headers)
    return next(event for event in story if event.phase == "waiting"), story


def test_a_dropped_stream_goes_on_on_another_instance(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("dropped", **SLOW)
    story = stack.launch(repo_url)
    first = [next(story) for _ in range(4)]
    [serving] = [each for each in stack.instances("build") if each["in_flight"]]
    story.close()  # type: ignore[attr-defined]
    stack.kill_instance(serving["pid"])
    rest = list(stack.until_end(stack.launch(repo_url, Last_Event_ID=first[-1].id)))
    numbers = [int(event.id.rpartition(".")[2]) for event in [*first, *rest]]
    assert serving["pid"] not in [each["pid"] for each in stack.instances("build")]
    assert rest[-1].phase == "ready"
    assert numbers == sorted(set(numbers))
    assert_one_of_each(stack, repo_url)


def test_an_instance_that_is_killed_in_the_middle_is_replaced(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("killed", **SLOW)
    begun, story = begin(stack, repo_url)
    for each in stack.instances("build"):
        stack.kill_instance(each["pid"])
    told = [begun]
    with pytest.raises(Exception):  # noqa: B017 - however the HTTP library puts it
        told.extend(story)
    last = list(stack.until_end(stack.launch(repo_url, Last_Event_ID=told[-1].id)))[-1]
    assert last.phase == "ready"
    assert_one_of_each(stack, repo_url)


@pytest.mark.parametrize("faults", [{"drop": 1}, {"duplicate": 2}, {"delay_s": 8.0}], ids=["lost", "twice", "late"])
def test_a_completion_message_may_be(stack: Stack, make_repository: MakeRepository, faults: dict[str, float]) -> None:
    repo_url = make_repository(f"message-{'-'.join(faults)}".replace("_", "-"), **SLOW)
    each = {"delay_s": 1.0} | dict.fromkeys(("drop", "duplicate"), stack.messages_of_a_build)
    stack.cloud_admin("PUT", "/admin/pubsub/faults", {name: value * each[name] for name, value in faults.items()})
    assert stack.ready(repo_url)
    stack.cloud_admin("PUT", "/admin/pubsub/faults", {})
    stack.cull()
    assert_one_of_each(stack, repo_url)


def test_a_lost_message_without_a_watcher_is_mended_by_the_cull(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("unwatched", **SLOW)
    stack.cloud_admin("PUT", "/admin/pubsub/faults", {"drop": stack.messages_of_a_build})
    begun, story = begin(stack, repo_url)
    story.close()  # type: ignore[attr-defined]
    wait_until(lambda: _finished(stack, repo_url), patience_s=90, what="the end of the build")
    stack.cull()
    wait_until(lambda: len(stack.users_of("unwatched")) == 1, what="the server of the launch")
    ready = list(stack.until_end(stack.launch(repo_url, Last_Event_ID=begun.id)))[-1]
    assert ready.phase == "ready"
    assert_one_of_each(stack, repo_url)


def test_the_function_that_handles_the_end_of_a_build_may_die(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("handlerless", **SLOW)
    begun, story = begin(stack, repo_url)
    story.close()  # type: ignore[attr-defined]
    killed: set[int] = set()
    over = threading.Event()

    def kill_each_for_a_while() -> None:
        until = time.monotonic() + 60
        while not over.is_set() and time.monotonic() < until and len(killed) < 2:
            for each in stack.instances("on_build_complete"):
                if each["in_flight"]:
                    stack.kill_instance(each["pid"])
                    killed.add(each["pid"])
            time.sleep(0.01)

    killer = threading.Thread(target=kill_each_for_a_while)
    killer.start()
    wait_until(lambda: bool(stack.users_of("handlerless")), patience_s=90, what="a server of the launch")
    over.set()
    killer.join()
    ready = list(stack.until_end(stack.launch(repo_url, Last_Event_ID=begun.id)))[-1]
    assert killed
    assert ready.phase == "ready"
    assert_one_of_each(stack, repo_url)


def test_a_hub_that_is_killed_during_the_build_is_waited_for(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("hubless", **SLOW)
    _, story = begin(stack, repo_url)
    stack.kill_part("hub")
    assert list(stack.until_end(story))[-1].phase == "ready"
    assert_one_of_each(stack, repo_url)


def test_an_idle_server_goes_with_its_user_and_pod(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("idle")
    stack.ready(repo_url)
    [user] = stack.users_of("idle")
    stack.hub("DELETE", f"/users/{user}/server")
    wait_until(lambda: not [pod for pod in stack.pods() if "-idle-" in pod["metadata"]["name"]], what="the pod's end")


def _finished(stack: Stack, repo_url: str) -> bool:
    return set(stack.builds_of(repo_url)) == {"SUCCESS"}
