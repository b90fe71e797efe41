"""The part of an answer that a recorded step shows, taken from an answer in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.emulator.kube.replay.newer import taken_out

STEP = re.compile(r"\[([^\]]*)\]|[^.\[\]]+|#")
LEFT_OUT = ("managedFields", "selfLink", "storageVersionHash")


def without_noise(value: Any) -> Any:
    """Leave out what is not recorded either."""
    if isinstance(value, dict):
        kept = {key: without_noise(item) for key, item in value.items() if key not in LEFT_OUT}
        if kept.keys() >= {"name", "type", "format", "priority"}:
            kept.pop("description", None)
        return kept
    return [without_noise(item) for item in value] if isinstance(value, list) else value


def pick(value: Any, path: str) -> Any:
    """Return what lies under a dotted path (`items.[0].kind`, `items.#`, `conditions[type=Ready].status`), or None."""
    for match in STEP.finditer(path):
        inside, step = match.group(1), match.group(0)
        if step == "#":
            value = len(value) if isinstance(value, list) else None
        elif inside is not None:
            value = _item(value, inside)
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _item(value: Any, inside: str) -> Any:
    if not isinstance(value, list):
        return None
    if inside.isdigit():
        return value[int(inside)] if int(inside) < len(value) else None
    key, _, wanted = inside.partition("=")
    return next((item for item in value if item.get(key) == wanted), None)


def shown(body: Any, view: Any) -> Any:
    """Return what *view* shows of a body; without a view, all of it."""
    body = taken_out(without_noise(body))
    if isinstance(body, dict) and body.get("status") == "Failure" and view not in ("shape", "nothing"):
        return body
    if view is None or not isinstance(body, (dict, str)):
        return body
    if isinstance(view, list):
        return {path: pick(body, path) for path in view}
    name, _, listed = view.partition(":")
    return VIEWS[name](body, listed.split(","))


def pod(body: Any, _listed: Any = None) -> Any:
    """Boil a pod down to its state."""
    status = body.get("status", {})
    found = {
        "phase": status.get("phase"),
        "reason": status.get("reason"),
        "message": status.get("message"),
        "deletionGracePeriodSeconds": body["metadata"].get("deletionGracePeriodSeconds"),
        "scheduled": "nodeName" in body["spec"],
        "hasPodIP": "podIP" in status,
        "conditions": {each["type"]: _condition(each) for each in status.get("conditions") or []},
        "initContainerStatuses": [_container(each) for each in status.get("initContainerStatuses") or []],
        "containerStatuses": [_container(each) for each in status.get("containerStatuses") or []],
    }
    return {key: value for key, value in found.items() if value not in (None, []) or key == "phase"}


def _condition(condition: Any) -> str:
    return f"{condition['status']} {condition.get('reason', '')}".strip()


def _container(status: Any) -> Any:
    found = {key: status.get(key) for key in ("name", "ready", "started", "restartCount")}
    found["state"] = _state(status["state"])
    return found | ({"lastState": _state(status["lastState"])} if status.get("lastState") else {})


def _state(state: Any) -> Any:
    kept = ("reason", "message", "exitCode", "signal")
    return {name: {key: value[key] for key in kept if key in value} for name, value in state.items()}


def events(body: Any, _listed: Any) -> Any:
    return [_event(each) for each in body["items"]]


def _event(event: Any) -> Any:
    source, about = event.get("source") or {}, event["involvedObject"]
    kept = {key: event.get(key) for key in ("type", "reason", "message", "count")}
    kept |= {"source": source.get("component"), "reportingComponent": event.get("reportingComponent")}
    names = ("kind", "apiVersion", "name", "fieldPath")
    return kept | {"onHost": "host" in source, "involvedObject": {key: about[key] for key in names if key in about}}


def names(body: Any, _listed: Any) -> Any:
    return {"kind": body["kind"], "names": [e["metadata"]["name"] for e in body["items"]], "metadata": body["metadata"]}


def job(body: Any, _listed: Any = None) -> Any:
    spec = {key: body["spec"].get(key) for key in ("parallelism", "completions", "backoffLimit")}
    return {"spec": spec, "status": body.get("status")}


def shape(body: Any, _listed: Any) -> Any:
    return {key: type(value).__name__ for key, value in body.items()}


def groups(body: Any, listed: list[str]) -> Any:
    return by_name(body | {"groups": [each for each in body["groups"] if each["name"] in listed]})


def resources(body: Any, listed: list[str]) -> Any:
    kept = [each for each in body["resources"] if each["name"].partition("/")[0] in listed]
    return by_name(body | {"resources": kept})


def by_name(body: Any) -> Any:
    """Return a list of groups or resources with these by their names, so that they are compared one by one."""
    listed = ("groups", "resources")
    return {key: {e["name"]: e for e in value} if key in listed else value for key, value in body.items()}


def lines(body: Any, listed: list[str]) -> Any:
    return [line for line in str(body).splitlines() if any(word in line for word in listed)]


VIEWS: dict[str, Callable[[Any, list[str]], Any]] = {
    "pod": pod, "events": events, "names": names, "job": job, "shape": shape, "groups": groups,
    "resources": resources, "lines": lines, "nothing": lambda *_: None,
    "status": lambda body, _listed: body.get("status"),
}  # fmt: skip


def view_of_event(recorded: Any) -> Any:
    """Guess which view a recorded event of a watch was made with: that is not written beside it."""
    if "kind" in recorded:
        return None
    if "conditions" in recorded and "scheduled" in recorded:
        return "pod"
    return "job" if {"spec", "status"} == recorded.keys() else list(recorded)
