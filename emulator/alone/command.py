"""`python -m emulator kube`: the emulated Kubernetes alone, in a state folder of its own (docs/kubernetes.md)."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from emulator.alone import plan
from emulator.stack import commands
from emulator.stack.state import StateFolder

STATE = Path(".binderless-kube")
IMAGE_HELP = "push an image whose commands are this machine's"


def add_parser(commands_: Any) -> None:
    """Add `kube` to the commands of `python -m emulator`."""
    kube = commands_.add_parser(
        "kube", help="run the emulated Kubernetes alone until Ctrl-C", description=__doc__, epilog=_STATE_HELP
    )
    _add_state(kube, default=STATE)
    kube.add_argument("--port", type=_port, default=0, help="port of the API server; that of last time, or a free one")
    kube.add_argument("--api-only", action="store_true", help="only the API server: no pod runs")
    kube.add_argument("--detach", action="store_true", help="return when it is ready, and leave it running")
    actions = kube.add_subparsers(dest="action", metavar="down | status | logs | image")
    down = actions.add_parser("down", help="stop the cluster")
    status = actions.add_parser("status", help="tell how every part is; exit code 0: healthy, 1: not, 3: nothing runs")
    status.add_argument("--json", action="store_true")
    logs = actions.add_parser("logs", help="show the log of one part, or of all")
    logs.add_argument("part", nargs="?", default="")
    logs.add_argument("-f", "--follow", action="store_true")
    image = actions.add_parser("image", help=IMAGE_HELP, description=IMAGE_HELP)
    image.add_argument("name", help="NAME[:TAG], below binderless/ in the cluster's own registry")
    image.add_argument("--folder", type=Path, help="what containers find in their home, /home/jovyan; each has a copy")
    image.add_argument(
        "--visible", type=Path, action="append", default=[], help="folder that containers see where it is, read-only"
    )
    image.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    image.add_argument("--command", dest="words", default="/bin/sh", help="what a container runs (/bin/sh)")
    for each in (down, status, logs, image):
        _add_state(each)


_STATE_HELP = f"All state is in one folder, {STATE} where you are, unless --state names another one."


def _add_state(parser: argparse.ArgumentParser, default: Any = argparse.SUPPRESS) -> None:
    parser.add_argument("--state", type=Path, default=default, help=f"the state folder ({STATE})")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; return the exit code."""
    state = StateFolder(options.state)
    match options.action:
        case "down":
            return commands.down(state)
        case "status":
            return commands.status(state, facts=lambda: plan.facts(state), as_json=options.json)
        case "logs":
            return commands.logs(state, part=options.part, follow=options.follow)
        case "image":
            # Only now: nothing else needs it.
            from emulator.alone.image import push_image

            return push_image(state, options)
        case _:
            return _up(state, options)


def _up(state: StateFolder, options: argparse.Namespace) -> int:
    if not options.detach:
        make = partial(plan.make_plan, state, os.environ, port=options.port, api_only=options.api_only)
        return commands.up(state, make, name=plan.NAME)
    flags = ["--state", str(state.path), "--port", str(options.port), *(["--api-only"] if options.api_only else [])]
    return commands.up_detached(
        state,
        [sys.executable, "-m", "emulator", "kube", *flags],
        name=plan.NAME,
        stop=f"python -m emulator kube down --state {state.path}",
        hints=lambda: plan.hints(state, api_only=options.api_only),
    )
