"""Bodies in Kubernetes' protobuf, read by the types: what becomes of them is what the same object is in JSON.

An object is wrapped in a message that names its type, behind four bytes.
https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from emulator.kube.objects import Object
from emulator.kube.schema import TYPES, Type
from emulator.kube.schema.decoding import WrongForm

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
TYPE_META, RAW = 1, 2
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
DEEPEST = 40
# Go writes numbers and booleans that are zero, unless they are pointers: of these alone a zero says something.
POINTERS = {
    "activeDeadlineSeconds", "allowPrivilegeEscalation", "allowVolumeExpansion", "automountServiceAccountToken",
    "backoffLimit", "blockOwnerDeletion", "completions", "controller", "defaultMode", "deletionGracePeriodSeconds",
    "enableServiceLinks", "expirationSeconds", "fsGroup", "globalDefault", "gracePeriodSeconds", "hostUsers",
    "immutable", "manualSelector", "mode", "optional", "orphanDependents", "parallelism", "priority", "privileged",
    "readOnlyRootFilesystem", "ready", "restartCount", "runAsGroup", "runAsNonRoot", "runAsUser",
    "setHostnameAsFQDN", "shareProcessNamespace", "started", "suspend", "terminationGracePeriodSeconds",
    "tolerationSeconds", "ttlSecondsAfterFinished",
}  # fmt: skip


def read(kind: str, raw: bytes) -> Object:
    """Return an object as JSON has it. Raises WrongForm; *kind* is meant where the body names none."""
    try:
        if not raw.startswith(MAGIC):
            raise WrongForm("the body does not begin as protobuf of Kubernetes does")
        envelope = dict(_fields(raw[len(MAGIC) :]))
        about = {number: _text(value) for number, value in _fields(envelope.get(TYPE_META, b""))}
        named = about.get(2) or kind
        if named not in TYPES:
            raise WrongForm(f"no kind {named}")
        obj = _message(named, envelope.get(RAW, b""), 0)
    except (IndexError, UnicodeDecodeError, TypeError, ValueError, OverflowError) as error:
        raise WrongForm(f"proto: {error}") from error
    return {"apiVersion": about.get(1, ""), "kind": named} | obj


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of every field: numbers are ints, everything else is bytes."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        wire = key & 7
        if wire == VARINT:
            value, at = _varint(raw, at)
            yield key >> 3, value
        elif wire == BYTES:
            length, at = _varint(raw, at)
            if at + length > len(raw):
                raise ValueError("unexpected end")
            yield key >> 3, raw[at : at + length]
            at += length
        elif wire in (FIXED_64, FIXED_32):
            at += 8 if wire == FIXED_64 else 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if not byte & 128:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


@cache
def _by_number(name: str) -> dict[tuple[int, ...], tuple[str, Type]]:
    return {known.number: (field, known) for field, known in TYPES[name].items() if known.number}


@cache
def _beginnings(name: str) -> set[tuple[int, ...]]:
    return {number[:length] for number in _by_number(name) for length in range(1, len(number))}


def _message(name: str, raw: bytes, depth: int, *, inside: tuple[int, ...] = ()) -> Object:
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    result: Object = {}
    for number, value in _fields(raw):
        place = (*inside, number)
        if place in _beginnings(name):
            # A message whose fields are those of the one around it.
            result |= _message(name, value, depth + 1, inside=place)
        elif found := _by_number(name).get(place):
            field, known = found
            _put(result, field, known, value, depth)
    return result


def _put(result: Object, field: str, known: Type, value: Any, depth: int) -> None:
    if known.form == "{":
        entry = dict(_fields(value))
        result.setdefault(field, {})[_text(entry.get(1, b""))] = _value(known.name, entry.get(2, b""), depth)
    elif known.form == "[":
        result.setdefault(field, []).append(_value(known.name, value, depth))
    else:
        one = _value(known.name, value, depth)
        says_nothing = one is None or one == "" or (one == 0 and field not in POINTERS)
        if not says_nothing:
            result[field] = one


def _value(name: str, value: Any, depth: int) -> Any:
    if name in TYPES:
        return _message(name, value, depth + 1)
    if name == "any":
        raise WrongForm("a field of this body is read from JSON only")
    return PLAIN[name](value)


def _text(value: Any) -> str:
    return bytes(value).decode()


def _integer(value: Any) -> int:
    number = int(value)
    return number - 2**64 if number >= 2**63 else number


def _time(value: Any) -> str | None:
    seconds = dict(_fields(value)).get(1)
    if seconds is None:
        return None
    return datetime.fromtimestamp(_integer(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _quantity(value: Any) -> str:
    return _text(dict(_fields(value)).get(1, b"")) if value else "0"


def _port(value: Any) -> int | str | None:
    fields = dict(_fields(value))
    if fields.get(1):
        return _text(fields.get(3, b""))
    return _integer(fields.get(2, 0)) or None


PLAIN: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "bytes": lambda value: base64.b64encode(value).decode(),
    "integer": _integer,
    "number": _integer,
    "boolean": bool,
    "time": _time,
    "quantity": _quantity,
    "port": _port,
}
