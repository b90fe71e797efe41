"""`python -m emulator.run --config F --state DIR`: the serverless runtime and the public gateway."""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import signal
import sys
import time
from pathlib import Path

from emulator.run.config import BadConfig, Config, load
from emulator.run.logs import Forward, Log
from emulator.run.revision import DeployFailed
from emulator.run.routing import BadUrlMap
from emulator.run.runtime import CannotStart, runtime


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m emulator.run", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML or JSON, see emulator/run/config.py")
    parser.add_argument("--state", type=Path, required=True, help="the stack's state folder; this part uses run/ in it")
    arguments = parser.parse_args()
    try:
        config = load(arguments.config.absolute())
        asyncio.run(_serve(config, arguments.state.absolute()))
    except (BadConfig, BadUrlMap, CannotStart, DeployFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(config: Config, state: Path) -> None:
    log = Log(sys.stderr.buffer, time.time)
    logging.getLogger().addHandler(Forward(log))
    # A stream takes two files of this process; the usual soft limit of 1024 would end at 500 of them.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with runtime(config, state=state, log=log) as ports:
        log.event("ready", ports=ports)
        await ended.wait()
        log.event("stopping")


if __name__ == "__main__":
    sys.exit(main())
