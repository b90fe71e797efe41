"""Deliveries as git hosts send them, from the samples."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[1] / "samples" / "webhooks"
OLD_SHA, SHA, TAG_OBJECT = "0a" * 20, "0b" * 20, "7a" * 20


def sample(name: str, **changes: Any) -> Any:
    """The payload of that name, with *changes* at its top."""
    return json.loads((SAMPLES / f"{name}.json").read_text()) | changes


def signed(body: bytes, secret: str) -> str:
    """What GitHub puts into X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
