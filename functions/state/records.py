"""Builds, launches, how they ended, and pushes in the store, as typed values with read-change-write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from functions.core.build import Build
from functions.core.errors import UpstreamError
from functions.core.launch import Launch, Phase
from functions.core.metrics import Counted, Outcome, Timed, Times, Totals
from functions.core.ports import BuildStatus, ResolvedRepo, Store
from functions.core.prebuild import Prebuild, Spent
from functions.core.rounds import Deed, RoundState
from functions.core.webhooks import Push

Record = TypeVar("Record")
_MOST_CONFLICTS = 20
TOTALS_KEY = "metrics"
ROUND_KEY = "round"


class Records(Generic[Record]):
    """All records of one kind."""

    def __init__(
        self,
        store: Store,
        kind: str,
        *,
        key: Callable[[Record], str],
        write: Callable[[Record], dict[str, Any]],
        read: Callable[[Mapping[str, Any]], Record],
    ) -> None:
        self._store, self._kind, self._key, self._write, self._read = store, kind, key, write, read

    def create_if_absent(self, record: Record) -> bool:
        """Create the record; False when its key is taken."""
        return self._store.create_if_absent(self._kind, self._key(record), self._write(record)) is not None

    def get(self, key: str) -> Record | None:
        document = self._store.get(self._kind, key)
        return None if document is None else self._read(document.data)

    def change(self, key: str, change: Callable[[Record], Record | None]) -> Record | None:
        """Apply *change* to the newest version of a record, again when another write comes between.

        None when there is no such record or *change* declined by returning None.
        """
        for _ in range(_MOST_CONFLICTS):
            document = self._store.get(self._kind, key)
            changed = None if document is None else change(self._read(document.data))
            if document is None or changed is None:
                return None
            if self._store.compare_and_set(self._kind, key, document.version, self._write(changed)) is not None:
                return changed
        raise UpstreamError("The store", f"has too many writers for one {self._kind}.")

    def where(self, field: str, value: str, *, limit: int = 1000, after: str = "") -> Sequence[Record]:
        """Records whose *field* is *value*, in the order of their keys, beginning after the key *after*."""
        found = self._store.query(self._kind, field, value, limit=limit, after=after)
        return [self._read(document.data) for document in found]

    def key(self, record: Record) -> str:
        """Under which key the record is."""
        return self._key(record)

    def delete(self, key: str) -> None:
        self._store.delete(self._kind, key)


def builds(store: Store, *, image_until: Callable[[Build], str] = lambda _: "") -> Records[Build]:
    """All builds, by image; *image_until* says until which day an image is kept, empty: for ever."""
    return Records(
        store,
        "build",
        key=lambda build: build.image,
        write=lambda it: {**dataclasses.asdict(it), "open": _yes(it.open), "image_until": image_until(it)},
        read=_read_build,
    )


def launches(store: Store) -> Records[Launch]:
    """All launches, by id."""
    return Records(store, "launch", key=lambda launch: launch.id, write=_launch_data, read=_read_launch)


def outcomes(store: Store) -> Records[Outcome]:
    """How launches and builds ended, as far as the totals do not hold it yet."""
    return Records(
        store,
        "outcome",
        key=lambda outcome: outcome.key,
        write=dataclasses.asdict,
        read=lambda data: Outcome(**_known(Outcome, data)),
    )


def prebuilds(store: Store, *, expires_on: Callable[[float], str]) -> Records[Prebuild]:
    """What was pushed, by branch; *expires_on* says when a record of that time may be forgotten."""
    return Records(
        store,
        "prebuild",
        key=lambda prebuild: prebuild.key,
        write=lambda it: {**dataclasses.asdict(it), "due": _yes(it.due), "expires_on": expires_on(it.pushed_at)},
        read=_read_prebuild,
    )


def spent(store: Store, *, expires_on: str) -> Records[Spent]:
    """The builds that pushes have begun, by repository and day; written records may be forgotten after *expires_on*."""
    return Records(
        store,
        "prebuild_day",
        key=lambda it: it.key,
        write=lambda it: {**dataclasses.asdict(it), "expires_on": expires_on},
        read=lambda data: Spent(**_known(Spent, data)),
    )


def rounds(store: Store) -> Records[RoundState]:
    """The one record that rounds of the cull hand on."""
    return Records(store, "cull", key=lambda _: ROUND_KEY, write=_round_data, read=_read_round)


def totals(store: Store) -> Records[Totals]:
    """The one record of the totals."""
    return Records(store, "totals", key=lambda _: TOTALS_KEY, write=_totals_data, read=_read_totals)


def _read_build(data: Mapping[str, Any]) -> Build:
    return Build(**_known(Build, data, status=BuildStatus(data["status"])))


def _read_prebuild(data: Mapping[str, Any]) -> Prebuild:
    push = Push(**_known(Push, data["push"]))
    return Prebuild(**_known(Prebuild, data, push=push, due=data["due"] == _yes(True)))


def _launch_data(launch: Launch) -> dict[str, Any]:
    return {
        **dataclasses.asdict(launch),
        "open": _yes(launch.open),
        "running": _yes(launch.running),
        "uncollected": _yes(launch.running and not launch.collected_at),
        "waiting_for": launch.image if launch.phase is Phase.WAITING else "",
    }


def _read_launch(data: Mapping[str, Any]) -> Launch:
    repo = ResolvedRepo(**_known(ResolvedRepo, data["repo"]))
    return Launch(**_known(Launch, data, phase=Phase(data["phase"]), repo=repo))


def _totals_data(totals: Totals) -> dict[str, Any]:
    return {
        "counts": [series._asdict() | {"count": count} for series, count in totals.counts.items()],
        "times": [series._asdict() | dataclasses.asdict(times) for series, times in totals.times.items()],
        "folded": list(totals.folded),
    }


def _read_totals(data: Mapping[str, Any]) -> Totals:
    return Totals(
        counts={Counted(*map(row.get, Counted._fields)): row["count"] for row in data["counts"]},
        times={
            Timed(*map(row.get, Timed._fields)): Times(row["milliseconds"], tuple(row["buckets"]))
            for row in data["times"]
        },
        folded=tuple(data["folded"]),
    )


def _round_data(state: RoundState) -> dict[str, Any]:
    deeds = [deed._asdict() | {"count": count} for deed, count in state.deeds.items()]
    return {"cursors": dict(state.cursors), "deeds": deeds}


def _read_round(data: Mapping[str, Any]) -> RoundState:
    deeds = {Deed(*map(row.get, Deed._fields)): row["count"] for row in data["deeds"]}
    return RoundState(cursors=data["cursors"], deeds=deeds)


def _known(kind: type[Any], data: Mapping[str, Any], **converted: Any) -> dict[str, Any]:
    # A record written by a newer revision may hold fields that this one does not know.
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in data.items() if name in names} | converted


def _yes(value: bool) -> str:
    return "yes" if value else "no"
