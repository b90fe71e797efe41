"""A small workshop on the whole stack: more people at once than the Hub starts servers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import HTTP, Event, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

# The Hub of the stack takes eight starts at once.
PEOPLE, AT_ONCE = 10, 8
# What a watcher hears later than another of the same moment, and how old what an instance knows of the queue may be.
LAG_S, LOOK_S = 2.0, 5.0

Story = list[tuple[float, Event]]


def follow(stack: Stack, repo_url: str) -> Story:
    """What somebody heard, and when."""
    return [(time.monotonic(), event) for event in stack.until_end(stack.launch(repo_url))]


def queued_until(story: Story) -> float | None:
    """When somebody who waited in the queue heard of something else; None for who did not wait."""
    waited = [place for place, (_, event) in enumerate(story) if "queue" in event.data]
    if not waited or story[waited[-1] + 1][0] - story[waited[0]][0] < LOOK_S:
        return None
    return story[waited[-1] + 1][0]


def test_a_workshop_is_one_build_and_a_server_for_everybody(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("workshop")
    with ThreadPoolExecutor(PEOPLE) as people:
        stories = list(people.map(lambda _: follow(stack, repo_url), range(PEOPLE)))
    ends = [story[-1][1] for story in stories]
    assert [end.phase for end in ends] == ["ready"] * PEOPLE, [end.message for end in ends]
    assert len(stack.instances("build")) >= 2
    assert len(stack.builds_of(repo_url)) == 1
    assert len(stack.users_of("workshop")) == PEOPLE
    assert len({end.data["url"] for end in ends}) == PEOPLE
    turns = [turn for story in stories if (turn := queued_until(story)) is not None]
    assert len(turns) <= PEOPLE - AT_ONCE, "somebody waited although the Hub would have started their server"
    first_ready = min(story[-1][0] for story in stories)
    assert all(turn >= first_ready - LAG_S for turn in turns), "somebody's turn came before a start had ended"
    for launch in {event.id.rpartition(".")[0] for event in ends}:
        assert HTTP.request("DELETE", f"{stack.url}/api/launches/{launch}").status == 200
