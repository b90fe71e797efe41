"""How an answer looks: the object itself, its metadata only, or a table for people (`kubectl get`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from emulator.kube.errors import bad_request, not_acceptable
from emulator.kube.objects import Object, metadata
from emulator.kube.reads import list_object
from emulator.kube.resource import Resource

META = "meta.k8s.io/v1"
Kind = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]


@dataclass(frozen=True, slots=True)
class View:
    """What the client asked for, and how much of an object goes into the row of a table."""

    kind: Kind = ""
    include: str = "Metadata"


def view_of(accept: str, include: str) -> View:
    """Choose the first form of the Accept header that is served; everything else means the object itself."""
    for part in accept.split(","):
        media_type, *parameters = (text.strip() for text in part.split(";"))
        asked = dict(text.partition("=")[::2] for text in parameters)
        if media_type not in ("application/json", "application/*", "*/*"):
            continue
        if "as" not in asked:
            return View()
        if asked.get("g") != "meta.k8s.io" or asked.get("v") != "v1":
            continue
        match asked["as"]:
            case "Table":
                return View("Table", _include(include))
            case "PartialObjectMetadata":
                return View("PartialObjectMetadata")
            case "PartialObjectMetadataList":
                return View("PartialObjectMetadataList")
    return View()


def _include(text: str) -> str:
    if text not in ("", "None", "Metadata", "Object"):
        what = f"includeObject: Invalid value: \"{text}\": must be 'Metadata', 'Object', 'None', or empty"
        raise bad_request(f"Unable to convert to Table as requested: {what}")
    return text or "Metadata"


def partial(obj: Object) -> Object:
    """Return the metadata of an object as an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": metadata(obj)}


def table(
    resource: Resource,
    objects: Sequence[Object],
    meta: Object,
    *,
    include: str,
    now: datetime,
    with_columns: bool = True,
) -> Object:
    """Return objects as the rows of a table."""
    columns = [
        {"name": c.name, "type": c.type, "format": c.format, "description": "", "priority": c.priority}
        for c in resource.columns
    ]
    rows = [
        {"cells": [column.value(obj, now) for column in resource.columns], "object": _row_object(obj, include)}
        for obj in objects
    ]
    answer = {"kind": "Table", "apiVersion": META, "metadata": meta}
    return answer | {"columnDefinitions": columns if with_columns else [], "rows": rows}


def _row_object(obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    return obj if include == "Object" else partial(obj)


def render(resource: Resource, obj: Object, view: View, *, now: datetime, with_columns: bool = True) -> Object:
    """Return one object in the form that was asked for."""
    if view.kind == "Table":
        meta = {"resourceVersion": metadata(obj).get("resourceVersion", "")}
        return table(resource, [obj], meta, include=view.include, now=now, with_columns=with_columns)
    if view.kind == "PartialObjectMetadata":
        return partial(obj)
    if view.kind == "PartialObjectMetadataList":
        raise not_acceptable(
            f"you requested PartialObjectMetadataList, but the requested object is not a list ({resource.kind})"
        )
    return obj


def render_list(resource: Resource, objects: list[Object], meta: Object, view: View, *, now: datetime) -> Object:
    """Return a list in the form that was asked for."""
    if view.kind == "Table":
        return table(resource, objects, meta, include=view.include, now=now)
    if view.kind == "PartialObjectMetadataList":
        items = [partial(obj) for obj in objects]
        return {"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": meta, "items": items}
    if view.kind == "PartialObjectMetadata":
        name = f"*core.{resource.kind}List"
        raise not_acceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({name})")
    return list_object(resource, objects, meta)
