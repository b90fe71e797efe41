"""What may stand in the limits, whoever writes it there: patterns, numbers, ranges of addresses, and how much. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import asdict

from functions.core.errors import BadRequest
from functions.core.limits import Limits

MOST_PATTERN = 300
MOST_QUOTA = 1_000_000
PERIODS_S: Mapping[str, int] = {"minute": 60, "hour": 3600, "day": 86400}
MOST_MESSAGE = 2000
MOST_LABEL = 200
# Each request is compared with all of them.
MOST_ENTRIES = 1000
# All of it is one document of the store, and Firestore's have at most 1 MiB.
MOST_BYTES = 256 * 1024
_MAPPED_BITS = 96
# Control characters but for the end of a line, and halves of characters.
_UNFIT = re.compile("[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")


def pattern(text: str) -> str:
    """*text*, if it is a pattern of repositories. Raises BadRequest."""
    provider, slash, rest = text.partition("/")
    if not (provider and slash and rest) or len(text) > MOST_PATTERN or not text.isprintable():
        raise BadRequest(f"A pattern is <provider>/<spec> with *, such as gh/owner/*, up to {MOST_PATTERN} characters.")
    return text


def network(text: str) -> str:
    """The range of addresses in *text*, as senders are compared with it. Raises BadRequest."""
    try:
        found = ipaddress.ip_network(text)
        mapped = getattr(found.network_address, "ipv4_mapped", None)
        if mapped is not None and found.prefixlen >= _MAPPED_BITS:
            # Senders are known by their IPv4 address, however they are written.
            found = ipaddress.ip_network(f"{mapped}/{found.prefixlen - _MAPPED_BITS}")
        return str(found)
    except ValueError as error:
        # The error repeats all that was given.
        raise BadRequest(f"{text[:100]!r} is no range of addresses such as 192.0.2.0/24. {error}"[:400]) from error


def label(text: str) -> str:
    """What a closed network is called. Raises BadRequest."""
    return _words(text, "A network's label", MOST_LABEL)


def message(text: str) -> str:
    """What people are told of a hub that takes no launches. Raises BadRequest."""
    return _words(text, "The message", MOST_MESSAGE)


def check_size(after: Limits, before: Limits) -> None:
    """Raise BadRequest if *after* is larger than limits may be. Getting smaller than *before* is never refused."""
    for name in ("banned", "allowed", "repo_quotas", "networks"):
        entries = len(getattr(after, name))
        if entries > max(MOST_ENTRIES, len(getattr(before, name))):
            raise BadRequest(f"{name}: there may be at most {MOST_ENTRIES} of them.")
    if _bytes(after) > max(MOST_BYTES, _bytes(before)):
        raise BadRequest(f"All limits together may be at most {MOST_BYTES} bytes long.")


def _words(text: str, what: str, most: int) -> str:
    if len(text) > most or _UNFIT.search(text):
        raise BadRequest(f"{what} is text of at most {most} characters.")
    return text


def _bytes(limits: Limits) -> int:
    return len(json.dumps(asdict(limits)))
