"""A person with a browser: from the form to a cell of a notebook that has been executed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PATIENCE_MS, MakeRepository
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

CELL: dict[str, Any] = {
    "cell_type": "code",
    "execution_count": None,
    "id": "a",
    "metadata": {},
    "outputs": [],
    "source": ["print(6*7)"],
}
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
NOTEBOOK = json.dumps({"cells": [CELL], "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5})


def test_from_the_form_to_an_executed_cell(stack: Stack, make_repository: MakeRepository, page: Page) -> None:
    repo_url = make_repository("pages", **{"answer.ipynb": NOTEBOOK})
    page.goto(stack.url)
    page.locator("#repo").fill(repo_url)
    page.locator("#path").fill("answer.ipynb")
    page.locator("#launch").click()
    page.wait_for_url("http://localhost:*/user/*/doc/tree/answer.ipynb**")
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=PATIENCE_MS)
    # Before its kernel answers, JupyterLab drops what it is asked to run.
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE_MS)
    page.locator(".jp-Cell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").first).to_contain_text("42", timeout=PATIENCE_MS)


def test_a_reload_in_the_middle_of_a_build_goes_on_with_it(
    stack: Stack, make_repository: MakeRepository, page: Page
) -> None:
    repo_url = make_repository("reloaded", **{"requirements.txt": "six==1.17.0\n", "README.md": "reloaded"})
    page.goto(f"{stack.url}/v2/git/{repo_url.replace(':', '%3A').replace('/', '%2F')}/HEAD")
    expect(page.locator("#log")).to_contain_text("Cloning", timeout=PATIENCE_MS)
    page.reload()
    expect(page.locator("#log")).to_contain_text("Cloning", timeout=PATIENCE_MS)
    page.wait_for_url("http://localhost:*/user/**")
    assert len(stack.builds_of(repo_url)) == 1
    assert len(stack.users_of("reloaded")) == 1


def test_a_failed_build_is_explained_on_the_page(stack: Stack, make_repository: MakeRepository, page: Page) -> None:
    repo_url = make_repository("explained", **{"requirements.txt": "six==999\n"})
    page.goto(f"{stack.url}/v2/git/{repo_url.replace(':', '%3A').replace('/', '%2F')}/HEAD")
    expect(page.locator("#reason")).to_contain_text("six", timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
