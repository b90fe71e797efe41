"""Build tokens: proof that a launch was asked for by a page of ours, as BinderHub's pages carry it.

A JSON Web Token (HS256) whose audience is `<provider>/<raw spec>`. BinderHub's claims and its way to write secrets are
kept, so that the members of a federation take each other's tokens.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from functions.core.errors import NotAllowed
from functions.core.settings import LaunchSettings

ALGORITHM = "HS256"
LONGEST = 8192
_HEX = re.compile(r"([0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a token is for: a launch link, on a page of the site *origin* (host and port)."""

    provider: str
    raw_spec: str
    origin: str

    @property
    def audience(self) -> str:
        return f"{self.provider}/{self.raw_spec}"


def token_keys(settings: LaunchSettings) -> Sequence[bytes]:
    """The keys, the first of which signs; hexadecimal text stands for bytes. Made from `launches.secret` by default."""
    written = [text for text in settings.token_secrets.reveal().replace(" ", "").split(",") if text]
    keys = [bytes.fromhex(text) if _HEX.fullmatch(text) else text.encode() for text in written]
    return keys or [hmac.new(settings.secret.reveal().encode(), b"build token", hashlib.sha256).digest()]


def mint(page: Page, keys: Sequence[bytes], *, now: float, expires_s: float) -> str:
    """A token for *page* until *expires_s* from *now*."""
    # Only pages and launches from pages need it; an instance that starts for something else does not wait for it.
    import jwt

    claims = {"exp": int(now + expires_s), "aud": page.audience, "origin": page.origin}
    return jwt.encode(claims, keys[0], algorithm=ALGORITHM)


def check(token: str, page: Page, keys: Sequence[bytes], *, now: float, check_origin: bool = True) -> None:
    """Raise NotAllowed unless one of *keys* has signed *token* for this *page*, and it has not expired."""
    if len(token) > LONGEST or not any(_holds(token, page, key, now, check_origin) for key in keys):
        raise NotAllowed("Invalid build token")


def _holds(token: str, page: Page, key: bytes, now: float, check_origin: bool) -> bool:
    import jwt

    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=page.audience,
            # The time is ours to look at: the library would read the clock.
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["exp", "aud"]},
        )
    except (jwt.InvalidTokenError, ValueError):
        return False
    expires = claims["exp"]
    lasts = isinstance(expires, int | float) and now < expires
    return lasts and (not check_origin or claims.get("origin") == page.origin)
