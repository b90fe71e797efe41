"""Building a Python environment that can be moved: uv does the work, in a private folder.

The base comes first, from a lock file with hashes, as wheels: nothing of the repository's choice runs. What the
repository asks for is then resolved together with the base's ranges: its own pins win over the lock, and over the range
of a server that it names. What fits with neither fails, with the resolver's words.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from emulator.engine.errors import BuildFailed
from emulator.engine.installer import Installer
from emulator.engine.repository import Repository
from emulator.images import Entry, scan

BASE_LOCK = Path(__file__).with_name("base.txt")
BASE_RANGES = Path(__file__).with_name("base.in")
ENTRYPOINT = "bin/binderless-entrypoint"
_COMPILER = Path(__file__).with_name("bytecode.py")
# Made anew by every run of uv.
_LOCK = ".lock"
_SERVERS = frozenset({"jupyterlab", "notebook"})

_ENTRYPOINT_SCRIPT = """\
#!/bin/sh
# Runs the repository's start script, where there is one, with the command as its arguments.
exec ${R2D_ENTRYPOINT:+"$R2D_ENTRYPOINT"} "$@"
"""


def build_base(python: Path, installer: Installer) -> Iterator[str]:
    """Build the environment of a repository that asks for nothing, in `<job>/environment`; yields the log."""
    environment = installer.job / "environment"
    yield f"Installing the base: {', '.join(_ranges(set()))}\n"
    make = ("venv", "--quiet", "--relocatable", "--python", f"{python}", f"{environment}")
    yield from installer.trusted(installer.uv, *make)
    lock = ("--require-hashes", "--no-build", "--requirement", f"{BASE_LOCK}")
    yield from installer.trusted(*_pip(installer), "--quiet", *lock)
    for name in (".gitignore", "CACHEDIR.TAG"):
        (environment / name).unlink(missing_ok=True)
    script = environment / ENTRYPOINT
    script.write_text(_ENTRYPOINT_SCRIPT)
    script.chmod(0o755)
    yield from _compile(installer)


def extend(repository: Repository, installer: Installer) -> Iterator[str]:
    """Add what the repository asks for to the base; yields the log. Raises BuildFailed."""
    yield "Installing what the repository asks for\n"
    yield from _install(repository, installer)
    yield from _compile(installer)


def _install(repository: Repository, installer: Installer) -> Iterator[str]:
    ranges = installer.job / "base.in"
    ranges.write_text("\n".join(_ranges(repository.names())))
    folder, file = installer.job, installer.job / "requirements.txt"
    file.write_text("\n".join(repository.requirements))
    if repository.needs_files:
        folder = installer.job / "source"
        shutil.copytree(repository.folder, folder, symlinks=True)
        file = folder / repository.file if repository.file else file
    package = ["."] if repository.package else []
    # pip looks at all indexes and takes the best version; uv by itself stops at the first that knows the name.
    options = ("--index-strategy", "unsafe-best-match", "--requirement", f"{ranges}", "--requirement", f"{file}")
    yield from installer.untrusted(*_pip(installer), *options, *package, folder=folder)


def _ranges(named: set[str]) -> list[str]:
    """The base's requirements, without the ranges of what the repository pins itself.

    The two servers go together: a repository that pins an old JupyterLab gets the notebook that fits it.
    """
    free = named | (_SERVERS if named & _SERVERS else set())
    lines = (line for line in BASE_RANGES.read_text().splitlines() if not line.startswith("#"))
    names = ((line, line.partition(">")[0]) for line in lines)
    return [name if name in free else line for line, name in names]


def entries_of(environment: Path) -> list[Entry]:
    """What a built environment holds. Strangers' code may have written it: nothing in it is followed or run."""
    if environment.is_symlink():
        raise BuildFailed("The installation replaced its environment by a link.")
    entries = [entry for entry in scan(environment) if entry.path != _LOCK]
    for entry in entries:
        if entry.path.endswith(".dist-info/direct_url.json") and b'"editable":true' in b"".join(entry.blocks()):
            name = entry.path.split("/")[-2].partition("-")[0]
            raise BuildFailed(
                f"{name} is to be installed as editable (-e), which this builder, without a container engine, does not "
                "honour yet. Without -e it works."
            )
    return entries


def _pip(installer: Installer) -> tuple[str, ...]:
    return (installer.uv, "pip", "install", "--python", f"{installer.job}/environment/bin/python")


def _compile(installer: Installer) -> Iterator[str]:
    yield "Compiling\n"
    environment = installer.job / "environment"
    yield from installer.untrusted(f"{environment}/bin/python", str(_COMPILER), f"{environment}", folder=installer.job)
