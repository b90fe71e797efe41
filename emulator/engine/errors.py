"""What can go wrong with a build."""

from __future__ import annotations


class BuildFailed(Exception):
    """The repository cannot be built. The message is the reason, fit for the person who wrote the repository."""
