"""How the page that makes links tells of webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site, serve_site


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site(base_path="/binder/", webhooks={"github_secrets": "secret", "repositories": ["gh/*"]}) as site:
        yield site


def test_a_repository_on_github_is_shown_where_to_add_the_webhook(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.fill("#repo", "https://github.com/owner/plots")
    assert page.input_value("#webhook") == f"{site.url}webhooks/github"
    settings = page.get_by_role("link", name="settings page")
    expect(settings).to_have_attribute("href", "https://github.com/owner/plots/settings/hooks/new")
    expect(page.get_by_text("application/json")).to_be_visible()
    expect(page.get_by_text("Triggers")).to_be_hidden()
    assert "secret" not in page.evaluate("JSON.stringify(pageConfig)")


@pytest.mark.parametrize("repository", ["", "https://git.example.org/owner/plots", "owner/"])
def test_what_has_no_webhook_is_told_of_none(page: Page, site: Site, repository: str) -> None:
    page.goto(site.url)
    page.fill("#repo", repository)
    expect(page.locator("#prebuild")).to_be_hidden()


def test_the_settings_page_of_a_group_within_a_group_on_gitlab(page: Page, site: Site) -> None:
    page.goto(site.url)
    script = page.locator("script[type=module]").get_attribute("src")
    assert script is not None
    made = page.evaluate(
        "async (links) => (await import(links)).webhookPage('gl', 'https://gitlab.example.org', 'group/sub/plots')",
        script.replace("form.js", "links.js"),
    )
    assert made == "https://gitlab.example.org/group/sub/plots/-/hooks"


def test_the_secret_alone_switches_nothing_on(page: Page) -> None:
    with serve_site(webhooks={"github_secrets": "secret"}) as site:
        page.goto(site.url)
        page.fill("#repo", "owner/plots")
        expect(page.locator("#prebuild")).to_have_count(0)
