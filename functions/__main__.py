"""`python -m functions config` prints every setting with its origin, `settings` what they mean; `watch-builds`
announces finished build jobs of Kubernetes; `admin` shows and changes what the operator permits (docs/limits.md)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from functions import structured_logs
from functions.core import config as configuration
from functions.core.errors import BinderError
from functions.core.settings import Config


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m functions", description=__doc__)
    parser.add_argument("command", choices=("admin", *_COMMANDS))
    parser.add_argument("words", nargs="*", help="of admin: show, or a command of docs/limits.md")
    wish = parser.parse_args(arguments)
    if wish.words and wish.command != "admin":
        parser.error(f"{wish.command} takes no words")
    try:
        return _admin(wish.words) if wish.command == "admin" else _COMMANDS[wish.command]()
    except BinderError as error:
        print(error, file=sys.stderr)
        return 1


def _load() -> tuple[Config, list[configuration.Origin]]:
    return configuration.load(_document(), os.environ)


def _document() -> Mapping[str, Any]:
    path = Path(os.environ.get("BINDERLESS_CONFIG", "config.yaml"))
    return configuration.parse(path.read_text()) if path.exists() else {}


def _show_config() -> int:
    _, origins = _load()
    for origin in origins:
        print(f"{origin.name:32} {origin.value!r:40} {origin.source}")
    return 0


def _show_settings() -> int:
    print("| Setting | Meaning | Default |\n|---|---|---|")
    for item in configuration.every_setting():
        print(f"| `{item.name}` | {item.field.metadata['help']} | {item.default} |")
    return 0


def _admin(words: list[str]) -> int:
    from functions import admin, wiring

    structured_logs.set_up()
    # Whoever closes a hub in a hurry has its configuration and access to its store, and need not have its secrets.
    store, firestore = configuration.load_store(_document(), os.environ)
    admin.run(words, wiring.known_limits(store, firestore), say=print)
    return 0


def _watch_builds() -> int:
    from functions import wiring
    from functions.watch_builds import run

    structured_logs.set_up()
    config, _ = _load()
    run(wiring.jobs(config), wiring.publisher(config))
    return 0


_COMMANDS = {"config": _show_config, "settings": _show_settings, "watch-builds": _watch_builds}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
