"""Who may come back to which launch: the same browser, for the same link."""

from __future__ import annotations

import hashlib
import hmac

# The name says whose it is. It is bound to this host: no Domain attribute is ever set.
COOKIE = "binderless-browser"
# Browsers take a cookie of this name from this host alone, so that a server on a sibling host cannot give our visitors
# an id that it knows: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
HOST_COOKIE = f"__Host-{COOKIE}"


def resume_key(secret: str, browser: str, provider: str, spec: str) -> str:
    """The key under which this browser's launch of this link is remembered; useless to anyone who reads the store."""
    # Lengths first, so that no two different triples give the same text.
    parts = "".join(f"{len(part)}:{part}" for part in (browser, provider, spec))
    return hmac.new(secret.encode(), parts.encode(), hashlib.sha256).hexdigest()


def valid_browser(text: str | None) -> bool:
    """Whether *text* is a browser id that we could have given."""
    return text is not None and len(text) == 32 and text.isascii() and text.isalnum()
