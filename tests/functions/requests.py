"""Requests for handlers, made without a server."""

from __future__ import annotations

import base64
import json
from typing import Any

from flask import Request
from werkzeug.test import EnvironBuilder


def request(
    path: str = "/", *, method: str = "POST", authorization: str = "", body: bytes = b"", **headers: str
) -> Request:
    """A Flask request; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization:
        named["Authorization"] = authorization
    return Request(EnvironBuilder(path, method=method, headers=[*named.items()], data=body).get_environ())


def push(build_id: str, status: str = "SUCCESS") -> bytes:
    """The body of a Pub/Sub push that announces the end of a build."""
    build = {"id": build_id, "status": status}
    message: dict[str, Any] = {
        "attributes": {"buildId": build_id, "status": status},
        "data": base64.b64encode(json.dumps(build).encode()).decode(),
        "messageId": "1",
    }
    return json.dumps({"message": message, "subscription": "projects/local/subscriptions/on-build-complete"}).encode()


def cloud_event(push_body: bytes, *, encoded: bool = False) -> bytes:
    """The push as a CloudEvent in structured mode, as Eventarc would send it; its data in base64 if *encoded*."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": "1",
        "source": "//pubsub.googleapis.com/projects/local/topics/cloud-builds",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "datacontenttype": "application/json",
    }
    data = {"data_base64": base64.b64encode(push_body).decode()} if encoded else {"data": json.loads(push_body)}
    return json.dumps(event | data).encode()
