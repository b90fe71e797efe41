"""The store alone: versions, the log, what is forgotten."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from emulator.kube.journal import Journal, Writer
from emulator.kube.kinds import CONFIG_MAPS
from emulator.kube.objects import Object
from emulator.kube.reads import ListOptions
from emulator.kube.store import Change, Forgotten, Key, Store
from emulator.kube.watching import Bell, Watch

KEY = Key("configmaps", "default", "a")


def a_store(*, clock_us: int = 1000, log_length: int = 10) -> Store:
    return Store(clock_us=lambda: clock_us, log_length=log_length)


def an_object(**data: str) -> Object:
    return {"metadata": {"name": "a", "namespace": "default", "uid": "u"}, "data": data}


def version_of(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def test_versions_grow_even_when_the_clock_stands() -> None:
    store = a_store()
    versions = [version_of(store.put(KEY, an_object())), version_of(store.put(KEY, an_object(k="v")))]
    assert versions == [1001, 1002]
    assert version_of(store.delete(KEY)) == 1003


def test_versions_never_go_backwards_over_a_restart() -> None:
    old = a_store(clock_us=5000).put(KEY, an_object())
    store = a_store(clock_us=1000)
    store.restore([(KEY, old)], newest=9000)
    assert version_of(store.put(KEY, an_object(k="v"))) > 9000


def test_changes_are_told_from_a_version_on() -> None:
    store = a_store()
    first = version_of(store.put(KEY, an_object()))
    store.put(KEY, an_object(k="v"))
    store.delete(KEY)
    assert [change.type for change in store.changes(KEY.resource, since=first)] == ["MODIFIED", "DELETED"]


def test_the_log_forgets_and_says_so() -> None:
    store = a_store(log_length=3)
    start = store.version
    for number in range(4):
        store.put(KEY, an_object(k=str(number)))
    with pytest.raises(Forgotten):
        store.changes(KEY.resource, since=start)
    assert len(store.changes(KEY.resource, since=start + 1)) == 3


def test_the_past_can_be_listed() -> None:
    store = a_store()
    store.put(KEY, an_object(k="old"))
    then = store.version
    store.put(KEY, an_object(k="new"))
    store.put(KEY._replace(name="b"), an_object() | {"metadata": {"name": "b", "namespace": "default", "uid": "v"}})
    store.delete(KEY)
    assert [obj["data"] for obj in store.objects_at(KEY.resource, then)] == [{"k": "old"}]


def test_a_watcher_that_fell_behind_is_told_to_start_again() -> None:
    async def last_event() -> Object:
        store, bell = a_store(log_length=2), Bell()
        store.listen(bell.ring)
        watch = Watch(store, bell, CONFIG_MAPS, "", ListOptions(version=store.version, timeout_s=5))
        for number in range(5):
            store.put(KEY, an_object(k=str(number)))
        events = [event async for event in watch.events()]
        return events[-1].object

    assert asyncio.run(last_event())["code"] == 410


def test_the_journal_keeps_the_last_state_of_every_object(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "objects.sqlite")
    journal.write({KEY: an_object(k="v"), KEY._replace(name="b"): an_object()}, version=1)
    journal.write({KEY._replace(name="b"): None}, version=2)
    journal.close()
    reopened = Journal(tmp_path / "objects.sqlite")
    assert reopened.load() == [(KEY, an_object(k="v"))]
    assert reopened.newest_version() == 2
    reopened.close()


def test_what_was_noted_is_written_when_the_server_stops(tmp_path: Path) -> None:
    async def write() -> None:
        writer = Writer(Journal(tmp_path / "objects.sqlite"), delay_s=60)
        writer.note(Change("ADDED", KEY, 1, an_object(k="v"), None))
        writer.close()

    asyncio.run(write())
    journal = Journal(tmp_path / "objects.sqlite")
    assert json.dumps(journal.load()[0][1]) == json.dumps(an_object(k="v"))
    journal.close()
