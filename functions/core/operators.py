"""Who may change the limits over HTTP: whoever has one of the operator's tokens. Pure.

https://www.rfc-editor.org/rfc/rfc6750
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence

from functions.core.errors import BadSignature
from functions.core.settings import WebSettings
from functions.core.webhooks import secrets_of

# With so many characters drawn at random, guessing over HTTP needs no further limit.
LEAST_TOKEN = 32
_TOKEN = re.compile(rf"[!-+\--~]{{{LEAST_TOKEN},}}")


def tokens_of(web: WebSettings) -> Sequence[str]:
    """The tokens that are good; none: there is no API for the operator."""
    return secrets_of(web.operator_tokens)


def who(authorization: str, tokens: Sequence[str]) -> str:
    """What to call whoever sends this `Authorization` header: the beginning of their token's SHA-256.

    Raises BadSignature when it is none of *tokens*.
    """
    scheme, _, given = authorization.partition(" ")
    digest = _digest(given.strip())
    # No early end: each is compared, in constant time; of digests, which are all of one length.
    known = sum(hmac.compare_digest(digest, _digest(token)) for token in tokens)
    if scheme.lower() != "bearer" or not known:
        raise BadSignature("This address is for the operator, with a Bearer token.")
    return f"token {digest.hex()[:8]}"


def token_problems(web: WebSettings) -> Iterator[str]:
    """What is wrong with the tokens of a configuration."""
    if not all(_TOKEN.fullmatch(token) for token in tokens_of(web)):
        yield f"web.operator_tokens: each must have at least {LEAST_TOKEN} characters, ASCII without blanks"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
