"""The OpenAPI document of the JSON API, made of the classes that its answers are made of.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from functions.core.resources import MOST_EVENTS, BuildView, EventPage, LaunchView, Problem, Wish
from functions.core.settings import Config

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_LAUNCH_ID = {"type": "string", "pattern": "^[a-z0-9]{1,64}$"}
_BUILD_ID = {"type": "string", "maxLength": 400, "pattern": "^[a-z0-9-]{1,255}:[a-z0-9][a-z0-9.-]{0,127}$"}
_WHAT_MAY_HAPPEN = {
    400: "The request is not one that this API knows.",
    403: "The operator does not permit this.",
    404: "There is no such repository, branch, launch or build.",
    429: "This hub is full, or this sender asks too often.",
    500: "This hub is broken.",
    502: "A service behind this hub answered badly; trying again helps.",
    503: "A service behind this hub asks for patience; trying again helps.",
    504: "A service behind this hub did not answer; trying again helps.",
}


def document(config: Config) -> Schema:
    """The document for a hub with this *config*."""
    _, components = msgspec.json.schema_components((Wish, BuildView, LaunchView, EventPage, Problem), ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Binderless",
            "version": config.web.version,
            "description": "Builds and launches of this hub. Errors are application/problem+json.",
        },
        "servers": [{"url": f"{config.web.base_path}api"}],
        "paths": _paths(),
        "components": {"schemas": components},
    }


def _paths() -> Schema:
    launch = [_parameter("launch", _LAUNCH_ID, where="path")]
    build = [_parameter("build", _BUILD_ID, where="path")]
    return {
        "/builds": {"post": _asking("createBuild", {200: BuildView, 202: BuildView}, link=("getBuild", "build"))},
        "/builds/{build}": {"parameters": build, "get": _operation("getBuild", {200: BuildView})},
        "/builds/{build}/log": {"parameters": build, "get": _operation("getBuildLog", {200: "text/plain"})},
        "/launches": {
            "post": {
                **_asking("createLaunch", {201: LaunchView}, link=("getLaunch", "launch")),
                "parameters": [_parameter("Idempotency-Key", _KEY, where="header")],
            }
        },
        "/launches/{launch}": {
            "parameters": launch,
            "get": _operation("getLaunch", {200: LaunchView}),
            "delete": _operation("stopLaunch", {200: LaunchView}),
        },
        "/launches/{launch}/events": {
            "parameters": launch,
            "get": {**_operation("listEvents", {200: EventPage}), "parameters": _PAGING},
        },
    }


def _operation(name: str, answers: Mapping[int, Any]) -> Schema:
    return {
        "operationId": name,
        "responses": {
            **{str(status): _answer(what) for status, what in answers.items()},
            **{str(status): _problem(text) for status, text in _WHAT_MAY_HAPPEN.items()},
        },
    }


def _asking(name: str, answers: Mapping[int, Any], *, link: tuple[str, str]) -> Schema:
    operation = _operation(name, answers)
    body = {"required": True, "content": {"application/json": {"schema": _schema(Wish)}}}
    following, parameter = link
    for status in answers:
        links = {following: {"operationId": following, "parameters": {parameter: "$response.body#/id"}}}
        headers = {"Location": {"schema": {"type": "string"}}}
        operation["responses"][str(status)] |= {"links": links, "headers": headers}
    return {**operation, "requestBody": body}


def _answer(what: Any) -> Schema:
    if isinstance(what, str):
        return {"description": "The text so far.", "content": {what: {"schema": {"type": "string"}}}}
    return {"description": what.__doc__.strip(), "content": {"application/json": {"schema": _schema(what)}}}


def _problem(text: str) -> Schema:
    return {"description": text, "content": {"application/problem+json": {"schema": _schema(Problem)}}}


def _schema(kind: type[msgspec.Struct]) -> Schema:
    return {"$ref": _REF.format(name=kind.__name__)}


def _parameter(name: str, schema: Schema, *, where: str) -> Schema:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


_KEY: Schema = {"type": "string", "pattern": '^("[!#-~]{20,200}"|[!#-~]{20,200})$'}
_PAGING = [
    _parameter("after", {"type": "integer", "minimum": 0, "maximum": 10**9, "default": 0}, where="query"),
    _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST_EVENTS, "default": 100}, where="query"),
]
