"""What an answer says of the rate at which its sender may ask, in BinderHub's headers.

https://www.rfc-editor.org/rfc/rfc9110#field.retry-after; the others are in no standard: whole numbers, the reset in
seconds since the epoch.
"""

from __future__ import annotations

from flask import Response, g

from functions.core.errors import RateExceeded
from functions.launching import counting
from functions.launching.arrival import Asked
from functions.world import World


def count(asked: Asked, world: World) -> None:
    """Count the request that is being answered; whatever the answer will be, `tell` tells. Raises RateExceeded."""
    try:
        standing = counting.count(asked, world)
    except RateExceeded as error:
        g.rate = _headers(error.limit, 0, error.resets_at) | {"Retry-After": str(error.retry_after_s)}
        raise
    if standing is not None:
        g.rate = _headers(standing.limit, standing.remaining, standing.resets_at)


def tell(response: Response) -> None:
    """Add the headers, if the request was counted."""
    response.headers.update(g.get("rate", {}))


def _headers(limit: int, remaining: int, resets_at: int) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(resets_at),
    }
