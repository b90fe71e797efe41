"""The data of a record as text, the same in every store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from functions.core.ports import MOST_RECORD_BYTES


def dump(data: Mapping[str, Any]) -> str:
    """*data* as JSON in ASCII. Raises ValueError for more than MOST_RECORD_BYTES, and for numbers that JSON lacks."""
    text = json.dumps(dict(data), separators=(",", ":"), allow_nan=False)
    if len(text) > MOST_RECORD_BYTES:
        raise ValueError(f"A record of {len(text)} bytes is more than a store takes ({MOST_RECORD_BYTES}).")
    return text
