"""Launch links as they stand in README files, lecture notes and nbgitpuller's generator: what opens in the server."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.clients.conftest import spec_of
from tests.e2e.conftest import PATIENCE_MS
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def test_a_link_opens_the_notebook_that_it_names(stack: Stack, plain: str, page: Page) -> None:
    before = set(stack.users_of("for-clients"))
    opened = {
        "labpath=notes.ipynb": "doc/tree/notes.ipynb",
        "filepath=notes.ipynb": "notebooks/notes.ipynb",
        "urlpath=lab/tree/notes.ipynb%3Freset": "lab/tree/notes.ipynb",
    }
    for query, path in opened.items():
        page.goto(f"{stack.url}/v2/{spec_of(plain)}?{query}")
        page.wait_for_url(re.compile(rf"^http://localhost:\d+/user/[^/]+/{re.escape(path)}"))
        expect(page.locator(".jp-Notebook").first).to_be_visible(timeout=PATIENCE_MS)
    # Of one repository, and in one browser: they lead into one server.
    assert len(set(stack.users_of("for-clients")) - before) == 1
