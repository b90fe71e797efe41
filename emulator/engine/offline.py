"""repo2docker's own parts on a machine that reaches a package index and not the rest of the internet."""

from __future__ import annotations

from typing import Any


def without_dockerfile(pack: type[Any]) -> type[Any]:
    """The same build pack, but without Dockerfile and conda: some ask servers for these, all announce them."""
    nothing = {"render": lambda self, build_args=None: "", "get_build_script_files": lambda self: {}}
    return type(pack.__name__, (pack,), nothing)


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
