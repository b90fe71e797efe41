"""Creating and changing objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.kube.admission import admit
from emulator.kube.cluster import Cluster
from emulator.kube.deletion import is_released
from emulator.kube.errors import (
    Cause,
    Undecodable,
    already_exists,
    bad_request,
    conflict,
    invalid_object,
    server_error,
)
from emulator.kube.escalation import confirm_no_escalation
from emulator.kube.managed_fields import Manager, after_update
from emulator.kube.metadata_rules import changed_metadata_causes, metadata_causes
from emulator.kube.objects import Object, clone, is_deleting, metadata, name_of, timestamp
from emulator.kube.options import WriteOptions
from emulator.kube.rbac import Attributes, require
from emulator.kube.resource import Resource
from emulator.kube.schema.decoding import Decoder, WrongForm
from emulator.kube.store import Key

# What only the server sets: a new object has none of it, a changed one keeps its own.
OWN_METADATA = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "generateName",
)
LONGEST_BASE = 63 - 5


DEFAULTS = WriteOptions()


def decode(resource: Resource, body: Any, options: WriteOptions = DEFAULTS) -> Object:
    """Make a request's body an object of this resource. Raises Undecodable; fields it does not have are dropped."""
    if not isinstance(body, dict):
        what = f"the object provided is unrecognized (must be of type {resource.kind})"
        raise Undecodable(what, "couldn't get version/kind; json parse error: expects an object")
    for field, expected in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        # Some clients leave both out: the path says what is meant.
        if body.get(field) not in (None, "", expected):
            given = f'{body.get("kind", "")} in version "{body.get("apiVersion", "")}"'
            raise Undecodable(f"{given} cannot be handled as a {resource.kind}")
    decoder = Decoder()
    what = f'{resource.kind} in version "{resource.api_version}" cannot be handled as a {resource.kind}'
    try:
        obj = decoder.struct(resource.kind, body)
    except WrongForm as error:
        raise Undecodable(what, str(error)) from error
    unknown = [f'unknown field "{path}"' for path in decoder.unknown]
    if unknown and options.field_validation == "Strict":
        raise Undecodable(what, f"strict decoding error: {', '.join(unknown)}")
    if options.field_validation == "Warn":
        options.warnings.extend(unknown)
    # In this order, as Kubernetes writes it.
    rest = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion", "metadata")}
    meta = obj.get("metadata", {"creationTimestamp": None})
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta} | rest


def create(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    body: Any,
    options: WriteOptions = DEFAULTS,
    *,
    applying: bool = False,
) -> Object:
    """Create an object and return it as it is stored. *applying* says that its managedFields are made already."""
    obj = decode(resource, body, options)
    _place(obj, resource, namespace)
    if metadata(obj).pop("resourceVersion", "") not in ("", "0"):
        raise server_error("resourceVersion should not be set on objects to be created")
    asked_name = metadata(obj).get("name") or metadata(obj).get("generateName", "")
    _name(cluster, resource, obj)
    for field in OWN_METADATA[:-1]:
        if not (applying and field == "managedFields"):
            metadata(obj).pop(field, None)
    metadata(obj)["uid"] = cluster.new_uid()
    metadata(obj)["creationTimestamp"] = timestamp(cluster.now())
    resource.begin(obj)
    resource.default(obj)
    if resource.has_generation:
        metadata(obj)["generation"] = 1
    # A namespace that is not there is a 404 even for an object that is wrong.
    admit(cluster, resource, obj, asked_name)
    _refuse(resource, obj, [*metadata_causes(resource, obj), *resource.validate(obj)])
    if options.user:
        confirm_no_escalation(cluster, resource, namespace, obj, None, options.user)
    key = Key(resource.id, namespace, name_of(obj))
    if existing := cluster.store.get(key):
        raise already_exists(resource, key.name, being_deleted=is_deleting(existing))
    resource.allocate(cluster.store, obj)
    return obj if options.dry_run else cluster.store.put(key, obj)


def _place(obj: Object, resource: Resource, namespace: str) -> None:
    meta = obj["metadata"]
    # Of an object of the whole cluster it says nothing.
    if resource.namespaced and meta.get("namespace", "") not in ("", namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    meta.pop("namespace", None)
    name = {"name": meta.pop("name")} if "name" in meta else {}
    # Names first: people read objects from the top.
    obj["metadata"] = name | ({"namespace": namespace} if resource.namespaced else {}) | meta


def _name(cluster: Cluster, resource: Resource, obj: Object) -> None:
    base = metadata(obj).get("generateName")
    if metadata(obj).get("name") or not base:
        return
    namespace = metadata(obj).get("namespace", "")
    for _ in range(8):
        name = base[:LONGEST_BASE] + cluster.new_suffix()
        if cluster.store.get(Key(resource.id, namespace, name)) is None:
            break
    obj["metadata"] = {"name": name} | metadata(obj)


def replace(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    body: Any,
    options: WriteOptions = DEFAULTS,
    *,
    part: str = "",
    applying: bool = False,
) -> tuple[Object, bool]:
    """Put an object in the place of the one with this name; also tell whether it was created."""
    new = decode(resource, body, options)
    if new["metadata"].get("name", name) != name:
        given = new["metadata"]["name"]
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    given = new["metadata"].pop("namespace", "")
    if resource.namespaced and given not in ("", namespace):
        why = f"the namespace of the object ({given}) does not match the namespace on the request ({namespace})"
        raise bad_request(why)
    key = Key(resource.id, namespace, name)
    if resource.created_by_put and not part and cluster.store.get(key) is None:
        require_creation(cluster, resource, namespace, name, options)
        new["metadata"] |= {"name": name}
        new["metadata"].pop("resourceVersion", None)
        return create(cluster, resource, namespace, new, options), True
    old = cluster.existing(resource, namespace, name)
    return _change(cluster, resource, key, old, new, options, part=part, applying=applying), False


def require_creation(cluster: Cluster, resource: Resource, namespace: str, name: str, options: WriteOptions) -> None:
    """Raise the 403 for who may change objects, but not create them, when a change would create one."""
    if options.user:
        wanted = Attributes("create", resource.group, resource.plural, "", namespace, name)
        require(cluster.store, options.user, wanted)


def modify(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    change: Callable[[Object], None],
    options: WriteOptions = DEFAULTS,
    *,
    part: str = "",
) -> Object:
    """Change an object by a function that gets a copy of it. For controllers and patches."""
    old = cluster.existing(resource, namespace, name)
    new = clone(old)
    change(new)
    return replace(cluster, resource, namespace, name, new, options, part=part)[0]


def _change(
    cluster: Cluster,
    resource: Resource,
    key: Key,
    old: Object,
    new: Object,
    options: WriteOptions,
    *,
    part: str,
    applying: bool,
) -> Object:
    _check_precondition(resource, key, old, new)
    entries = metadata(new).get("managedFields")
    new = _merged(resource, old, new, part)
    if applying and entries:
        new["metadata"]["managedFields"] = entries
    resource.default(new)
    if resource.has_generation:
        metadata(new)["generation"] = metadata(old).get("generation", 1) + (new.get("spec") != old.get("spec"))
    if not part:
        _check_change(cluster, resource, key, old, new, options)
        resource.allocate(cluster.store, new)
    if _same(new, old):
        # Nothing changed: no new version, and no event for watchers.
        return old
    if not applying:
        _note_manager(cluster, old, new, options, part)
    if options.dry_run:
        return new
    if is_released(resource, new):
        # Nothing holds it any more: it goes with this change, which watchers see as its end.
        version = metadata(cluster.store.delete(key))["resourceVersion"]
        return new | {"metadata": metadata(new) | {"resourceVersion": version}}
    return cluster.store.put(key, new)


def _check_change(
    cluster: Cluster, resource: Resource, key: Key, old: Object, new: Object, options: WriteOptions
) -> None:
    # Kubernetes looks at the metadata of a change twice, and lists what it finds twice.
    causes = [*changed_metadata_causes(new, old)] * 2
    _refuse(resource, new, [*causes, *resource.validate(new), *resource.validate_update(new, old)])
    if options.user:
        confirm_no_escalation(cluster, resource, key.namespace, new, old, options.user)


def _same(new: Object, old: Object) -> bool:
    """Tell whether two objects differ in nothing but the time of who manages what."""
    if new == old:
        return True
    entries = (metadata(each).get("managedFields") or [] for each in (new, old))
    plain = ([{key: value for key, value in entry.items() if key != "time"} for entry in each] for each in entries)
    before, after = ({**each, "metadata": {**metadata(each), "managedFields": None}} for each in (old, new))
    return before == after and next(plain) == next(plain)


def _note_manager(cluster: Cluster, old: Object, new: Object, options: WriteOptions, part: str) -> None:
    """Write down who manages the fields of an object. Controllers, who give no name, manage nothing."""
    if not options.field_manager or "managedFields" not in metadata(old):
        return
    manager = Manager(options.field_manager, "Update", timestamp(cluster.now()), part)
    new["metadata"].pop("managedFields", None)
    if entries := after_update(old, new, manager):
        new["metadata"]["managedFields"] = entries


def _check_precondition(resource: Resource, key: Key, old: Object, new: Object) -> None:
    wanted = metadata(new).get("resourceVersion", "")
    if wanted and not (wanted.isascii() and wanted.isdigit()):
        raise server_error(f'strconv.ParseUint: parsing "{wanted}": invalid syntax')
    if wanted not in ("", "0", metadata(old)["resourceVersion"]):
        raise conflict(resource, name_of(old))
    uid, own = metadata(new).get("uid", ""), metadata(old)["uid"]
    if uid not in ("", own):
        place = "/".join(step for step in (resource.registry_path, key.namespace, key.name) if step)
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {own}"
        storage = f"Key: /registry/{place}, ResourceVersion: 0, AdditionalErrorMsg: {why}"
        raise conflict(resource, name_of(old), f"StorageError: invalid object, Code: 4, {storage}")


def _merged(resource: Resource, old: Object, new: Object, part: str) -> Object:
    """Return what a write to the object, or to its status, makes of the two."""
    kept = {name: metadata(old)[name] for name in OWN_METADATA if name in metadata(old)}
    given = {name: value for name, value in metadata(new).items() if name not in OWN_METADATA and value not in ({}, [])}
    if part:
        # Through a subresource nobody takes over an object or lets it go.
        given = {name: given[name] for name in ("labels", "annotations") if name in given}
        kept |= {name: metadata(old)[name] for name in ("finalizers", "ownerReferences") if name in metadata(old)}
    place = {name: metadata(old)[name] for name in ("name", "namespace") if name in metadata(old)}
    meta = place | kept | given | {"resourceVersion": metadata(old)["resourceVersion"]}
    if part == "status":
        new = clone(old) | {"status": new.get("status", {})}
        return new | {"metadata": meta}
    # Other subresources (a binding) are written by this server only, status included.
    if not part and resource.has_status and "status" in old:
        return new | {"metadata": meta, "status": clone(old["status"])}
    return new | {"metadata": meta}


def _refuse(resource: Resource, obj: Object, causes: list[Cause]) -> None:
    if causes:
        raise invalid_object(resource, name_of(obj), causes)
