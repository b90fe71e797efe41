"""repo2docker's own parts on a machine that reaches a package index and not the rest of the internet."""

from __future__ import annotations

import logging
from typing import Any

from repo2docker.engine import BuildError
from repo2docker.utils import R2dState


def without_dockerfile(pack: type[Any]) -> type[Any]:
    """The same build pack, but without Dockerfile and conda: some ask servers for these, all announce them.

    A configuration file that it cannot read is a failed build with a reason, not a crash.
    """

    def detect(self: Any) -> Any:
        try:
            return pack.detect(self)
        except (RuntimeError, ValueError, TypeError, AttributeError, OSError) as error:
            reason = f"The repository's configuration cannot be read: {error}"
            logging.getLogger("repo2docker").error(f"{reason}\n", extra={"phase": R2dState.FAILED})
            raise BuildError(reason) from error

    def render(self: Any, build_args: Any = None) -> str:
        return ""

    def get_build_script_files(self: Any) -> dict[str, str]:
        return {}

    return type(pack.__name__, (pack,), {each.__name__: each for each in (detect, render, get_build_script_files)})


def tolerant(provider: type[Any]) -> type[Any]:
    """The same content provider, but not claiming an address when it cannot ask its service (or program) about it.

    By itself, repo2docker gives up on any git repository when Dataverse's list of sites cannot be had.
    """

    def detect(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return provider.detect(self, *arguments, **named)
        except OSError as error:
            self.log.debug("%s is not asked: %s\n", provider.__name__, error)
            return None

    return type(provider.__name__, (provider,), {"detect": detect})
