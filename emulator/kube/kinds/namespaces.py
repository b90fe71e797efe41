"""Namespaces."""

from __future__ import annotations

from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.objects import Object, metadata, name_of
from emulator.kube.resource import STATUS, Column, Resource, Subresource, selectable


def _begin_namespace(namespace: Object) -> None:
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace["status"] = {"phase": "Active"}


def _default_namespace(namespace: Object) -> None:
    namespace.setdefault("status", {}).setdefault("phase", "Active")
    metadata(namespace).setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(namespace)


NAMESPACES = Resource(
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(STATUS, Subresource("finalize", ("update",))),
    selectable=selectable("status.phase"),
    begin=_begin_namespace,
    default=_default_namespace,
    name_rule="label",
    answers_deleted_object=True,
    columns=(NAME, Column("Status", lambda namespace, _now: namespace["status"]["phase"]), AGE),
)
