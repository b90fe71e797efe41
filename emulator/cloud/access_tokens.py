"""Access tokens of service accounts, as a metadata server gives them to the machine that runs as one.

A token says whose it is and when it ends, and is signed; so it stays good when this process is started again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

LIFETIME_S = 3600
# As Google's begin.
_BEGINNING = "ya29."


class AccessTokens:
    """Signs tokens and knows them again; the key lies in *folder*."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        path = folder / "access-token-key"
        if not path.exists():
            unfinished = path.with_suffix(".tmp")
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            unfinished.rename(path)
        self._key = path.read_bytes()

    def issue(self, account: str) -> str:
        """A token of *account*, good for LIFETIME_S."""
        claims = json.dumps([account, int(self._clock()) + LIFETIME_S]).encode()
        body = base64.urlsafe_b64encode(claims).decode()
        return f"{_BEGINNING}{body}.{self._signature(body)}"

    def account(self, token: str) -> str:
        """Whose *token* is; empty for none of ours, or one that has ended."""
        body, _, signature = token.removeprefix(_BEGINNING).rpartition(".")
        if not hmac.compare_digest(signature.encode(errors="surrogateescape"), self._signature(body).encode()):
            return ""
        account, until = json.loads(base64.urlsafe_b64decode(body))
        return str(account) if until > self._clock() else ""

    def _signature(self, body: str) -> str:
        return hmac.new(self._key, body.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()
