"""What the router does to the head of a request and of an answer; everything else goes through as it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict, CIMultiDictProxy

# https://www.rfc-editor.org/rfc/rfc9110#field.connection; Expect is answered by the router itself.
HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "expect"),
    }
)

# gunicorn trusts whoever speaks to its Unix socket, as it does not trust Cloud Run's address: it would take these for
# a front end's word on the scheme, and SCRIPT_NAME or PATH_INFO for one on the path. It drops other names with "_".
FRONT_END_WORDS = frozenset({"x-forwarded-protocol", "x-forwarded-ssl", "forwarded"})

# What gunicorn takes of a request: limit_request_fields and limit_request_field_size, less what the router adds.
MOST_FIELDS = 90
LONGEST_FIELD_BYTES = 8190
LONGEST_TARGET_BYTES = 16_384
LARGEST_HEAD_BYTES = 65_536


class BadHead(Exception):
    """The head of a request is not acceptable; `status` says why."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


def origin_form(target: str) -> str:
    """The request target as an instance is to see it. Raises BadHead.

    Byte for byte, except that an absolute form loses its scheme and host, as on the way through any front end.
    """
    if target.lower().startswith(("http://", "https://")):
        _, _, rest = target.partition("://")
        at = min((rest.index(mark) for mark in "/?" if mark in rest), default=len(rest))
        target = rest[at:] if rest[at:].startswith("/") else f"/{rest[at:]}"
    if not target.startswith("/") or not target.isascii():
        raise BadHead(400, "not a request target")
    return target


def check(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse what an instance would refuse. Raises BadHead."""
    count = size = 0
    for name, value in fields:
        count += 1
        size += len(name) + len(value) + 4
        # Other bytes have no meaning that sender and function would agree on.
        if not value.isascii():
            raise BadHead(400, "a header is not ASCII")
    if count > MOST_FIELDS or size > LARGEST_HEAD_BYTES:
        raise BadHead(431, "too many or too large headers")


def for_instance(received: CIMultiDictProxy[str], *, client: str, scheme: str) -> CIMultiDict[str]:
    """The headers of a request as the function gets them."""
    kept = CIMultiDict(
        (name, value)
        for name, value in _end_to_end(received).items()
        if "_" not in name and name.lower() not in FRONT_END_WORDS
    )
    before = ", ".join(kept.popall("X-Forwarded-For", []))
    kept["X-Forwarded-For"] = f"{before}, {client}" if before else client
    # What the client says of these would be believed by the function.
    kept["X-Forwarded-Proto"] = scheme
    kept["X-Forwarded-Host"] = kept.setdefault("Host", "localhost")
    return kept


def for_client(answered: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers of an answer as the client gets them."""
    kept = _end_to_end(answered)
    for name, value in list(kept.items()):
        if not _encodable(value):
            raise ValueError(f"the header {name} is not text")
    return kept


def _end_to_end(fields: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = {token.strip().lower() for value in fields.getall("Connection", []) for token in value.split(",")}
    # A client must not be able to remove what the function relies on by calling it a matter of the connection.
    dropped = HOP_BY_HOP | (named - {"host", "content-length", "x-forwarded-for", "authorization", "cookie"})
    return CIMultiDict((name, value) for name, value in fields.items() if name.lower() not in dropped)


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def length(fields: Mapping[str, str]) -> int:
    """The length that a request announces; 0 when it announces none. The parser has checked that it is a number."""
    return int(fields.get("Content-Length", "0"))
