"""The local stack: `python -m emulator up|down|status|logs|demo`, and its Kubernetes alone: `python -m emulator kube`.

BINDERLESS_STATE names the state folder (.binderless), BINDERLESS_PORT the public port (8585); all other ports are free
ones, unless BINDERLESS_HUB_PORT and its like (emulator/stack/ports.py) say otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from emulator.alone import command
from emulator.stack import commands
from emulator.stack.state import BACKENDS, StateFolder


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    state = StateFolder(Path(os.environ.get("BINDERLESS_STATE") or ".binderless"))
    match options.command:
        case "up":
            return _up(state, detach=options.detach, backend=options.backend)
        case "down":
            return commands.down(state)
        case "status":
            return _status(state, as_json=options.json)
        case "logs":
            return commands.logs(state, part=options.part, follow=options.follow)
        case "kube":
            return command.run(options)
        case _:
            return _demo(state)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emulator", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted = parser.add_subparsers(dest="command", required=True)
    up = wanted.add_parser("up", help="run the stack until Ctrl-C")
    up.add_argument("--detach", action="store_true", help="return when it is ready, and leave it running")
    up.add_argument("--backend", choices=BACKENDS, default="", help="what builds images; as last time if not given")
    wanted.add_parser("down", help="stop the stack")
    status = wanted.add_parser("status", help="tell how every part is; exit code 0: healthy, 1: not, 3: nothing runs")
    status.add_argument("--json", action="store_true")
    logs = wanted.add_parser("logs", help="show the log of one part, or of all")
    logs.add_argument("part", nargs="?", default="")
    logs.add_argument("-f", "--follow", action="store_true")
    wanted.add_parser("demo", help="launch the examples on the running stack")
    command.add_parser(wanted)
    return parser


def _up(state: StateFolder, *, detach: bool, backend: str) -> int:
    if detach:
        wish = ["--backend", backend] if backend else []
        return commands.up_detached(state, [sys.executable, "-m", "emulator", "up", *wish])
    # Only now: the other commands do not need it, and it takes time to import.
    from emulator.stack.plan import make_plan

    return commands.up(state, lambda: make_plan(state, os.environ, backend=state.backend(backend)))


def _status(state: StateFolder, *, as_json: bool) -> int:
    from emulator.stack.plan import facts

    return commands.status(state, facts=lambda: facts(state), as_json=as_json)


def _demo(state: StateFolder) -> int:
    from emulator.demo import run_demo

    return run_demo(state)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
