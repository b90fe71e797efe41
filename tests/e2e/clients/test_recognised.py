"""Tools that ask a hub what it is before they use it, as MyST and Jupyter Book do."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.stack import Stack
from tests.fakes.web import Web

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

FETCH = "(url) => fetch(url).then((response) => response.json())"


def test_a_page_of_another_origin_recognises_a_binderhub(stack: Stack, site: Web, page: Page) -> None:
    page.goto(f"{site.url}/book.html")
    answer = page.evaluate(FETCH, f"{stack.url}/versions")
    assert {"builder_info", "binderhub"} <= set(answer)


def test_a_page_of_another_origin_may_read_which_repositories_can_be_launched(
    stack: Stack, site: Web, page: Page
) -> None:
    page.goto(f"{site.url}/book.html")
    providers = page.evaluate(FETCH, f"{stack.url}/api/repoproviders")
    assert {"gh", "git"} <= {provider["id"] for provider in providers}
