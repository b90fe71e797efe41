"""The log of a build, which strangers write, and which may be anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site, serve_site, wait_until


@pytest.fixture(scope="module")
def shown(browser: Browser) -> Iterator[Callable[[list[str]], str]]:
    """What a log shows after some messages."""
    script = """async (messages) => {
        const { LogView } = await import("/assets/log.js");
        const element = document.createElement("pre");
        const view = new LogView(element);
        for (const message of messages) view.write(message);
        await new Promise((done) => setTimeout(done, 150));
        return element.textContent;
    }"""
    with serve_site() as site:
        page = browser.new_page()
        page.goto(f"{site.url}about")
        yield lambda messages: str(page.evaluate(script, messages))
        page.close()


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (["one\n", "two\n"], "one\ntwo\n"),
        (["no newline", "next\n"], "no newline\nnext\n"),
        (["\n", "\n"], "\n\n"),
        (["a\r\nb\r\n"], "a\nb\n"),
        (["10%\r20%\r100%\n"], "100%\n"),
        (["10%\r", "20%\r"], "20%"),
        (["10%\r", "100%\r", "\n", "next\n"], "100%\nnext\n"),
        (["\x1b[1;31mred\x1b[0m plain\n"], "red plain\n"),
        (["\x1b[38;2;255;0;0mred\x1b[K\n"], "red\n"),
        (["\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x07\n"], "link\n"),
        (["\x1b]0;title never ends"], "\n"),
        (["\x1b(Bcharset\x1b=\x1b7\n"], "charset\n"),
        (["bell\x07 null\x00 back\x08 \x9b31m\n"], "bell null back 31m\n"),
        (["\x1b[2J\x1b[H\x1b[3J\n"], "\n"),
        (["tab\tstays, für 日本語 🙂\n"], "tab\tstays, für 日本語 🙂\n"),
        (["<img src=x onerror=alert(1)>&amp;</pre>\n"], "<img src=x onerror=alert(1)>&amp;</pre>\n"),
    ],
)
def test_a_log_is_shown_as_plain_text(shown: Callable[[list[str]], str], messages: list[str], text: str) -> None:
    assert shown(messages) == text


def test_html_in_a_log_is_text(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    site.write("<script>alert(1)</script><img src=x onerror=alert(1)>", json.dumps({"message": "<b>bold</b>\n"}))
    expect(page.locator("#log")).to_contain_text("<script>alert(1)</script><img src=x onerror=alert(1)>\n<b>bold</b>")
    assert page.locator("#log :not(div)").count() == 0


def test_a_log_cannot_pretend_that_the_server_is_ready(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    site.write(json.dumps({"phase": "ready", "message": "x\n", "url": "https://evil.example/", "token": "t"}), "after")
    expect(page.locator("#log")).to_contain_text("after")
    assert page.url == site.launch_url


def test_a_hundred_thousand_lines_leave_the_page_responsive(page: Page) -> None:
    page.goto("/about")
    script = """async () => {
        const { LogView } = await import("/assets/log.js");
        const element = document.body.appendChild(document.createElement("pre"));
        element.id = "log";
        const view = new LogView(element);
        let longest = 0, last = performance.now();
        const tick = () => { longest = Math.max(longest, performance.now() - last); last = performance.now(); };
        for (let n = 0; n < 100_000; n++) {
            view.write(`line ${n} ${"x".repeat(60)}\\n`);
            if (n % 1000 === 0) { await new Promise((done) => setTimeout(done)); tick(); }
        }
        await new Promise((done) => setTimeout(done, 200));
        tick();
        return { longest, text: element.textContent };
    }"""
    found = page.evaluate(script)
    lines = found["text"].splitlines()
    assert lines[-1].startswith("line 99999 ")
    assert lines[0] == f"({100_001 - len(lines):,} earlier lines are not shown)"
    assert 10_000 < len(lines) < 11_000
    # It takes some 50 ms; when the page was touched for every line, it took minutes.
    assert found["longest"] < 2_000


def test_many_lines_through_a_real_stream_leave_nothing_out_at_the_end(page: Page, site: Site) -> None:
    page.goto(site.launch_url)
    site.write(*(f"line {n} {'x' * 60}" for n in range(20_000)))
    expect(page.locator("#log")).to_contain_text("line 19999 ", timeout=60_000)
    expect(page.locator("#log")).to_contain_text("earlier lines are not shown)")
    expect(page.locator("#status")).to_have_text("Installing the repository's software…")


def test_the_end_of_a_log_stays_in_sight_unless_the_reader_has_scrolled_up(page: Page, site: Site) -> None:
    at_end = "(it) => it.scrollHeight - it.scrollTop - it.clientHeight < 5"
    page.goto(site.launch_url)
    site.write(*(f"line {n}" for n in range(200)))
    expect(page.locator("#log")).to_contain_text("line 199")
    assert page.locator("#log").evaluate(at_end)
    page.locator("#log").focus()
    page.keyboard.press("Home")
    wait_until(lambda: page.locator("#log").evaluate("(it) => it.scrollTop") == 0)
    site.write("one more")
    expect(page.locator("#log")).to_contain_text("one more")
    assert page.locator("#log").evaluate("(it) => it.scrollTop") == 0
