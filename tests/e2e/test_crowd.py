"""A small workshop on the whole stack: more people at once than the Hub starts servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import HTTP, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

# The Hub of the stack takes eight starts at once.
PEOPLE = 10


def test_a_workshop_is_one_build_and_a_server_for_everybody(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("workshop")
    with ThreadPoolExecutor(PEOPLE) as people:
        stories = list(people.map(lambda _: list(stack.until_end(stack.launch(repo_url))), range(PEOPLE)))
    ends = [story[-1] for story in stories]
    assert [end.phase for end in ends] == ["ready"] * PEOPLE, [end.message for end in ends]
    assert len(stack.builds_of(repo_url)) == 1
    assert len(stack.users_of("workshop")) == PEOPLE
    assert len({end.data["url"] for end in ends}) == PEOPLE
    for launch in {event.id.rpartition(".")[0] for event in ends}:
        assert HTTP.request("DELETE", f"{stack.url}/api/launches/{launch}").status == 200
