"""The rules for metadata, which are those of every kind."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.kube.errors import Cause, forbidden_field, invalid, required
from emulator.kube.names import NAME_RULES, annotation_causes, label_causes
from emulator.kube.objects import Object, is_deleting, metadata
from emulator.kube.resource import Resource

# The finalizers that need no domain.
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def metadata_causes(resource: Resource, obj: Object) -> Iterator[Cause]:
    """Yield what is wrong with the metadata of a new object."""
    name = metadata(obj).get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (invalid("metadata.name", name, text) for text in NAME_RULES[resource.name_rule].problems(name))
    yield from _free_metadata_causes(obj)


def changed_metadata_causes(new: Object, old: Object) -> Iterator[Cause]:
    """Yield what is wrong with the metadata of a change."""
    yield from _free_metadata_causes(new)
    yield from added_finalizer_causes(new, old)


def _free_metadata_causes(obj: Object) -> Iterator[Cause]:
    meta = metadata(obj)
    yield from label_causes(meta.get("labels") or {}, "metadata.labels")
    yield from annotation_causes(meta.get("annotations") or {}, "metadata.annotations")
    yield from _owner_causes(meta.get("ownerReferences") or [])
    for index, finalizer in enumerate(meta.get("finalizers") or []):
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid(f"metadata.finalizers[{index}]", finalizer, why)


def _owner_causes(owners: list[Object]) -> Iterator[Cause]:
    field = "metadata.ownerReferences"
    for owner in owners:
        for part in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(part):
                yield invalid(f"{field}.{part}", "", f"{part} must not be empty")
    controllers = [str(owner.get("name")) for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        both = " and ".join(controllers)
        why = f'Only one reference can have Controller set to true. Found "true" in references for {both}'
        yield invalid(field, owners, why)


def added_finalizer_causes(new: Object, old: Object) -> Iterator[Cause]:
    """Yield the cause when an object that is being deleted shall be held by something new."""
    added = set(metadata(new).get("finalizers") or []) - set(metadata(old).get("finalizers") or [])
    if is_deleting(old) and added:
        listed = ", ".join(f'"{name}"' for name in sorted(added))
        why = "no new finalizers can be added if the object is being deleted, found new finalizers "
        yield forbidden_field("metadata.finalizers", f"{why}[]string{{{listed}}}")
