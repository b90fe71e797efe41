"""What every function over the cluster needs: the store, and where time and chance come from."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from emulator.kube.errors import not_found
from emulator.kube.objects import Object
from emulator.kube.resource import Resource
from emulator.kube.store import Key, Store

# The letters of generated names: no vowels (no words), nothing that looks like another (apimachinery's util/rand).
SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def random_suffix() -> str:
    """Return the five letters at the end of a generated name."""
    return "".join(secrets.choice(SUFFIX_LETTERS) for _ in range(5))


@dataclass(frozen=True, slots=True)
class Cluster:
    """The store with a clock and a source of names."""

    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_uid: Callable[[], str] = lambda: str(uuid.uuid4())
    new_suffix: Callable[[], str] = random_suffix

    def existing(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object, or raise the 404 for it."""
        obj = self.store.get(Key(resource.id, namespace, name))
        if obj is None:
            raise not_found(resource, name)
        return obj
