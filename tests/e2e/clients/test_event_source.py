"""A plain EventSource of a browser, which nobody closes after the end, and which comes back by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.clients.conftest import spec_of
from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

FOLLOW = """(path) => {
  window.heard = [];
  window.source = new EventSource(path);
  window.source.onmessage = (message) => window.heard.push(JSON.parse(message.data).phase);
}"""
CLOSED = "window.source.readyState === EventSource.CLOSED"


def test_left_open_after_ready_it_starts_no_second_server(
    stack: Stack, make_repository: MakeRepository, page: Page
) -> None:
    repo_url = make_repository("left-open")
    stack.ready(repo_url)
    assert len(stack.users_of("left-open")) == 1
    # A page of the same origin that sets no cookie.
    page.goto(f"{stack.url}/versions")
    page.evaluate(FOLLOW, f"/build/{spec_of(repo_url)}")
    page.wait_for_function(CLOSED)
    assert page.evaluate("window.heard.filter((phase) => phase === 'ready').length") == 1
    assert len(stack.users_of("left-open")) == 2


def test_a_server_that_is_gone_is_not_started_again_by_it(
    stack: Stack, make_repository: MakeRepository, page: Page
) -> None:
    repo_url = make_repository("left-behind")
    page.goto(f"{stack.url}/versions")
    page.evaluate(FOLLOW, f"/build/{spec_of(repo_url)}")
    page.wait_for_function("window.heard.includes('ready')")
    [user] = stack.users_of("left-behind")
    stack.hub("DELETE", f"/users/{user}")
    # After a build the stream stays open for a minute; then it ends, and the EventSource comes back.
    page.wait_for_function(CLOSED)
    assert stack.users_of("left-behind") == []
