"""What can go wrong with an image."""

from __future__ import annotations


class ImageError(Exception):
    """An image that cannot be had, or not be made. The message is the reason, fit for the person who asked for it.

    `missing` is true when the registry answered that there is no such image, rather than failed to answer; `passing`
    when it did not answer, or was in trouble itself, so that asking again may help.
    """

    def __init__(self, reason: str, *, missing: bool = False, passing: bool = False) -> None:
        self.missing, self.passing = missing, passing
        super().__init__(reason)
