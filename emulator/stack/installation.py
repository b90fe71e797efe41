"""Where this checkout keeps what the parts are made of, and what they may know of the surrounding environment."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PROXY = BIN.parent / "proxy"

# How to reach the network, above all the package index: for the builds.
_NETWORK = re.compile(
    r"(?i:(ALL|HTTP|HTTPS|NO)_PROXY)|SSL_CERT_(DIR|FILE)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|OFFLINE|HTTP_TIMEOUT)"
)
_PERSON = re.compile(r"HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR")


def network_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What a build needs to know to install packages on this machine."""
    return {name: value for name, value in environ.items() if _NETWORK.fullmatch(name)}


def part_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every part sees: the same on every machine, whatever else the person's shell has set."""
    kept = {name: value for name, value in environ.items() if _PERSON.fullmatch(name)}
    path = f"{BIN}:{environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    return {**kept, **network_variables(environ), "PATH": path, "PYTHONUNBUFFERED": "1"}


def builder_host_paths() -> list[str]:
    """What must stay visible where repo2docker and the engine run: their code, and Python's own."""
    return [str(BIN.parent), str(ROOT / "emulator"), sys.base_prefix]
