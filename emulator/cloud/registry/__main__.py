"""`python -m emulator.cloud.registry --port N --state DIR --users F`: the image registry alone."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from emulator.cloud.credentials import InvalidCredentials, read_users
from emulator.cloud.registry.access import User
from emulator.cloud.registry.application import registry

HOST = "127.0.0.1"
STOP_GRACE_S = 2.0


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emulator.cloud.registry", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="folder for the images")
    parser.add_argument("--users", type=Path, required=True, help='JSON file of {user: {"password", "push"}}')
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(_serve(given.port, given.state, read_users(given.users)))
    except (InvalidCredentials, OSError) as error:
        logging.error("%s", error)
        return 1
    return 0


async def _serve(port: int, state: Path, users: dict[str, User]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    runner = web.AppRunner(registry(state, users), access_log=None, shutdown_timeout=STOP_GRACE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        logging.info("listening on http://%s:%d", HOST, runner.addresses[0][1])
        await stop.wait()
        logging.info("stopping")
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
