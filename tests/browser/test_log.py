"""The log of a build, which strangers write, and which may be anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site, wait_until


def shown(page: Page, *messages: str) -> str:
    """What a log shows after *messages*."""
    page.goto("/about")
    script = """async (messages) => {
        const { LogView } = await import("/static/log.js");
        const element = document.createElement("pre");
        const view = new LogView(element);
        for (const message of messages) view.write(message);
        await new Promise((done) => setTimeout(done, 150));
        return element.textContent;
    }"""
    return str(page.evaluate(script, list(messages)))


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
def test_a_log_is_shown_as_plain_text(page: Page, messages: list[str], text: str) -> None:
    assert shown(page, *messages) == text


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


def test_a_hundred_thousand_lines_leave_the_page_responsive(page: Page, site: Site) -> None:
    events = "".join(f"data: {json.dumps({'message': f'line {n} ' + 'x' * 60})}\n\n" for n in range(100_000))
    page.add_init_script(
        """window.longest = 0; let last = performance.now();
        setInterval(() => { longest = Math.max(longest, performance.now() - last); last = performance.now(); }, 10);"""
    )
    page.route(
        "**/build/**",
        lambda route: route.fulfill(body="retry: 100000\n\n" + events, content_type="text/event-stream"),
    )
    page.goto(site.launch_url)
    expect(page.locator("#log")).to_contain_text("line 99999 ", timeout=60_000)
    expect(page.locator("#log")).to_contain_text("earlier lines are not shown)")
    figures: dict[str, Any] = page.evaluate(
        "({ longest, kept: document.querySelector('#log').textContent.split('\\n').length })"
    )
    # Such a log took minutes when the page was touched for every line; the limit leaves room for a busy machine.
    assert figures["longest"] < 3_000
    assert 9_000 < figures["kept"] < 11_000


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
