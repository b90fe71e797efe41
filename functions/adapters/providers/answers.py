"""What the APIs of git hosts and data repositories have in common: JSON, and ETags that save sending it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from functions.adapters.http import Answer
from functions.core.errors import UpstreamError
from functions.core.ports import ResolvedRepo

# https://www.rfc-editor.org/rfc/rfc9110#field.etag
ETAG = re.compile(r'(?:W/)?"[!#-~]{0,200}"')


def if_changed(known: ResolvedRepo | None) -> Mapping[str, str]:
    """Headers that ask for an answer only if it is another one than that *known* was made of."""
    return {"If-None-Match": known.etag} if known and known.etag else {}


def etag_of(answer: Answer) -> str:
    """The ETag of *answer*, empty if there is none that can be sent back."""
    etag = str(answer.headers.get("ETag", ""))
    return etag if ETAG.fullmatch(etag) else ""


def json_object(answer: Answer, *keys: str) -> dict[str, Any]:
    """The JSON object at *keys* of the answer's body. Raises UpstreamError when there is none."""
    found = answer.json()
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise UpstreamError(answer.service, "answered something else than we understand.")
    return found
