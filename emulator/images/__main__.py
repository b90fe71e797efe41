"""Push the stock images to a registry: `python -m emulator.images push-builder|push-shell --registry HOST:PORT ...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator.images.client import RegistryClient
from emulator.images.errors import ImageError
from emulator.images.stock import push_builder, push_shell


def main(arguments: Sequence[str]) -> int:
    """Push, print the image's name, and return the exit code."""
    options = _parser().parse_args(arguments)
    credentials = options.credentials.read_text().strip()
    try:
        with RegistryClient(options.registry, credentials) as client:
            if options.command == "push-builder":
                pushed = push_builder(client, path=options.path, host_paths=options.host_paths)
            else:
                pushed = push_shell(client)
    except ImageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{pushed}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("push-builder", help="push the image that builds run in")
    shell = commands.add_parser("push-shell", help="push a small image with a shell")
    for command in (builder, shell):
        command.add_argument("--registry", required=True, metavar="HOST:PORT")
        command.add_argument("--credentials", required=True, type=Path, metavar="FILE", help="holds user:password")
    builder.add_argument("--path", required=True, metavar="FOLDER", help="the bin folder with jupyter-repo2docker")
    builder.add_argument("--host-paths", nargs="+", default=[], metavar="PATH", help="stay visible to builds")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
