"""Cloud Build's messages as JSON: read and written by Google's own definitions of them.

Builds are kept as the JSON that the API answers with: enums by name, durations as `3600s`, nothing that is not set.
"""

from __future__ import annotations

import functools
import importlib.machinery
import json
import sys
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from emulator.cloud.builds.errors import invalid

Build = dict[str, Any]

MAX_REQUEST_BYTES = 1024 * 1024
BUILD_TYPE = "type.googleapis.com/google.devtools.cloudbuild.v1.Build"
METADATA_TYPE = "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata"

TERMINAL = frozenset({"SUCCESS", "FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED"})


def parse_build(body: bytes) -> Build:
    """The Build in a request, in lowerCamelCase; raises ApiError for what its definition does not know."""
    from google.protobuf import json_format

    try:
        document = json.loads(body or b"{}")
        if not isinstance(document, Mapping):
            raise ValueError("the root element must be an object")
        message = json_format.ParseDict(document, _build_message()())
    except (ValueError, RecursionError, json_format.ParseError) as error:
        raise invalid(f"Invalid JSON payload received. {str(error).splitlines()[0][:500]}") from error
    build: Build = json_format.MessageToDict(message)
    return build


@functools.cache
def _build_message() -> Any:
    """The protobuf class. The package's own __init__ loads every client: three times the memory of its types."""
    import google.cloud.devtools

    name = "google.cloud.devtools.cloudbuild_v1"
    spec = importlib.machinery.PathFinder.find_spec(name, list(google.cloud.devtools.__path__))
    if name not in sys.modules and spec is not None and spec.submodule_search_locations is not None:
        package = types.ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[name] = package
    from google.cloud.devtools.cloudbuild_v1.types import cloudbuild

    return type(cloudbuild.Build.pb(cloudbuild.Build()))


def operation(build: Build) -> dict[str, Any]:
    """The long-running operation that creating *build* answers with."""
    name = f"operations/build/{build['projectId']}/{build['id']}"
    answer: dict[str, Any] = {"name": name, "metadata": {"@type": METADATA_TYPE, "build": build}}
    if build["status"] not in TERMINAL:
        return answer
    if build["status"] == "SUCCESS":
        return answer | {"done": True, "response": {"@type": BUILD_TYPE, **build}}
    return answer | {"done": True, "error": {"code": 2, "message": build.get("statusDetail", build["status"])}}


def timestamp(seconds: float) -> str:
    """A moment as Google's JSON has it, with nanoseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}000Z"


def seconds_of(stamp: str) -> float:
    """The inverse of `timestamp`, for any RFC 3339 text; raises ValueError."""
    head, _, rest = stamp.partition(".")
    digits = rest.rstrip("Z")
    whole = datetime.fromisoformat(head if not rest and not head.endswith("Z") else head.rstrip("Z") + "+00:00")
    if whole.tzinfo is None:
        whole = whole.replace(tzinfo=UTC)
    if digits and not digits.isdecimal():
        raise ValueError(f"not a time: {stamp!r}")
    return whole.timestamp() + (float(f"0.{digits}") if digits else 0.0)


def duration_s(text: str) -> float:
    """The seconds of `3.5s`; zero of nothing."""
    return float(text.removesuffix("s") or 0)
