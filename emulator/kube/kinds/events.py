"""Events."""

from __future__ import annotations

from datetime import datetime

from emulator.kube.ages import since
from emulator.kube.objects import Object, dig, metadata, name_of
from emulator.kube.resource import Column, Field, Resource, selectable


def _default_event(event: Object) -> None:
    # KubeSpawner reads these keys without asking whether they are there.
    for field in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(field, None)
    event.setdefault("source", {})
    event.setdefault("reportingComponent", "")
    event.setdefault("reportingInstance", "")


def _last_seen(event: Object, now: datetime) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), metadata(event).get("creationTimestamp"))
    return since(next(time for time in times if time), now)


def _object_of(event: Object, _now: datetime) -> str:
    about = event.get("involvedObject") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


EVENTS = Resource(
    kind="Event",
    plural="events",
    short_names=("ev",),
    selectable=selectable(
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "type",
    )
    | {"source": Field(("source", "component"))},
    default=_default_event,
    created_by_put=True,
    columns=(
        Column("Last Seen", _last_seen),
        Column("Type", lambda event, _now: event.get("type", "")),
        Column("Reason", lambda event, _now: event.get("reason", "")),
        Column("Object", _object_of),
        Column("Source", lambda event, _now: dig(event, "source", "component") or "", priority=1),
        Column("Message", lambda event, _now: str(event.get("message", "")).strip()),
        Column("First Seen", lambda event, now: since(metadata(event)["creationTimestamp"], now), priority=1),
        Column("Count", lambda event, _now: event.get("count", 1), type="integer", priority=1),
        Column("Name", lambda event, _now: name_of(event), format="name", priority=1),
    ),
)
