"""Compiles what an environment holds, run by the environment's own Python: `python bytecode.py ENVIRONMENT`.

The bytecode is never compared with its source again, because files have no times in an image; so here it is compared,
by hash, and what is missing or of another source is compiled. Paths in it are relative: Python puts the real one in on
import.
"""

from __future__ import annotations

import importlib.util
import os
import py_compile
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# https://peps.python.org/pep-0552/: hash-based, and not to be checked.
_HEADER = importlib.util.MAGIC_NUMBER + (0b01).to_bytes(4, "little")


def compile_environment(environment: Path) -> int:
    """Compile every module below *environment* that needs it; how many did."""
    os.chdir(environment)
    stale = [path for path in _modules() if not _is_current(path)]
    with ProcessPoolExecutor() as processes:
        return sum(processes.map(_compile, stale, chunksize=50))


def _modules() -> Iterator[str]:
    for folder, _, names in os.walk("lib"):
        yield from (os.path.join(folder, name) for name in names if name.endswith(".py"))


def _is_current(path: str) -> bool:
    try:
        with open(importlib.util.cache_from_source(path), "rb") as compiled:
            header = compiled.read(16)
        return header == _HEADER + importlib.util.source_hash(Path(path).read_bytes())
    except OSError:
        return False


def _compile(path: str) -> bool:
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        return bool(py_compile.compile(path, dfile=path, doraise=True, invalidation_mode=mode))
    except (py_compile.PyCompileError, OSError, ValueError, RecursionError):
        # Packages ship templates, and modules for other versions of Python.
        return False


if __name__ == "__main__":
    compile_environment(Path(sys.argv[1]))
