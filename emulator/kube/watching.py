"""Watches: the changes of a resource as one watcher sees them.

A watcher holds nothing but a position in the store's log. One that is too slow falls off the end of the log, is told
410 and comes back with a fresh list; it never costs memory, nor time of the others.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

from emulator.kube import selectors
from emulator.kube.errors import expired, too_large_version
from emulator.kube.objects import Object, metadata, namespace_of
from emulator.kube.reads import ListOptions
from emulator.kube.resource import Resource
from emulator.kube.selectors import Predicate
from emulator.kube.store import Change, Forgotten, Store

LONGEST_S = 1800
BOOKMARK_EVERY_S = 60.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Bell:
    """Wakes those who wait for a change of a resource."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def ring(self, change: Change) -> None:
        """Wake everybody who waits for changes of this resource."""
        for waiter in self._waiting.pop(change.key.resource, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, resource: str, timeout_s: float) -> None:
        """Return after the next change, or after the timeout."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiting[resource]
        waiters.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=timeout_s)
        finally:
            waiters.discard(waiter)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch."""

    type: str
    object: Object


def seen(change: Change, selected: Predicate) -> Event | None:
    """Return what a change is to a watcher with a selector: entering it is ADDED, leaving it DELETED."""
    before = change.previous is not None and selected(change.previous)
    after = change.type != "DELETED" and selected(change.object)
    if after:
        return Event("MODIFIED" if before else "ADDED", change.object)
    if not before or change.previous is None:
        return None
    # The last state that the watcher could see, under the version of the change.
    last = metadata(change.previous) | {"resourceVersion": str(change.version)}
    return Event("DELETED", change.previous | {"metadata": last})


@dataclass(slots=True)
class Watch:
    """One watcher: what it selects, and how far it has come."""

    store: Store
    bell: Bell
    resource: Resource
    namespace: str
    options: ListOptions
    version: int = 0
    selected: Predicate = field(init=False)

    def __post_init__(self) -> None:
        if self.options.version > self.store.version:
            raise too_large_version(self.options.version, self.store.version)
        self.selected = selectors.parse(
            self.resource,
            label_selector=self.options.label_selector,
            field_selector=self.options.field_selector,
        )

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield events until the time is over; the last one may be an ERROR."""
        options = self.options
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + (options.timeout_s or LONGEST_S)
        for event in self._beginning():
            yield event
        bookmark_at = loop.time() + BOOKMARK_EVERY_S
        while (left_s := ends_at - loop.time()) > 0:
            try:
                changes = self.store.changes(self.resource.id, since=self.version)
            except Forgotten:
                message = f"too old resource version: {self.version} ({self.store.version})"
                yield Event("ERROR", expired(message).status())
                return
            for event in self._unread(changes):
                yield event
            if options.bookmarks and loop.time() >= bookmark_at:
                bookmark_at = loop.time() + BOOKMARK_EVERY_S
                yield self._bookmark()
                # A slow client took its time over it, and nobody waited for the bell meanwhile.
                continue
            if not changes:
                await self.bell.wait(self.resource.id, min(left_s, BOOKMARK_EVERY_S))
        if options.bookmarks:
            yield self._bookmark()

    def _beginning(self) -> Iterator[Event]:
        if self.options.version and not self.options.initial_events:
            self.version = self.options.version
            return
        self.version = self.store.version
        existing = [obj for obj in self.store.objects(self.resource.id, self.namespace) if self.selected(obj)]
        yield from (Event("ADDED", obj) for obj in existing)
        if self.options.initial_events and self.options.bookmarks:
            yield self._bookmark({"annotations": {INITIAL_EVENTS_END: "true"}})

    def _unread(self, changes: list[Change]) -> Iterator[Event]:
        for change in changes:
            self.version = change.version
            if self.namespace and namespace_of(change.object) != self.namespace:
                continue
            if event := seen(change, self.selected):
                yield event

    def _bookmark(self, more: Object | None = None) -> Event:
        # Other resources may have moved on; this one has not, so their version is as good.
        meta = {"resourceVersion": str(self.version), "creationTimestamp": None} | (more or {})
        kind = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return Event("BOOKMARK", kind | {"metadata": meta})
