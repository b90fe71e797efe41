"""What a resource is: the data from which routes, discovery, defaults, validation and tables are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from emulator.kube.errors import Cause
from emulator.kube.objects import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; those of priority 1 are shown with `-o wide`."""

    name: str
    value: Callable[[Object, datetime], Any]
    type: str = "string"
    format: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with an address of its own; kind and group where they differ from the object's."""

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """What a field selector compares: the value under `path`, or `default` where there is none."""

    path: tuple[str, ...]
    default: str = ""


def selectable(*names: str) -> dict[str, Field]:
    """Return fields that lie where their name says and are empty when absent."""
    return {name: Field(tuple(name.split("."))) for name in names}


PROXY_VERBS = ("create", "delete", "get", "patch", "update")
STATUS = Subresource("status", ("get", "patch", "update"))


def nothing(obj: Object) -> None:
    """Change nothing."""


def nothing_to_allocate(store: Any, obj: Object) -> None:
    """Give out nothing."""


def no_causes(obj: Object) -> Sequence[Cause]:
    """Find nothing wrong."""
    return ()


def no_update_causes(new: Object, old: Object) -> Sequence[Cause]:
    """Find nothing wrong with a change."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object, and all that is particular to it.

    `begin` makes a body into a new object (what a client may not set), `default` fills in what it left out (on every
    write), both in place; `allocate` gives it what only one object may have (ports), when it is otherwise right.
    `selectable` holds the fields of field selectors beside name and namespace. The kind is the name of its type in
    `schema/`. `registry_path` is where a real server keeps such objects, which some messages tell. With
    `has_generation`, metadata.generation counts the specs that an object has had.
    """

    kind: str
    plural: str
    columns: tuple[Column, ...]
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[Subresource, ...] = ()
    selectable: dict[str, Field] = field(default_factory=dict)
    begin: Callable[[Object], None] = nothing
    default: Callable[[Object], None] = nothing
    validate: Callable[[Object], Sequence[Cause]] = no_causes
    validate_update: Callable[[Object, Object], Sequence[Cause]] = no_update_causes
    allocate: Callable[[Any, Object], None] = nothing_to_allocate
    name_rule: str = "subdomain"
    kept_at: str = ""
    created_by_put: bool = False
    stored: bool = True
    has_generation: bool = False
    answers_deleted_object: bool = False
    propagation: str = "Background"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def id(self) -> str:
        """The name of the resource in the store: `pods`, `jobs.batch`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def registry_path(self) -> str:
        return self.kept_at or self.plural

    @property
    def has_status(self) -> bool:
        return STATUS in self.subresources
