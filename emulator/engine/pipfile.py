"""Pipfile and Pipfile.lock as lines of a requirements.txt: what `pipenv install --dev` would install.

https://github.com/pypa/pipfile; repo2docker takes the lock where there is one, and the Pipfile otherwise.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emulator.engine.errors import BuildFailed

# https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers
_MARKERS = (
    *("implementation_name", "implementation_version", "os_name", "platform_machine", "platform_release"),
    *("platform_python_implementation", "platform_system", "platform_version", "python_full_version"),
    *("python_version", "sys_platform"),
)
_KEYS = {"version", "extras", "markers", "hashes", "index", "path", "file", "git", "ref", "subdirectory", "editable"}
_VERSION = re.compile(r"\d+(\.\d+)?")


def requirements_of(file: Path) -> tuple[str, ...]:
    """The requirements in *file*, its development packages too. BuildFailed names an entry that cannot be honoured."""
    document, sections = _document(file), ("default", "develop")
    sources = document.get("_meta", {}).get("sources", [])
    if file.suffix != ".lock":
        sections, sources = ("packages", "dev-packages"), document.get("source", [])
    # The one called pypi is where packages come from anyway, and an operator may have put a mirror in its place.
    found = [f"--extra-index-url {source['url']}" for source in sources if source.get("name") != "pypi"]
    for section in sections:
        found += [_line(file.name, name, entry) for name, entry in document.get(section, {}).items()]
    return tuple(found)


def python_of(*files: Path) -> str:
    """The version of Python that the first of *files* which names one requires, as major.minor; empty for any."""
    for file in files:
        document = _document(file) if file.is_file() else {}
        requires = document.get("requires") or document.get("_meta", {}).get("requires") or {}
        for key in ("python_full_version", "python_version"):
            if match := _VERSION.match(str(requires.get(key) or "")):
                return match[0]
    return ""


def _document(file: Path) -> dict[str, Any]:
    text = file.read_text()
    document: dict[str, Any] = json.loads(text) if file.suffix == ".lock" else tomllib.loads(text)
    return document


def _line(where: str, name: str, entry: Any) -> str:
    entry = {"version": entry} if isinstance(entry, str) else dict(entry)
    unknown = sorted(entry.keys() - _KEYS - set(_MARKERS))
    if unknown or (entry.get("editable") and "path" not in entry):
        what = unknown[0] if unknown else "editable, and not a folder of the repository"
        raise BuildFailed(
            f"{where}: {name} ({what}). This builder does not honour that. "
            "A builder with containers (docker, podman or Cloud Build) honours it."
        )
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    markers = " and ".join(_markers(entry))
    hashes = "".join(f" --hash={value}" for value in entry.get("hashes", ()))
    return f"{_what(name, extras, entry)}{f' ; {markers}' if markers else ''}{hashes}"


def _what(name: str, extras: str, entry: Mapping[str, Any]) -> str:
    path = entry.get("path") or entry.get("file", "")
    if path and "://" not in path:
        path = path if path.startswith((".", "/")) else f"./{path}"
        return f"{'-e ' if entry.get('editable') else ''}{path}{extras}"
    if path:
        return f"{name}{extras} @ {path}"
    if "git" in entry:
        ref = f"@{entry['ref']}" if entry.get("ref") else ""
        folder = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
        return f"{name}{extras} @ git+{entry['git']}{ref}{folder}"
    version = entry.get("version", "*")
    return f"{name}{extras}{'' if version == '*' else version}"


def _markers(entry: Mapping[str, Any]) -> Iterator[str]:
    if entry.get("markers"):
        yield f"({entry['markers']})"
    yield from (f"{name} {entry[name]}" for name in _MARKERS if name in entry)
