"""Quantities (`500m`, `2Gi`) as numbers."""

from __future__ import annotations

import re
from typing import Any

SUFFIXES = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([numkMGTPE]|[KMGTPE]i)?")
EXPONENT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d{1,2}")
WHAT_IT_IS = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def quantity(value: Any) -> float | None:
    """Return what a quantity means in its base unit (cores, bytes); None where it is none."""
    text = str(value)
    if EXPONENT.fullmatch(text):
        return float(text)
    match = QUANTITY.fullmatch(text)
    return float(match[1]) * SUFFIXES[match[2] or ""] if match else None
