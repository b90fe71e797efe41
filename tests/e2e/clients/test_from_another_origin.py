"""Pages of another site that launch here: Thebe, JupyterHub's client, a plain EventSource, and who asks what we are."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.clients.conftest import spec_of
from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import Stack
from tests.fakes.web import Web

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture
def book(page: Page, site: Web) -> Page:
    """A page of another origin, with the clients in it."""
    page.goto(f"{site.url}/book.html")
    return page


def test_thebe_runs_a_cell_in_a_kernel_of_the_repository(stack: Stack, plain: str, book: Page) -> None:
    ran = book.evaluate("([hub, repo]) => run(hub, repo, '6*7')", [stack.url, plain])
    [output] = ran["outputs"]
    assert output["data"] == {"text/plain": "42"}


def test_thebe_has_a_repository_built_that_nobody_has_launched(
    stack: Stack, make_repository: MakeRepository, book: Page
) -> None:
    repo_url = make_repository("for-thebe", **{"requirements.txt": "cowsay==6.1\n"})
    ran = book.evaluate("([hub, repo]) => run(hub, repo, 'import cowsay; 6*7')", [stack.url, repo_url])
    assert ran["outputs"][-1]["data"] == {"text/plain": "42"}
    assert len(stack.builds_of(repo_url)) == 1


def test_thebe_comes_back_to_the_server_that_it_remembers(stack: Stack, plain: str, book: Page) -> None:
    first, again = [book.evaluate("([hub, repo]) => run(hub, repo, '6*7')", [stack.url, plain]) for _ in range(2)]
    assert first["url"] == again["url"]


def test_the_client_of_jupyterhub_follows_a_launch(stack: Stack, plain: str, book: Page) -> None:
    launch = "([hub, spec]) => binderhubClient.launch(hub, spec, '')"
    heard = book.evaluate(launch, [stack.url, spec_of(plain)])
    assert heard["events"][-1]["phase"] == "ready"
    assert heard["address"].startswith(heard["events"][-1]["url"])


def test_an_event_source_hears_the_end(stack: Stack, plain: str, book: Page) -> None:
    follow = """(url) => new Promise((resolve) => {
      const source = new EventSource(url);
      source.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (!["ready", "failed"].includes(event.phase)) return;
        source.close();
        resolve(event);
      };
    })"""
    last = book.evaluate(follow, f"{stack.url}/build/{spec_of(plain)}")
    assert last["phase"] == "ready"
