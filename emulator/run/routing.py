"""Which function answers a path: the URL map that Terraform's load balancer reads too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml


class BadUrlMap(Exception):
    """Carries every problem of a URL map, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class UrlMap:
    """`exact` and `prefixes` (without their `/*`) map to names of functions; everything else is the `default`'s."""

    default: str
    exact: Mapping[str, str]
    prefixes: Mapping[str, str]

    def function_for(self, target: str) -> str:
        """The function that answers the raw request target *target*; the longest match wins.

        The path is compared as it was sent: nothing is decoded and no dots are resolved.
        """
        path = target.partition("?")[0]
        if path in self.exact:
            return self.exact[path]
        while path:
            if path in self.prefixes:
                return self.prefixes[path]
            path = path.rpartition("/")[0]
        return self.prefixes.get("", self.default)


def load(file: Path, functions: Collection[str], *, base_path: str = "/") -> UrlMap:
    """The URL map in *file*, which may name only *functions*. Raises BadUrlMap."""
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadUrlMap([f"{file}: {error}"]) from error
    return parse(document, functions, base_path=base_path)


def parse(document: object, functions: Collection[str], *, base_path: str = "/") -> UrlMap:
    """The URL map that *document* describes, below *base_path*. Raises BadUrlMap with every problem."""
    if not isinstance(document, Mapping) or not isinstance(document.get("paths"), Mapping):
        raise BadUrlMap(["the URL map must be a mapping with `default` and `paths`"])
    problems = [f"{key}: no such setting" for key in document if key not in ("default", "paths")]
    default, paths = document.get("default"), document["paths"]
    problems += [f"{name}: no such function" for name in (default, *paths) if name not in functions]
    exact: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for function, patterns in paths.items():
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            problem = _add(str(pattern), function, below=base_path.rstrip("/"), exact=exact, prefixes=prefixes)
            problems += [problem] if problem else []
    if problems:
        raise BadUrlMap(problems)
    return UrlMap(str(default), exact, prefixes)


def _add(pattern: str, function: str, *, below: str, exact: dict[str, str], prefixes: dict[str, str]) -> str:
    """Enter *pattern* where it belongs; the problem with it, or nothing."""
    plain = pattern.removesuffix("/*")
    if not pattern.startswith("/") or "*" in plain or "?" in plain:
        return f"{pattern}: a path starts with / and has no wildcard but a final /*"
    table = exact if plain == pattern else prefixes
    if below + plain in table:
        return f"{pattern}: listed twice"
    table[below + plain] = function
    return ""
