"""The client of the public API: lines to events, and what reaches the terminal."""

from __future__ import annotations

import asyncio
import json

from aiohttp import ClientSession, web

from emulator.public_api import Event, EventLines, launch, launch_url


def test_lines_become_events() -> None:
    lines = EventLines()
    fed = [lines.feed(line) for line in [":keepalive", "", "id: a.1", 'data: {"phase":', 'data: "built"}', ""]]
    assert [event for event in fed if event] == [Event("a.1", {"phase": "built"})]


def test_the_address_of_a_repository_is_one_component_of_the_path() -> None:
    assert launch_url("http://h:1", "http://g/a.git") == "http://h:1/build/git/http%3A%2F%2Fg%2Fa.git/HEAD"


def test_a_launch_ends_with_ready_and_its_address_stays_encoded() -> None:
    seen: list[str] = []

    async def build(request: web.Request) -> web.StreamResponse:
        seen.append(request.raw_path)
        events = [{"phase": "waiting"}, {"phase": "ready"}, {"phase": "never"}]
        return web.Response(text="".join(f"data: {json.dumps(event)}\n\n" for event in events))

    async def run() -> list[str]:
        app = web.Application()
        app.router.add_get("/{path:.*}", build)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        try:
            async with ClientSession() as session:
                url = launch_url(f"http://{host}:{port}", "http://g/a.git")
                return [event.phase async for event in launch(session, url)]
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == ["waiting", "ready"]
    assert seen == ["/build/git/http%3A%2F%2Fg%2Fa.git/HEAD"]
