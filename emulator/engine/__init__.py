"""repo2docker without a container engine: `jupyter-repo2docker --engine process`.

Builds a Python environment with uv and pushes it, with the repository's files, as an image of the process runtime. What
a repository asks for is either honoured or refused by name; nothing is left out silently.
"""

from emulator.engine.process_engine import ProcessEngine

__all__ = ["ProcessEngine"]
