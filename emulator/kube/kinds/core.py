"""The small kinds of the core group, and leases."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime

from emulator.kube.ages import age, since
from emulator.kube.errors import Cause, forbidden_field, invalid
from emulator.kube.names import DATA_KEY
from emulator.kube.objects import Object, dig, metadata, name_of
from emulator.kube.resource import STATUS, Column, Field, Resource, Subresource, selectable
from emulator.kube.shapes import METADATA, QUANTITY, MapOf

NAME = Column("Name", lambda obj, _now: name_of(obj), format="name")
AGE = Column("Age", age)


def _data_causes(obj: Object) -> list[Cause]:
    keys = [*(obj.get("data") or {}), *(obj.get("binaryData") or {})]
    return [invalid(f"data[{key}]", key, text) for key in keys for text in DATA_KEY.problems(key)]


def _immutable_causes(new: Object, old: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    changed: Iterable[str] = (
        field for field in ("immutable", "data", "binaryData") if new.get(field) != old.get(field)
    )
    return [forbidden_field(field, "field is immutable when `immutable` is set") for field in changed]


def _count(obj: Object, *fields: str) -> int:
    return sum(len(obj.get(field) or {}) for field in fields)


CONFIG_MAPS = Resource(
    kind="ConfigMap",
    plural="configmaps",
    short_names=("cm",),
    shape={"metadata": METADATA, "data": MapOf(str), "binaryData": MapOf(str), "immutable": bool},
    validate=_data_causes,
    validate_update=_immutable_causes,
    columns=(NAME, Column("Data", lambda obj, _now: _count(obj, "data", "binaryData")), AGE),
)


def _begin_secret(secret: Object) -> None:
    data = secret.setdefault("data", {})
    # stringData is for writing only.
    for key, text in (secret.pop("stringData", None) or {}).items():
        data[key] = base64.b64encode(text.encode()).decode()
    if not data:
        del secret["data"]


def _default_secret(secret: Object) -> None:
    _begin_secret(secret)
    secret.setdefault("type", "Opaque")


def _secret_causes(secret: Object) -> list[Cause]:
    return _data_causes(secret) + [
        invalid(f"data[{key}]", "<redacted>", "illegal base64 data")
        for key, value in (secret.get("data") or {}).items()
        if not _is_base64(value)
    ]


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


SECRETS = Resource(
    kind="Secret",
    plural="secrets",
    selectable=selectable("type"),
    shape={"metadata": METADATA, "data": MapOf(str), "stringData": MapOf(str), "type": str, "immutable": bool},
    default=_default_secret,
    validate=_secret_causes,
    validate_update=_immutable_causes,
    columns=(
        NAME,
        Column("Type", lambda secret, _now: secret["type"]),
        Column("Data", lambda secret, _now: _count(secret, "data")),
        AGE,
    ),
)

SERVICE_ACCOUNTS = Resource(
    kind="ServiceAccount",
    plural="serviceaccounts",
    short_names=("sa",),
    shape={"metadata": METADATA, "secrets": [{"name": str}], "imagePullSecrets": [{"name": str}]},
    answers_deleted_object=True,
    columns=(NAME, Column("Secrets", lambda account, _now: len(account.get("secrets") or [])), AGE),
)


def _default_endpoints(endpoints: Object) -> None:
    for subset in endpoints.get("subsets") or []:
        for port in subset.get("ports") or []:
            port.setdefault("protocol", "TCP")


def _listed_addresses(endpoints: Object, _now: datetime) -> str:
    found = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in endpoints.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return ",".join(found[:3]) + more or "<none>"


ENDPOINTS = Resource(
    kind="Endpoints",
    plural="endpoints",
    short_names=("ep",),
    shape={"metadata": METADATA, "subsets": [{"addresses": [{"ip": str}], "ports": [{"port": int}]}]},
    default=_default_endpoints,
    created_by_put=True,
    columns=(NAME, Column("Endpoints", _listed_addresses), AGE),
)


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
    shape={
        "metadata": METADATA,
        "involvedObject": {"kind": str, "namespace": str, "name": str, "uid": str},
        "reason": str,
        "message": str,
        "type": str,
        "source": {"component": str, "host": str},
        "count": int,
    },
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


def _begin_namespace(namespace: Object) -> None:
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace["status"] = {"phase": "Active"}


def _default_namespace(namespace: Object) -> None:
    metadata(namespace).setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(namespace)


NAMESPACES = Resource(
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(STATUS, Subresource("finalize", ("update",))),
    selectable=selectable("status.phase"),
    shape={"metadata": METADATA, "spec": {"finalizers": [str]}, "status": {"phase": str}},
    begin=_begin_namespace,
    default=_default_namespace,
    name_rule="label",
    answers_deleted_object=True,
    columns=(NAME, Column("Status", lambda namespace, _now: namespace["status"]["phase"]), AGE),
)


def _begin_claim(claim: Object) -> None:
    claim["status"] = {"phase": "Pending"}


def _default_claim(claim: Object) -> None:
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _claim_modes(claim: Object, _now: datetime) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in dig(claim, "status", "accessModes") or [])


PERSISTENT_VOLUME_CLAIMS = Resource(
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    subresources=(STATUS,),
    shape={
        "metadata": METADATA,
        "spec": {"accessModes": [str], "storageClassName": str, "resources": {"requests": MapOf(QUANTITY)}},
        "status": {"phase": str},
    },
    begin=_begin_claim,
    default=_default_claim,
    answers_deleted_object=True,
    columns=(
        NAME,
        Column("Status", lambda claim, _now: claim["status"]["phase"]),
        Column("Volume", lambda claim, _now: dig(claim, "spec", "volumeName") or ""),
        Column("Capacity", lambda claim, _now: dig(claim, "status", "capacity", "storage") or ""),
        Column("Access Modes", _claim_modes),
        Column("StorageClass", lambda claim, _now: dig(claim, "spec", "storageClassName") or ""),
        AGE,
    ),
)

LEASES = Resource(
    kind="Lease",
    plural="leases",
    group="coordination.k8s.io",
    shape={"metadata": METADATA, "spec": {"holderIdentity": str, "renewTime": str, "leaseDurationSeconds": int}},
    created_by_put=True,
    columns=(NAME, Column("Holder", lambda lease, _now: dig(lease, "spec", "holderIdentity") or ""), AGE),
)
