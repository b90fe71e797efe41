"""Deploys the source archive: a compiled, read-only copy for instances to run from."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emulator.run import archive

HASH_CHARACTERS = 16


class DeployFailed(Exception):
    """The archive cannot be deployed; says why, as the build of a function would."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One deployed state of the source. `site_packages` are the dependencies, as folders to import from."""

    name: str
    folder: Path
    site_packages: tuple[str, ...]


def deploy(*, source: Path, config_file: Path, python: Path, revisions: Path) -> Revision:
    """Deploy the checkout under *revisions* and remove the revisions before. Raises DeployFailed."""
    try:
        contents = [(e.name, e.origin.read_bytes()) for e in archive.entries(source, config_file)]
    except (archive.BadArchive, OSError) as error:
        raise DeployFailed(str(error)) from error
    name = archive.digest(contents)[:HASH_CHARACTERS]
    folder = revisions / name
    revisions.mkdir(parents=True, exist_ok=True)
    for other in revisions.iterdir():
        if other.name != name:
            remove_tree(other)
    if not folder.is_dir():
        partial = revisions / f"{name}.partial"
        for file, content in contents:
            target = partial / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        _compile(python, partial, folder)
        _seal(partial)
        partial.rename(folder)
    return Revision(name, folder, _site_packages(python))


def _compile(python: Path, partial: Path, final: Path) -> None:
    """Compile every module, as the build of a function does: a syntax error anywhere fails the deployment."""
    # The copy never changes, so its bytecode need not be compared with it at every start.
    where = ["--invalidation-mode", "unchecked-hash", "-s", str(partial), "-p", str(final)]
    output = _run([str(python), "-m", "compileall", "-q", *where, str(partial)])
    if output.returncode:
        remove_tree(partial)
        raise DeployFailed(f"the source does not compile:\n{output.stdout.strip()}")


def _site_packages(python: Path) -> tuple[str, ...]:
    ask = "import sysconfig; print(sysconfig.get_path('purelib'), sysconfig.get_path('platlib'), sep='\\n')"
    output = _run([str(python), "-c", ask])
    if output.returncode:
        raise DeployFailed(f"{python} does not run: {output.stderr.strip()}")
    return tuple(dict.fromkeys(output.stdout.split("\n")[:2]))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise DeployFailed(f"{command[0]} does not run: {error}") from error


def _seal(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def remove_tree(folder: Path) -> None:
    """Remove *folder* with everything below, read-only folders included; an absent one is fine."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
