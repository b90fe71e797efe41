"""The OpenAPI document of the JSON API, made of the classes that its answers are made of.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from functions.core.limit_document import Command, LimitsDocument
from functions.core.operators import tokens_of
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

_OPERATOR = "operator"
_BEARER = {"type": "http", "scheme": "bearer", "description": "One of web.operator_tokens."}
_WHAT_MAY_HAPPEN_TO_OPERATORS = {
    401: "This is for who has a token of the operator.",
    **{status: text for status, text in _WHAT_MAY_HAPPEN.items() if status not in (403, 404, 429)},
}
_WITHOUT_MATCH = {
    412: "The limits are not those of If-Match any more.",
    428: "If-Match is missing.",
}


def document(config: Config) -> Schema:
    """The document for a hub with this *config*."""
    shown = (Wish, BuildView, LaunchView, EventPage, Problem)
    if not tokens_of(config.web):
        return _document(config, _paths(), _components(shown))
    components = _components((*shown, LimitsDocument, Command)) | {"securitySchemes": {_OPERATOR: _BEARER}}
    return _document(config, _paths() | _operators_paths(), components)


def _document(config: Config, paths: Schema, components: Schema) -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Binderless",
            "version": config.web.version,
            "description": "Builds and launches of this hub. Errors are application/problem+json.",
        },
        "servers": [{"url": f"{config.web.base_path}api"}],
        "paths": paths,
        "components": components,
    }


def _components(kinds: tuple[type[msgspec.Struct], ...]) -> Schema:
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    return {"schemas": schemas}


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


def _operators_paths() -> Schema:
    # Without it there is an answer of its own, 428, so it is not called required.
    match = _parameter("If-Match", {"type": "string"}, where="header")
    put = _operators("putLimits", body=LimitsDocument, failures=_WHAT_MAY_HAPPEN_TO_OPERATORS | _WITHOUT_MATCH)
    return {
        "/admin/limits": {
            "get": _operators("getLimits"),
            "put": {**put, "parameters": [match]},
        },
        "/admin/limits/commands": {"post": _operators("commandLimits", body=Command)},
    }


def _operators(
    name: str, *, body: type[msgspec.Struct] | None = None, failures: Mapping[int, str] | None = None
) -> Schema:
    operation = _operation(name, {200: LimitsDocument}, failures=failures or _WHAT_MAY_HAPPEN_TO_OPERATORS)
    operation["responses"]["200"]["headers"] = {"ETag": {"schema": {"type": "string"}}}
    return {**operation, "security": [{_OPERATOR: []}], **({"requestBody": _body(body)} if body else {})}


def _operation(name: str, answers: Mapping[int, Any], *, failures: Mapping[int, str] = _WHAT_MAY_HAPPEN) -> Schema:
    return {
        "operationId": name,
        "responses": {
            **{str(status): _answer(what) for status, what in answers.items()},
            **{str(status): _problem(text) for status, text in failures.items()},
        },
    }


def _asking(name: str, answers: Mapping[int, Any], *, link: tuple[str, str]) -> Schema:
    operation = _operation(name, answers)
    following, parameter = link
    for status in answers:
        links = {following: {"operationId": following, "parameters": {parameter: "$response.body#/id"}}}
        headers = {"Location": {"schema": {"type": "string"}}}
        operation["responses"][str(status)] |= {"links": links, "headers": headers}
    return {**operation, "requestBody": _body(Wish)}


def _body(kind: type[msgspec.Struct]) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": _schema(kind)}}}


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
