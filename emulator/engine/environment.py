"""Building a Python environment that can be moved: uv does the work, in a private folder.

The base comes first, from a lock file with hashes, as wheels: nothing of the repository's choice runs. What the
repository asks for is then resolved together with the base's ranges: its own pins win over the lock, and over the range
of a server that it names. What fits with neither fails, with the resolver's words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from emulator.engine import confinement
from emulator.engine.errors import BuildFailed
from emulator.engine.installer import Installer
from emulator.engine.moving import linked_inside, moved
from emulator.engine.repository import Repository
from emulator.images import Entry, scan
from emulator.images.references import nowhere

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
    environment = installer.environment
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
    yield from compile_all(installer)


def extend(repository: Repository, installer: Installer) -> Iterator[str]:
    """Add what the repository asks for to the base; yields the log. Raises BuildFailed."""
    yield "Installing what the repository asks for\n"
    yield from _install(repository, installer)
    yield from compile_all(installer)


def post_build(repository: Repository, installer: Installer) -> Iterator[str]:
    """Run the repository's postBuild as `RUN ./postBuild` of a Dockerfile would; yields the log. Raises BuildFailed."""
    yield f"Running {repository.post_build}\n"
    try:
        yield from installer.at_home("/bin/sh", "-c", f"./{repository.post_build}")
    except BuildFailed as error:
        raise BuildFailed(f"{repository.post_build} failed: {error}") from error


def _install(repository: Repository, installer: Installer) -> Iterator[str]:
    ranges = installer.job / "base.in"
    ranges.write_text("\n".join(_ranges(repository.names())))
    # pip looks at all indexes and takes the best version; uv by itself stops at the first that knows the name.
    install = (*_pip(installer), "--index-strategy", "unsafe-best-match", "--no-sources", "--requirement", f"{ranges}")
    package = ("--", ".") if repository.package else ()
    if not repository.needs_files:
        yield from installer.untrusted(*install, "--requirement", f"{_written(repository, installer.job)}")
    elif repository.file or not repository.requirements:
        named = ("--requirement", repository.file) if repository.file else ()
        yield from installer.at_home(*install, *named, *package)
    else:
        # Beside the file that it was read from: other files of the repository are named from there.
        file = _written(repository, installer.home / repository.place)
        yield from installer.at_home(*install, "--requirement", file.name, *package, folder=repository.place)
        file.unlink(missing_ok=True)


def _written(repository: Repository, folder: Path) -> Path:
    file = folder / "binderless-requirements.txt"
    file.write_text("\n".join(repository.requirements))
    return file


def _ranges(named: set[str]) -> list[str]:
    """The base's requirements, without the ranges of what the repository pins itself.

    The two servers go together: a repository that pins an old JupyterLab gets the notebook that fits it.
    """
    free = named | (_SERVERS if named & _SERVERS else set())
    lines = (line for line in BASE_RANGES.read_text().splitlines() if not line.startswith("#"))
    names = ((line, line.partition(">")[0]) for line in lines)
    return [name if name in free else line for line, name in names]


def entries_of(installer: Installer, *, root: Path) -> list[Entry]:
    """What the built environment holds, as it is to be below *root*.

    Strangers' code may have written it: nothing in it is followed or run.
    """
    built = installer.environment
    if built.is_symlink():
        raise BuildFailed("The installation replaced its environment by a link.")
    found = [entry for entry in scan(built) if entry.path != _LOCK]
    places = {built: nowhere(root / "environment"), installer.home: confinement.HOME}
    entries = moved(linked_inside(found, [built]), places)
    for entry in entries:
        if entry.path.endswith(".dist-info/direct_url.json"):
            _refuse_lost_editable(entry)
    return entries


def _refuse_lost_editable(about: Entry) -> None:
    """https://packaging.python.org/en/latest/specifications/direct-url-data-structure/"""
    content = b"".join(about.blocks())
    if b'"editable":true' not in content.replace(b" ", b""):
        return
    url = str(json.loads(content).get("url"))
    if not url.startswith(f"file://{confinement.HOME}"):
        name = about.path.split("/")[-2].partition("-")[0]
        raise BuildFailed(f"{name} is to be installed as editable (-e) from outside of the repository, {url}.")


def _pip(installer: Installer) -> tuple[str, ...]:
    return (installer.uv, "pip", "install", "--python", f"{installer.environment}/bin/python")


def compile_all(installer: Installer) -> Iterator[str]:
    """Compile what is not compiled yet; yields the log."""
    yield "Compiling\n"
    environment = f"{installer.environment}"
    yield from installer.untrusted(f"{environment}/bin/python", str(_COMPILER), environment)
