"""The page that makes launch links."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site


@pytest.fixture(autouse=True)
def _home(page: Page, site: Site) -> None:
    page.goto("/")


def link(page: Page) -> str:
    return page.get_by_label("Link", exact=True).input_value()


def test_a_repository_on_github_becomes_a_link_and_two_badges(page: Page, site: Site) -> None:
    page.fill("#repo", "owner/plots")
    expected = f"{site.url}v2/gh/owner/plots/HEAD"
    assert link(page) == expected
    assert page.input_value("#markdown") == f"[![Binder]({site.url}badge_logo.svg)]({expected})"
    assert page.input_value("#rst") == f".. image:: {site.url}badge_logo.svg\n   :target: {expected}"


def test_an_address_of_any_git_host_is_encoded_in_the_link(page: Page, site: Site) -> None:
    page.fill("#repo", "https://git.example.org/group/plots.git")
    page.fill("#ref", "feature/colours")
    expected = f"{site.url}v2/git/https%3A%2F%2Fgit.example.org%2Fgroup%2Fplots.git/feature/colours"
    assert page.input_value("#provider") == "git"
    assert link(page) == expected
    assert f"({expected})" in page.input_value("#markdown")


@pytest.mark.parametrize(
    ("pasted", "provider", "spec"),
    [
        ("https://github.com/owner/plots", "gh", "owner/plots/HEAD"),
        ("https://github.com/owner/plots/", "gh", "owner/plots/HEAD"),
        ("https://github.com/owner/plots.git", "gh", "owner/plots.git/HEAD"),
        ("https://github.com/owner/plots?tab=readme#top", "gh", "owner/plots/HEAD"),
        ("https://github.com/owner/plots/tree/v1", "gh", "owner/plots/v1"),
        (" owner/plots ", "gh", "owner/plots/HEAD"),
        ("https://gitlab.com/group/plots", "git", "https%3A%2F%2Fgitlab.com%2Fgroup%2Fplots/HEAD"),
        ("http://git.example.org/plots", "git", "http%3A%2F%2Fgit.example.org%2Fplots/HEAD"),
    ],
)
def test_a_pasted_address_says_where_it_belongs(page: Page, pasted: str, provider: str, spec: str) -> None:
    page.fill("#repo", pasted)
    assert page.input_value("#provider") == provider
    assert link(page).endswith(f"/v2/{provider}/{spec}")


def test_an_address_of_github_leads_back_from_git_to_github(page: Page) -> None:
    page.select_option("#provider", "git")
    page.fill("#repo", "https://github.com/owner/plots")
    assert page.input_value("#provider") == "gh"


def test_the_address_of_a_notebook_on_github_opens_that_notebook(page: Page) -> None:
    page.fill("#repo", "https://github.com/owner/plots/blob/main/deep/my%20plot.ipynb")
    assert link(page).endswith("/v2/gh/owner/plots/main?labpath=deep%2Fmy+plot.ipynb")
    page.fill("#ref", "v2")
    assert "/plots/v2?" in link(page)


@pytest.mark.parametrize(
    ("kind", "path", "query"),
    [
        ("labpath", "a b.ipynb", "?labpath=a+b.ipynb"),
        ("filepath", "deep/index.ipynb", "?filepath=deep%2Findex.ipynb"),
        ("urlpath", "/lab?reset&x=1#top", "?urlpath=%2Flab%3Freset%26x%3D1%23top"),
    ],
)
def test_what_to_open_is_part_of_the_link(page: Page, kind: str, path: str, query: str) -> None:
    page.fill("#repo", "owner/plots")
    page.select_option("#path-kind", kind)
    page.fill("#path", path)
    assert link(page).endswith(f"/v2/gh/owner/plots/HEAD{query}")


def test_marks_in_a_branch_name_stay_part_of_it(page: Page) -> None:
    page.fill("#repo", "owner/plots")
    page.fill("#ref", "fix/#12?")
    assert link(page).endswith("/v2/gh/owner/plots/fix/%2312%3F")


@pytest.mark.parametrize("text", ["plots", "owner/", "owner/plots/issues/3", "owner/..", "owner/my plots", "a/b/../c"])
def test_what_is_no_repository_is_refused_with_its_reason(page: Page, site: Site, text: str) -> None:
    page.fill("#repo", text)
    page.click("#launch")
    expect(page.get_by_role("alert")).to_have_text("A GitHub repository is written owner/name.")
    expect(page.locator("#repo")).to_be_focused()
    assert page.url == site.url
    assert link(page) == ""


def test_nobody_is_told_off_while_typing(page: Page) -> None:
    page.locator("#repo").press_sequentially("ow")
    expect(page.locator("#repo-problem")).to_be_empty()
    page.locator("#repo").blur()
    expect(page.locator("#repo-problem")).not_to_be_empty()
    page.locator("#repo").press_sequentially("ner/plots")
    expect(page.locator("#repo-problem")).to_be_empty()


def test_a_password_in_an_address_is_refused_at_once(page: Page) -> None:
    page.fill("#repo", "https://someone:secret@git.example.org/plots")
    expect(page.get_by_role("alert")).to_contain_text("Leave user names and passwords out")
    assert "secret" not in link(page) + page.input_value("#markdown") + page.input_value("#rst")


@pytest.mark.parametrize("address", ["git@github.com:owner/plots.git", "ssh://git@github.com/owner/plots"])
def test_addresses_of_ssh_are_refused(page: Page, address: str) -> None:
    page.fill("#repo", address)
    page.locator("#repo").blur()
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert link(page) == ""


def test_launch_goes_to_the_loading_page_by_keyboard_alone(page: Page, site: Site) -> None:
    page.locator("#repo").focus()
    page.keyboard.type("owner/plots")
    page.keyboard.press("Tab")
    page.keyboard.type("main")
    page.keyboard.press("Enter")
    page.wait_for_url(site.launch_url)


def test_every_control_is_reached_by_tab_in_the_order_of_the_page(page: Page) -> None:
    page.fill("#repo", "owner/plots")
    page.locator("#provider").focus()
    wanted = ["repo", "ref", "path", "path-kind", "launch", "link", "Copy", "markdown", "Copy", "rst", "Copy"]
    for name in wanted:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id || document.activeElement.textContent") == name


@pytest.mark.parametrize("what", ["link", "markdown", "rst"])
def test_copy_puts_it_on_the_clipboard(page: Page, site: Site, what: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    page.fill("#repo", "owner/plots")
    page.click(f"[data-copy={what}]")
    expect(page.locator("#said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.input_value(f"#{what}")


def test_there_is_nothing_to_copy_without_a_repository(page: Page) -> None:
    expect(page.locator("[data-copy=link]")).to_be_disabled()


def test_the_badges_have_the_size_that_readme_files_expect(page: Page) -> None:
    for name, size in {"badge_logo.svg": [109, 20], "badge.svg": [92, 20], "logo_social.png": [1334, 700]}.items():
        measured = page.evaluate(
            "async (src) => { const it = new Image(); it.src = src; await it.decode(); return [it.width, it.height]; }",
            f"/{name}",
        )
        assert measured == size, name
