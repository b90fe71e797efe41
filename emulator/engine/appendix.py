"""The operator's lines for the end of every image (`--appendix`): those that only describe it.

https://docs.docker.com/reference/dockerfile/ has the format. ENV and LABEL are part of an image's configuration, and
need no container engine.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from emulator.engine.errors import BuildFailed
from emulator.images import Config

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_REFUSED = (
    "The appendix of this deployment holds {line!r}. This builder, which has no container engine, honours ENV and "
    "LABEL only. A builder with containers (docker, podman or Cloud Build) honours it."
)


def with_appendix(config: Config, text: str) -> Config:
    """The configuration with the variables and labels of an appendix. BuildFailed names any other line."""
    env, labels = dict(config.env), dict(config.labels)
    for line in _lines(text):
        instruction, rest = (*line.split(None, 1), "")[:2]
        match instruction.upper():
            case "ENV":
                env |= _pairs(line, rest, env)
            case "LABEL":
                labels |= _pairs(line, rest, env)
            case _:
                raise BuildFailed(_REFUSED.format(line=line))
    return replace(config, env=env, labels=labels | dict(config.labels))


def _lines(text: str) -> Iterator[str]:
    """The instructions: without comments, and with lines joined that end in a backslash."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\[ \t]*\n", " ", kept)
    yield from (line.strip() for line in joined.splitlines() if line.strip())


def _pairs(line: str, rest: str, env: Mapping[str, str]) -> dict[str, str]:
    # Between single quotes a dollar is itself, which is nothing that anybody writes here.
    if "$" in _VARIABLE.sub("", rest) or ("$" in rest and "'" in rest):
        raise BuildFailed(_REFUSED.format(line=line))
    name, space, value = rest.strip().partition(" ")
    try:
        words = shlex.split(rest) if "=" in name else [f"{name}={value.strip()}" if space else ""]
    except ValueError as error:
        raise BuildFailed(f"The appendix of this deployment holds {line!r}: {error}.") from error
    if not all(re.match(r"[^=]+=", word) for word in words):
        raise BuildFailed(_REFUSED.format(line=line))
    named = (word.partition("=") for word in words)
    return {key: _VARIABLE.sub(lambda match: env.get(match[1] or match[2], ""), value) for key, _, value in named}
