"""Bodies of requests: bytes in, JSON data out."""

from __future__ import annotations

import json
from typing import Any

from emulator.kube.errors import ApiError, bad_request, server_error, unsupported_media_type
from emulator.kube.schema import protobuf
from emulator.kube.schema.decoding import WrongForm

KNOWN = ("", "application/json", "application/octet-stream", "application/yaml")
ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
UNKNOWN_FORMAT = f"the body of the request was in an unknown format - accepted media types include: {ACCEPTED}"
# Deeper than any object of Kubernetes, shallower than what Python can walk.
DEEPEST = 100
# PyYAML reads some hundred kilobytes a second, and everybody waits for it.
LARGEST_YAML_BYTES = 256 * 1024


def parse(kind: str, raw: bytes, media_type: str) -> Any:
    """Read the body of a create or an update. JSON is JSON, whatever the client calls it."""
    if media_type == protobuf.MEDIA_TYPE:
        return _protobuf(kind, raw)
    what = f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind"
    if "yaml" in media_type:
        return _yaml(raw, what)
    try:
        return _json(raw)
    except ValueError as error:
        if media_type not in KNOWN:
            raise unsupported_media_type(UNKNOWN_FORMAT) from error
        raise bad_request(f"{what}; json parse error: {error}") from error


def parse_patch(raw: bytes, media_type: str) -> Any:
    """Read the body of a PATCH; an apply may be YAML."""
    if media_type.endswith("+yaml"):
        return _yaml(raw, "error decoding YAML")
    try:
        return _json(raw)
    except ValueError as error:
        if media_type == "application/json-patch+json":
            raise bad_request(f"json parse error: {error}") from error
        raise server_error("Invalid JSON Patch") from error


def parse_options(raw: bytes, media_type: str) -> Any:
    """Read the body of a DELETE; None where there is none."""
    if not raw.strip():
        return None
    if media_type == protobuf.MEDIA_TYPE:
        return _protobuf("DeleteOptions", raw)
    try:
        return _json(raw) or {}
    except ValueError as error:
        raise server_error(f"couldn't get version/kind; json parse error: {error}") from error


def _protobuf(kind: str, raw: bytes) -> Any:
    try:
        return protobuf.read(kind, raw)
    except WrongForm as error:
        what = f"the object provided is unrecognized (must be of type {kind})"
        raise bad_request(f"{what}: {error}") from error


def _json(raw: bytes) -> Any:
    try:
        value = json.loads(raw, parse_constant=_no_number)
    except RecursionError:
        raise ApiError(400, "BadRequest", "the body is nested too deeply") from None
    _check_depth(value)
    # Go reads null as an object without fields.
    return {} if value is None else value


def _no_number(text: str) -> Any:
    raise ValueError(f"invalid character '{text[0]}' looking for beginning of value")


def _yaml(raw: bytes, what: str) -> Any:
    # JSON is YAML, and most clients send it: PyYAML is loaded for those who really write YAML.
    try:
        return _json(raw)
    except ValueError:
        pass
    if len(raw) > LARGEST_YAML_BYTES:
        raise ApiError(413, "RequestEntityTooLarge", f"limit of YAML is {LARGEST_YAML_BYTES}")
    import yaml

    try:
        value = yaml.load(raw, Loader=_json_schema_loader(yaml))
        _check_depth(value)
        return json.loads(json.dumps(value))
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError, RecursionError) as error:
        raise bad_request(f"{what}: yaml: {error}") from error


def _json_schema_loader(yaml: Any) -> Any:
    """Return a safe loader without aliases: a small text must not become a large object."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not accepted")
            return super().compose_node(parent, index)

    # Kubernetes takes a date for text.
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        containers = [item for item in level if isinstance(item, (dict, list))]
        if not containers:
            return
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
    raise bad_request("the body is nested too deeply")
