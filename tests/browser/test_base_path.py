"""The pages of a hub that has only a part of its host, and of one with a banner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import SPEC, Site, serve_site


@pytest.fixture
def site() -> Iterator[Site]:
    banner = '<p id="said-above" style="color: rgb(1, 2, 3)">Closed on Monday</p>'
    with serve_site(base_path="/services/binder/", banner_html=banner) as site:
        yield site


def test_a_link_made_below_a_base_path_leads_into_the_server(page: Page, site: Site) -> None:
    site.have_image()
    page.goto(site.url)
    page.fill("#repo", "owner/plots")
    page.fill("#ref", "main")
    assert page.get_by_label("Link", exact=True).input_value() == site.launch_url
    assert f"{site.url}badge_logo.svg" in page.input_value("#markdown")
    page.click("#launch")
    page.wait_for_url("http://hub.test:*/user/**")
    assert len(site.fakes.hub.started) == 1


def test_a_reload_below_a_base_path_comes_back_to_its_launch(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    expect(page.locator("#status")).to_have_text("Waiting for the build to begin…", timeout=20_000)
    site.write("Cloning")
    page.reload()
    expect(page.locator("#log")).to_contain_text("Cloning", timeout=20_000)
    assert len(site.fakes.backend.submitted) == 1


def test_the_operators_banner_looks_as_it_was_written(page: Page, site: Site) -> None:
    for path in ("", "about", f"v2/gh/{SPEC}"):
        page.goto(site.url + path)
        expect(page.locator("#said-above")).to_have_css("color", "rgb(1, 2, 3)")
