"""The limits as the operator's HTTP API takes and shows them; the OpenAPI document is made of the same classes.

It is what `python -m functions admin show` prints. All of it has to be given, so that nothing is lifted by being
forgotten, by a file that is older than a limit either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from functions.core import limit_rules as rules
from functions.core.errors import BadRequest
from functions.core.limits import Limits

T = TypeVar("T", bound=Struct)

MOST_WORDS = 400

Pattern = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=rules.MOST_PATTERN,
        pattern="^[^/]+/.+$",
        description="A shell pattern over <provider>/<spec>.",
        examples=["gh/owner/*"],
    ),
]
Patterns = Annotated[Sequence[Pattern], Meta(max_length=rules.MOST_ENTRIES)]
Number = Annotated[int, Meta(ge=0, le=rules.MOST_QUOTA)]
Network = Annotated[str, Meta(min_length=1, max_length=100, examples=["192.0.2.0/24"])]
Label = Annotated[str, Meta(max_length=rules.MOST_LABEL)]


class LimitsDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is permitted at this moment, at all instances."""

    closed: Annotated[
        str,
        Meta(max_length=rules.MOST_MESSAGE, description="What people are told while no launches are taken, or empty."),
    ]
    banned: Annotated[Patterns, Meta(description="These are never launched.")]
    allowed: Annotated[Patterns, Meta(description="With any of these, only these are launched.")]
    total_quota: Annotated[Number | None, Meta(description="How many servers there may be; null: any number, 0: none.")]
    repo_quota: Annotated[Number, Meta(description="How many of one repository; 0: any number.")]
    repo_quotas: Annotated[
        Mapping[Pattern, Number],
        Meta(
            max_length=rules.MOST_ENTRIES,
            description="The same for some; of patterns that match, the last decides.",
        ),
    ]
    networks: Annotated[
        Mapping[Network, Label],
        Meta(
            max_length=rules.MOST_ENTRIES, description="Ranges of addresses that are closed, and what they are called."
        ),
    ]
    rate: Annotated[Number, Meta(description="How many launches and builds a sender may ask for; 0: any number.")]
    rate_period_s: Annotated[Literal[60, 3600, 86400], Meta(description="In which time, in seconds.")]


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """A command of `python -m functions admin`, word by word."""

    command: Annotated[
        Sequence[Annotated[str, Meta(max_length=rules.MOST_MESSAGE)]],
        Meta(min_length=1, max_length=MOST_WORDS, examples=[["quota", "100"], ["ban", "gh/owner/*"]]),
    ]


def read_limits(body: bytes) -> Limits:
    """The limits in a request's JSON body, written as the commands write them. Raises BadRequest with what is wrong
    where."""
    given = _decoded(body, LimitsDocument, "the limits as GET shows them, all of them")
    limits = Limits(
        closed=_checked("closed", rules.message, given.closed),
        banned=_patterns("banned", given.banned),
        allowed=_patterns("allowed", given.allowed),
        total_quota=given.total_quota,
        repo_quota=given.repo_quota,
        repo_quotas={_checked("repo_quotas", rules.pattern, name): quota for name, quota in given.repo_quotas.items()},
        networks=dict(_network(name, label) for name, label in given.networks.items()),
        rate=given.rate,
        rate_period_s=given.rate_period_s,
    )
    rules.check_size(limits, before=Limits())
    return limits


def read_command(body: bytes) -> Sequence[str]:
    """The words of the command in a request's JSON body. Raises BadRequest."""
    return _decoded(body, Command, 'a command such as {"command": ["quota", "100"]}').command


def write(limits: Limits) -> bytes:
    """*limits* as JSON."""
    return msgspec.json.encode(asdict(limits))


def tag(limits: Limits) -> str:
    """What names these *limits* and no others: https://www.rfc-editor.org/rfc/rfc9110#field.etag, without quotes."""
    return hashlib.sha256(write(limits)).hexdigest()[:32]


def changes(before: Limits, after: Limits) -> Mapping[str, object]:
    """The fields of *after* that are shown otherwise than those of *before*, for the log; order counts."""
    old = {name: msgspec.json.encode(value) for name, value in asdict(before).items()}
    return {name: value for name, value in asdict(after).items() if msgspec.json.encode(value) != old[name]}


def _decoded(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body must be JSON: {what}. {str(error)[:500]}.") from error


def _patterns(field: str, given: Sequence[str]) -> Sequence[str]:
    return list(dict.fromkeys(_checked(field, rules.pattern, text) for text in given))


def _network(name: str, label: str) -> tuple[str, str]:
    known = _checked("networks", rules.network, name)
    return known, _checked("networks", rules.label, label) or known


def _checked(field: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except BadRequest as error:
        raise BadRequest(f"{field}: {error}") from error
