"""The page that follows a launch, from its link into the running server."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from functions.core.errors import RateLimited, RefNotFound
from tests.browser.site import SPEC, Site, wait_until


def status(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_have_text(text, timeout=20_000)


def log(page: Page, text: str) -> None:
    expect(page.locator("#log")).to_contain_text(text, timeout=20_000)


def test_a_launch_is_followed_into_the_server(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    status(page, "Waiting for the build to begin…")
    site.write("Cloning", json.dumps({"phase": "building", "message": "Step 1\n"}))
    status(page, "Installing the repository's software…")
    log(page, "Cloning\nStep 1")
    expect(page.locator("#phases [aria-current=step]")).to_have_text("Build")
    site.finish_build()
    page.wait_for_url("http://hub.test:*/user/**")
    assert urlsplit(page.url).query == "token=server-token"


def test_a_build_token_of_the_page_goes_with_its_stream(page: Page, site: Site) -> None:
    with page.expect_request("**/build/**") as asked:
        page.goto(site.launch_url)
    token = page.evaluate("window.pageConfig.buildToken")
    assert asked.value.url == f"{site.url}build/gh/{SPEC}?build_token={token}"


def test_the_time_since_the_launch_began_is_shown(page: Page, site: Site) -> None:
    page.clock.install()
    page.goto(site.launch_url)
    status(page, "Waiting for the build to begin…")
    page.clock.fast_forward(75_000)
    expect(page.locator("#elapsed")).to_have_text(re.compile(r"1 min [1-3]\d s"))


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", ""),
        ("?labpath=deep/index.ipynb", "doc/tree/deep/index.ipynb"),
        ("?filepath=index.ipynb", "tree/index.ipynb"),
        ("?urlpath=%2Flab%2Ftree%2Fa", "lab/tree/a"),
        ("?urlpath=https%3A%2F%2Fevil.example%2F", ""),
        ("?urlpath=%2F%2Fevil.example", "evil.example"),
        ("?urlpath=..%2F..%2Fother", ""),
        ("?urlpath=javascript%3Aalert(1)", ""),
    ],
)
def test_the_link_says_where_in_the_server(page: Page, site: Site, query: str, path: str) -> None:
    site.have_image()
    page.goto(site.launch_url + query)
    page.wait_for_url("http://hub.test:*/**")
    [(user, _)] = site.fakes.hub.started
    assert urlsplit(page.url).path == f"/user/{user}/{path}"
    assert urlsplit(page.url).query == "token=server-token"


def test_back_from_the_server_leads_to_the_page_before_the_launch(page: Page, site: Site) -> None:
    site.have_image()
    page.goto("/")
    page.fill("#repo", "owner/plots")
    page.fill("#ref", "main")
    page.click("#launch")
    page.wait_for_url("http://hub.test:*/**")
    page.go_back()
    assert page.url == site.url
    assert len(site.fakes.hub.started) == 1


def test_a_failed_build_shows_its_reason_and_its_log(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    site.write("ERROR: No matching distribution found for nosuch")
    log(page, "No matching distribution")
    site.fail_build("repo2docker could not build the repository.")
    status(page, "The launch failed")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("repo2docker could not build the repository.")
    expect(alert).to_contain_text("The end of the log says why.")
    expect(page).to_have_title("The launch failed GitHub: owner/plots/main")


def test_the_log_can_be_copied_for_a_report(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    page.goto(site.launch_url)
    site.write("ERROR: nosuch")
    log(page, "ERROR: nosuch")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "ERROR: nosuch\n" in page.evaluate("navigator.clipboard.readText()")


def test_what_the_hub_says_of_the_start_is_in_sight(page: Page, site: Site) -> None:
    site.have_image()
    site.fakes.hub.errors += [RateLimited("JupyterHub", retry_after_s=2)]
    page.goto(site.launch_url)
    status(page, "Number 1 in the queue")
    expect(page.locator("#phases [aria-current=step]")).to_have_text("Launch")
    page.wait_for_url("http://hub.test:*/**")


def queue_up(page: Page, position: int, estimate_s: int | None = None) -> None:
    """Let the page hear of a place in the queue, as if the hub had said so."""
    said = f"This hub is full. You are number {position} in the queue."
    heard = {"phase": "waiting", "message": f"{said}\n", "queue": {"position": position, "estimate_s": estimate_s}}
    page.evaluate("(heard) => window.hear(heard)", heard)


@pytest.fixture
def queued(page: Page, site: Site) -> Page:
    """A page in a queue. Its stream is the test's own: what passes `window.hear` comes to the page as an event."""
    page.add_init_script(
        """window.EventSource = class {
          constructor() {
            window.hear = (heard) => this.onmessage({ data: JSON.stringify(heard), lastEventId: "a.1" });
            window.lose = () => this.onerror();
            window.find = () => this.onopen();
            setTimeout(() => this.onopen());
          }
          close() {}
        }"""
    )
    page.clock.install()
    page.goto(site.launch_url)
    queue_up(page, 7)
    return page


def test_a_place_in_the_queue_is_in_sight(queued: Page) -> None:
    status(queued, "Number 7 in the queue")
    expect(queued).to_have_title(re.compile("^Number 7 in the queue"))
    expect(queued.locator("#phases [aria-current=step]")).to_have_text("Launch")
    expect(queued.locator("#hint")).to_have_text("Stay on this page: who is away is passed over.")
    queue_up(queued, 3, 250)
    status(queued, "Number 3 in the queue")
    expect(queued.locator("#hint")).to_contain_text("Your turn comes in about 4 minutes.")
    queue_up(queued, 1, 20)
    expect(queued.locator("#hint")).to_contain_text("Your turn comes in less than a minute.")
    queued.evaluate("window.hear({ phase: 'launching', message: 'Server requested\\n' })")
    status(queued, "Starting your server…")
    expect(queued.locator("#hint")).to_have_text("Server requested")


def test_the_log_has_the_beginning_of_the_queue_and_not_each_of_its_moves(queued: Page) -> None:
    for position in (6, 5, 4):
        queue_up(queued, position)
    queued.evaluate("window.hear({ phase: 'launching', message: 'Server requested\\n' })")
    queued.clock.run_for(200)
    expect(queued.locator("#log")).to_have_text("This hub is full. You are number 7 in the queue.\nServer requested\n")


def test_who_listens_is_told_of_the_queue_now_and_then(queued: Page) -> None:
    said = queued.locator("#said")
    assert said.get_attribute("role") == "status"
    expect(
        queued.locator("#status, #hint").locator("xpath=ancestor-or-self::*[@role='status' or @aria-live]")
    ).to_have_count(0)
    expect(said).to_have_text("Number 7 in the queue")
    for position in (6, 5, 4):
        queued.clock.run_for(3_000)
        queue_up(queued, position, 100)
        expect(said).to_have_text("Number 7 in the queue")
    queued.clock.run_for(25_000)
    queue_up(queued, 3, 100)
    expect(said).to_have_text("Number 3 in the queue, about 2 minutes")
    queue_up(queued, 1)
    expect(said).to_have_text("Number 1 in the queue")


def test_a_place_in_the_queue_outlives_a_lost_connection(queued: Page) -> None:
    queued.evaluate("window.lose()")
    status(queued, "Connection lost; coming back…")
    queued.evaluate("window.find()")
    status(queued, "Number 7 in the queue")


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_moves_while_the_queue_does(queued: Page, width: int) -> None:
    queued.set_viewport_size({"width": width, "height": 800})

    def places() -> list[object]:
        return [queued.locator(each).bounding_box() for each in ("#hint", "#phases", "#log")]

    before = places()
    for position, estimate_s in ((12, 3600), (2, 40), (1, None)):
        queue_up(queued, position, estimate_s)
        assert places() == before
    queued.evaluate("window.hear({ phase: 'launching', message: 'a very long word: ' + 'x'.repeat(2000) })")
    assert places() == before


def test_try_again_launches_again(page: Page, site: Site) -> None:
    site.fakes.provider.fail(SPEC, RateLimited("GitHub", retry_after_s=60))
    page.goto(site.launch_url)
    status(page, "The launch failed")
    expect(page.get_by_role("alert")).to_contain_text("GitHub asks us to wait 60 seconds.")
    site.fakes.know(SPEC, built=True)
    site.clock.ahead_s = 61
    page.get_by_role("button", name="Try again").press("Enter")
    page.wait_for_url("http://hub.test:*/**")


def test_a_wrong_link_says_what_is_wrong_with_it(page: Page, site: Site) -> None:
    error = RefNotFound("https://github.com/owner/plots", "mian", default_branch="main")
    site.fakes.provider.fail("owner/plots/mian", error)
    page.goto("/v2/gh/owner/plots/mian")
    expect(page.get_by_role("alert")).to_contain_text("has no branch, tag or commit mian. Its default branch is main")


def test_a_reload_in_the_middle_of_a_build_comes_back_to_it(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    site.write("first line")
    log(page, "first line")
    page.reload()
    log(page, "first line")
    site.write("second line")
    log(page, "first line\nsecond line")
    site.finish_build()
    page.wait_for_url("http://hub.test:*/**")
    assert len(site.fakes.backend.submitted) == len(site.fakes.hub.started) == 1


def test_the_time_goes_on_over_a_reload(page: Page, site: Site) -> None:
    page.clock.install()
    page.goto(site.launch_url)
    status(page, "Waiting for the build to begin…")
    page.clock.fast_forward(60_000)
    page.reload()
    status(page, "Waiting for the build to begin…")
    page.clock.fast_forward(5_000)
    expect(page.locator("#elapsed")).to_have_text(re.compile(r"1 min [0-2]\d s"))


def test_two_tabs_of_one_browser_share_a_launch(page: Page, context: BrowserContext, site: Site) -> None:
    page.goto(site.launch_url)
    site.wait_for_build()
    other = context.new_page()
    other.goto(site.launch_url)
    site.write("for both")
    log(page, "for both")
    log(other, "for both")
    site.finish_build()
    for each in (page, other):
        each.wait_for_url("http://hub.test:*/**")
    assert len(site.fakes.hub.started) == 1


def test_a_dropped_connection_goes_on_where_it_was(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    site.write("one", "two")
    log(page, "one\ntwo")
    site.drop_streams()
    site.write("three")
    wait_until(lambda: len(site.streams) == 1)
    site.write("four")
    log(page, "three\nfour")
    assert page.locator("#log").inner_text().split().count("one") == 1
    site.finish_build()
    page.wait_for_url("http://hub.test:*/**")
    assert len(site.fakes.backend.submitted) == 1


def test_a_gateway_that_is_out_for_a_moment_is_asked_again(page: Page, site: Site, complaints: list[str]) -> None:
    answers = iter([503, 502])
    page.route(
        "**/build/**",
        lambda route: route.fulfill(status=code) if (code := next(answers, 0)) else route.continue_(),
    )
    site.have_image()
    page.goto(site.launch_url)
    page.wait_for_url("http://hub.test:*/**", timeout=20_000)
    assert len(complaints) == 2
    complaints.clear()


def test_the_address_of_any_git_host_is_launched_as_it_stands_in_the_link(page: Page, site: Site) -> None:
    site.git.know("https%3A%2F%2Fgit.example.org%2Fgroup%2Fplots/main")
    page.goto("/v2/git/https%3A%2F%2Fgit.example.org%2Fgroup%2Fplots/main")
    expect(page.get_by_role("heading", level=1)).to_have_text("https://git.example.org/group/plots/main")
    expect(page).to_have_title(re.compile("Git repository: https://git.example.org/group/plots/main"))
    site.wait_for_build()
    assert site.git.asked == ["https%3A%2F%2Fgit.example.org%2Fgroup%2Fplots/main"]


def test_a_link_cannot_write_into_the_page(page: Page, site: Site) -> None:
    page.goto('/v2/gh/owner/"><img src=x onerror=alert(1)><script>alert(1)</script>/main')
    status(page, "The launch failed")
    assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("path", ["/", "/about", "/nosuch", f"/v2/gh/{SPEC}"])
def test_pages_fit_a_telephone(page: Page, complaints: list[str], path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    if path == "/nosuch":
        complaints.clear()


def test_link_previews_find_a_picture(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    meta = {
        each.get_attribute("property"): each.get_attribute("content") for each in page.locator("meta[property]").all()
    }
    assert meta["og:title"] == "GitHub: owner/plots/main"
    assert meta["og:image"] == f"{site.url}logo_social.png"
    assert (meta["og:image:width"], meta["og:image:height"]) == ("1334", "700")
    assert page.request.get(str(meta["og:image"])).headers["content-type"] == "image/png"
