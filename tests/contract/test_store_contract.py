"""What every Store promises."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from functions.adapters.stores.firestore import FirestoreStore
from functions.adapters.stores.sqlite import SQLiteStore
from functions.core.ports import EXPIRES_ON, INDEXED_FIELDS, MOST_RECORD_BYTES, Store
from tests.fakes.java_emulators import FIRESTORE, needed
from tests.fakes.store import FakeStore


@pytest.fixture(params=["fake", "sqlite", pytest.param("firestore", marks=needed(FIRESTORE))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "fake":
        yield FakeStore()
    elif request.param == "sqlite":
        with closing(SQLiteStore(tmp_path / "state" / "store.db")) as sqlite:
            yield sqlite
    else:
        # A project is empty until somebody writes to it.
        project, endpoint = f"test-{secrets.token_hex(4)}", request.getfixturevalue("firestore")
        with closing(FirestoreStore(project=project, endpoint=endpoint)) as firestore:
            yield firestore


def test_a_created_record_is_there_with_its_data(store: Store) -> None:
    created = store.create_if_absent("launch", "a", {"image": "x:1", "events": [1, {"deep": None}], "n": 1.5})
    assert created is not None
    assert created.data == {"image": "x:1", "events": [1, {"deep": None}], "n": 1.5}
    assert store.get("launch", "a") == created


def test_a_record_is_created_once(store: Store) -> None:
    store.create_if_absent("launch", "a", {"n": 1})
    assert store.create_if_absent("launch", "a", {"n": 2}) is None
    found = store.get("launch", "a")
    assert found is not None
    assert found.data == {"n": 1}


def test_the_same_key_of_another_kind_is_another_record(store: Store) -> None:
    assert store.create_if_absent("launch", "a", {"n": 1})
    assert store.create_if_absent("build", "a", {"n": 2})
    store.delete("launch", "a")
    assert store.get("launch", "a") is None
    assert store.get("build", "a") is not None


def test_an_absent_record_is_none(store: Store) -> None:
    assert store.get("launch", "a") is None


def test_a_record_is_replaced_by_who_knows_its_version(store: Store) -> None:
    first = store.create_if_absent("launch", "a", {"n": 1, "old": True})
    assert first is not None
    second = store.compare_and_set("launch", "a", first.version, {"n": 2})
    assert second is not None
    assert second.version != first.version
    assert store.get("launch", "a") == second
    assert second.data == {"n": 2}


def test_an_outdated_version_replaces_nothing(store: Store) -> None:
    first = store.create_if_absent("launch", "a", {"n": 1})
    assert first is not None
    second = store.compare_and_set("launch", "a", first.version, {"n": 2})
    assert store.compare_and_set("launch", "a", first.version, {"n": 3}) is None
    assert store.get("launch", "a") == second


def test_a_write_of_equal_data_is_a_new_version_too(store: Store) -> None:
    first = store.create_if_absent("launch", "a", {"n": 1})
    assert first is not None
    second = store.compare_and_set("launch", "a", first.version, {"n": 1})
    assert second is not None
    assert second.version != first.version


def test_a_record_made_again_does_not_have_an_old_version(store: Store) -> None:
    first = store.create_if_absent("launch", "a", {"n": 1})
    assert first is not None
    store.delete("launch", "a")
    store.create_if_absent("launch", "a", {"n": 2})
    assert store.compare_and_set("launch", "a", first.version, {"n": 3}) is None


def test_a_deleted_record_is_not_replaced(store: Store) -> None:
    first = store.create_if_absent("launch", "a", {"n": 1})
    assert first is not None
    store.delete("launch", "a")
    assert store.compare_and_set("launch", "a", first.version, {"n": 2}) is None
    assert store.get("launch", "a") is None


def test_an_absent_record_is_deleted_without_complaint(store: Store) -> None:
    store.delete("launch", "a")


def test_a_query_finds_the_records_of_its_kind_by_a_field(store: Store) -> None:
    store.create_if_absent("launch", "b", {"waiting_for": "x:1"})
    store.create_if_absent("launch", "a", {"waiting_for": "x:1"})
    store.create_if_absent("launch", "c", {"waiting_for": "x:2"})
    store.create_if_absent("launch", "d", {})
    store.create_if_absent("build", "e", {"waiting_for": "x:1"})
    assert [document.key for document in store.query("launch", "waiting_for", "x:1")] == ["a", "b"]


def test_a_query_sees_what_was_just_written_and_deleted(store: Store) -> None:
    first = store.create_if_absent("launch", "a", {"open": "yes"})
    store.create_if_absent("launch", "b", {"open": "yes"})
    assert first is not None
    changed = store.compare_and_set("launch", "a", first.version, {"open": "no"})
    store.delete("launch", "b")
    assert store.query("launch", "open", "yes") == []
    assert store.query("launch", "open", "no") == [changed]


def test_a_query_stops_at_its_limit(store: Store) -> None:
    for key in "abc":
        store.create_if_absent("launch", key, {"open": "yes"})
    assert len(store.query("launch", "open", "yes", limit=2)) == 2


def test_a_query_does_not_confuse_text_with_other_values(store: Store) -> None:
    for key, value in {"a": 1, "b": True, "c": None, "d": "1"}.items():
        store.create_if_absent("launch", key, {"user": value})
    assert [document.key for document in store.query("launch", "user", "1")] == ["d"]


def test_every_indexed_field_of_every_kind_can_be_queried(store: Store) -> None:
    for kind, fields in INDEXED_FIELDS.items():
        data = {field: "2026-02-28" if field == EXPIRES_ON else f"of {kind}" for field in fields}
        store.create_if_absent(kind, "a", data)
        for field in fields:
            assert [document.key for document in store.query(kind, field, data[field])] == ["a"]


def test_a_query_by_a_field_without_index_is_a_mistake(store: Store) -> None:
    with pytest.raises(ValueError, match="launch.colour"):
        store.query("launch", "colour", "red")
    with pytest.raises(ValueError, match="unheard.of"):
        store.query("unheard", "of", "x")


# What people put into links ends up in keys.
ODD_KEYS = ["k" * 1024, "a/b%2Fc", "ünï", "'; DROP TABLE record; --", "a\x00b", "%", "_", "", "A", " a", "💣"]


def test_a_key_is_any_text(store: Store) -> None:
    for number, key in enumerate(ODD_KEYS):
        assert store.create_if_absent("launch", key, {"n": number})
    for number, key in enumerate(ODD_KEYS):
        found = store.get("launch", key)
        assert found is not None
        assert (found.key, found.data["n"]) == (key, number)


def test_a_queried_value_is_any_text_without_nul(store: Store) -> None:
    values = [key for key in ODD_KEYS if "\0" not in key]
    for value in values:
        store.create_if_absent("launch", f"of {value}", {"waiting_for": value})
    for value in values:
        assert [document.data["waiting_for"] for document in store.query("launch", "waiting_for", value)] == [value]


def test_what_the_caller_changes_later_is_not_stored(store: Store) -> None:
    data = {"events": ["a"]}
    store.create_if_absent("launch", "a", data)
    data["events"].append("b")
    found = store.get("launch", "a")
    assert found is not None
    assert found.data == {"events": ["a"]}


def test_of_many_creators_one_wins(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda n: store.create_if_absent("build", f"k{n % 10}", {"n": n}), range(160)))
    assert sum(document is not None for document in won) == 10


def test_no_update_of_many_is_lost(store: Store) -> None:
    store.create_if_absent("build", "a", {"n": 0})

    def add_one(_: int) -> None:
        while True:
            seen = store.get("build", "a")
            assert seen is not None
            if store.compare_and_set("build", "a", seen.version, {"n": seen.data["n"] + 1}):
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(100)))
    found = store.get("build", "a")
    assert found is not None
    assert found.data == {"n": 100}


def test_a_query_goes_on_after_a_key(store: Store) -> None:
    for key in ("b", "d", "a", "c"):
        store.create_if_absent("build", key, {"open": "yes" if key != "c" else "no"})
    found = store.query("build", "open", "yes", limit=2)
    assert [document.key for document in found] == ["a", "b"]
    assert [document.key for document in store.query("build", "open", "yes", after="b")] == ["d"]
    assert store.query("build", "open", "yes", after="d") == []


def test_a_query_is_in_the_order_of_keys_whatever_is_in_them(store: Store) -> None:
    keys = sorted(
        ["a/b", "a.b", "a-b", "a0b", "a", "a\x00", "a\x01", "a\x02", ".", "..", "/", "__a__", "é", "💣", "\uffff"]
    )
    for key in reversed(keys):
        store.create_if_absent("launch", key, {"open": "yes"})
    assert [document.key for document in store.query("launch", "open", "yes")] == keys
    for place, key in enumerate(keys):
        assert [document.key for document in store.query("launch", "open", "yes", after=key)] == keys[place + 1 :]


def test_long_keys_and_values_that_begin_alike_are_not_confused(store: Store) -> None:
    texts = ["💣" * 1023 + end for end in "ab"]
    for text in texts:
        store.create_if_absent("launch", text, {"waiting_for": text})
    for text in texts:
        [found] = store.query("launch", "waiting_for", text)
        assert (found.key, store.get("launch", text)) == (text, found)


def test_data_is_any_json(store: Store) -> None:
    data = {
        "": [[1, [2]], {}],
        "__a__": 2**70,
        "a.b": 0.1,
        "nul": "a\x00",
        "half": "\ud800",
        "deep": [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]],
        "data": 1,
        "key": None,
    }
    store.create_if_absent("launch", "a", data)
    found = store.get("launch", "a")
    assert found is not None
    assert found.data == data


def test_a_record_is_as_large_as_all_stores_can_hold(store: Store) -> None:
    data = {"waiting_for": "w" * 2000, "user": "u" * 2000, "text": ""}
    data["text"] = "x" * (MOST_RECORD_BYTES - len(json.dumps(data, separators=(",", ":"))))
    created = store.create_if_absent("launch", "💣" * 1024, data)
    assert created is not None
    too_large = {**data, "text": data["text"] + "x"}
    with pytest.raises(ValueError, match="more than a store takes"):
        store.create_if_absent("launch", "b", too_large)
    with pytest.raises(ValueError, match="more than a store takes"):
        store.compare_and_set("launch", created.key, created.version, too_large)
    assert store.get("launch", created.key) == created
