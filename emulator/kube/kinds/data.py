"""Config maps and secrets."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from emulator.kube.errors import Cause, forbidden_field, invalid, required
from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.names import DATA_KEY
from emulator.kube.objects import Object
from emulator.kube.resource import Column, Resource, selectable

KEYS_OF_TYPE = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


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
    data = secret.get("data") or {}
    missing = [key for key in KEYS_OF_TYPE.get(secret["type"], ()) if key not in data]
    return _data_causes(secret) + [required(f"data[{key}]") for key in missing]


def _secret_update_causes(new: Object, old: Object) -> list[Cause]:
    changed = new.get("type") != old.get("type")
    causes = [invalid("type", new.get("type"), "field is immutable")] if changed else []
    return causes + _immutable_causes(new, old)


SECRETS = Resource(
    kind="Secret",
    plural="secrets",
    selectable=selectable("type"),
    default=_default_secret,
    validate=_secret_causes,
    validate_update=_secret_update_causes,
    columns=(
        NAME,
        Column("Type", lambda secret, _now: secret["type"]),
        Column("Data", lambda secret, _now: _count(secret, "data")),
        AGE,
    ),
)
