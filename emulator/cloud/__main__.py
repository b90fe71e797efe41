"""`python -m emulator.cloud`: the emulated cloud services as one process."""

from __future__ import annotations

import argparse
import asyncio
import importlib.machinery
import logging
import signal
import sys
import types
from collections.abc import Sequence
from pathlib import Path


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulator.cloud", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the folder of all state; ours is cloud/ in it")
    parser.add_argument("--pubsub-port", type=int, required=True, help="gRPC; 0 for any free port")
    parser.add_argument("--registry-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True, help="health, certificates, admin, git")
    parser.add_argument("--credentials", type=Path, required=True, help="JSON file of tokens and users")
    parser.add_argument("--schedule", type=Path, help="YAML file of the scheduler's jobs")
    parser.add_argument("--builds", type=Path, help="YAML file of how Cloud Build builds; without it there is none")
    parser.add_argument(
        "--allow-anonymous", action="store_true", help="Pub/Sub without a token, for PUBSUB_EMULATOR_HOST"
    )
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace) -> None:
    # After the arguments: a wrong flag is answered at once.
    _spare_the_clients()
    from emulator.cloud import credentials, schedule, server
    from emulator.cloud.builds import settings

    jobs = schedule.read(arguments.schedule) if arguments.schedule else []
    ports = server.Ports(pubsub=arguments.pubsub_port, registry=arguments.registry_port, http=arguments.http_port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server.serving(
        arguments.state,
        ports,
        credentials.read(arguments.credentials),
        jobs=jobs,
        builds=settings.read(arguments.builds) if arguments.builds else None,
        allow_anonymous=arguments.allow_anonymous,
    ) as bound:
        logging.info("listening: pubsub %d, registry %d, http %d", bound.pubsub, bound.registry, bound.http)
        await stop.wait()
        logging.info("stopping")


def _spare_the_clients() -> None:
    """Import google.pubsub_v1 as if it held its types only: its own __init__ loads every client, 11 MB and 0.1 s."""
    import google

    spec = importlib.machinery.PathFinder.find_spec("google.pubsub_v1", list(google.__path__))
    if spec is not None and spec.submodule_search_locations is not None:
        package = types.ModuleType("google.pubsub_v1")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules.setdefault("google.pubsub_v1", package)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(_run(_arguments(argv)))
    except Exception as error:
        if not _is_users_mistake(error):
            raise
        sys.stderr.write(f"emulator.cloud: {error}\n")
        return 1
    return 0


def _is_users_mistake(error: Exception) -> bool:
    """Whether the text of the error is all that somebody needs to put it right."""
    from emulator.cloud.builds.settings import InvalidBuildSettings
    from emulator.cloud.credentials import InvalidCredentials
    from emulator.cloud.schedule import InvalidSchedule
    from emulator.cloud.server import PortTaken

    return isinstance(error, InvalidBuildSettings | InvalidCredentials | InvalidSchedule | PortTaken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
