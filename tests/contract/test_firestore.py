"""What only Firestore can do wrong: answers that are lost, errors that pass, documents that others must understand."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, TransportError

from functions.adapters.http import Retry
from functions.adapters.stores import firestore as adapter
from functions.adapters.stores.firestore import FirestoreStore
from functions.adapters.stores.firestore_documents import Version, declared, document_id
from functions.core.errors import RateLimited, UpstreamError, UpstreamTimeout
from functions.core.metrics import LONGEST_REPO, MOST_SERIES, Counted, Timed, Times, Totals
from functions.reporting.outcomes import MOST_AT_ONCE
from functions.state import records
from tests.fakes.firestore_line import LOST, Line
from tests.fakes.java_emulators import FIRESTORE, needed
from tests.fakes.store import FakeStore

ROOT = Path(__file__).parents[2]


def a_store(client: Any, **options: Any) -> FirestoreStore:
    return FirestoreStore(**{"project": "test", "client": lambda _: client, "sleep": lambda _: None, **options})


class Bench:
    """A store behind a bad line, and the same one behind a good one."""

    def __init__(self, endpoint: str) -> None:
        project = f"test-{secrets.token_hex(4)}"
        self.good = FirestoreStore(project=project, endpoint=endpoint)
        self.client = adapter._client(endpoint)
        self.line = Line(self.client)
        self.bad = a_store(self.line, project=project, endpoint=endpoint, retry=Retry(attempts=5))

    def close(self) -> None:
        self.good.close()
        self.client.transport.close()


@pytest.fixture
def bench(firestore: str) -> Iterator[Bench]:
    bench = Bench(firestore)
    yield bench
    bench.close()


@needed(FIRESTORE)
def test_a_creation_whose_answer_was_lost_is_ours(bench: Bench) -> None:
    bench.line.after = [LOST]
    created = bench.bad.create_if_absent("build", "a", {"n": 1})
    assert created is not None
    assert bench.good.get("build", "a") == created


@needed(FIRESTORE)
def test_a_creation_that_did_not_arrive_is_lost_to_whoever_was_faster(bench: Bench) -> None:
    bench.line.before = [LOST]
    bench.line.meanwhile = lambda: bench.good.create_if_absent("build", "a", {"n": 2})
    assert bench.bad.create_if_absent("build", "a", {"n": 1}) is None
    found = bench.good.get("build", "a")
    assert found is not None and found.data == {"n": 2}


@needed(FIRESTORE)
def test_a_change_whose_answer_was_lost_is_ours(bench: Bench) -> None:
    first = bench.good.create_if_absent("build", "a", {"n": 1})
    assert first is not None
    bench.line.after = [LOST, LOST]
    changed = bench.bad.compare_and_set("build", "a", first.version, {"n": 2})
    assert changed is not None
    assert bench.good.get("build", "a") == changed


@needed(FIRESTORE)
@pytest.mark.parametrize("others", [1, 3])
def test_a_change_is_ours_although_others_have_written_since(bench: Bench, others: int) -> None:
    def add(n: int) -> Callable[[], object]:
        def write() -> object:
            seen = bench.good.get("build", "a")
            assert seen is not None
            return bench.good.compare_and_set("build", "a", seen.version, {"n": seen.data["n"] + n})

        return write

    first = bench.good.create_if_absent("build", "a", {"n": 1})
    assert first is not None
    bench.line.after = [LOST]
    bench.line.meanwhile = lambda: [add(10)() for _ in range(others)]
    changed = bench.bad.compare_and_set("build", "a", first.version, {"n": 2})
    assert changed is not None and changed.data == {"n": 2}
    # What it says is outdated already, so nobody's write is undone.
    assert bench.good.compare_and_set("build", "a", changed.version, {"n": 0}) is None
    found = bench.good.get("build", "a")
    assert found is not None and found.data == {"n": 2 + 10 * others}


@needed(FIRESTORE)
def test_a_creation_is_ours_although_another_has_written_since(bench: Bench) -> None:
    def overwrite() -> None:
        seen = bench.good.get("build", "a")
        assert seen is not None
        bench.good.compare_and_set("build", "a", seen.version, {"n": 2})

    bench.line.after, bench.line.meanwhile = [LOST], overwrite
    created = bench.bad.create_if_absent("build", "a", {"n": 1})
    assert created is not None
    assert bench.good.compare_and_set("build", "a", created.version, {"n": 0}) is None


@needed(FIRESTORE)
def test_a_change_that_did_not_arrive_is_lost_to_whoever_was_faster(bench: Bench) -> None:
    first = bench.good.create_if_absent("build", "a", {"n": 1})
    assert first is not None
    bench.line.before = [LOST]
    bench.line.meanwhile = lambda: bench.good.compare_and_set("build", "a", first.version, {"n": 3})
    assert bench.bad.compare_and_set("build", "a", first.version, {"n": 2}) is None


@needed(FIRESTORE)
def test_a_change_of_what_was_deleted_meanwhile_is_none(bench: Bench) -> None:
    first = bench.good.create_if_absent("build", "a", {"n": 1})
    assert first is not None
    bench.line.after, bench.line.meanwhile = [LOST], lambda: bench.good.delete("build", "a")
    assert bench.bad.compare_and_set("build", "a", first.version, {"n": 2}) is None


@needed(FIRESTORE)
def test_no_update_of_many_is_lost_or_done_twice_on_a_bad_line(bench: Bench) -> None:
    bench.good.create_if_absent("build", "a", {"n": 0})
    for number in range(20):
        bench.line.before = [LOST if number % 2 else None, exceptions.Aborted("contention") if number % 5 else None]
        bench.line.after = [LOST if number % 3 else None]
        seen = bench.good.get("build", "a")
        assert seen is not None
        assert bench.bad.compare_and_set("build", "a", seen.version, {"n": number + 1}) is not None
    found = bench.good.get("build", "a")
    assert found is not None and found.data == {"n": 20}


@needed(FIRESTORE)
def test_a_lost_race_costs_no_further_call(bench: Bench) -> None:
    bench.good.create_if_absent("build", "a", {"n": 1})
    assert bench.bad.create_if_absent("build", "a", {"n": 2}) is None
    assert bench.line.calls == ["commit"]


@needed(FIRESTORE)
def test_a_record_that_expires_says_so_to_firestore(bench: Bench, firestore: str) -> None:
    bench.good.create_if_absent("ref", "a/b", {"expires_on": "2026-02-28", "repo": {}})
    name = bench.good._name("ref", "a/b")
    answer = bench.client.get_document(request={"name": name}, metadata=[("authorization", "Bearer owner")])
    written = type(answer).pb(answer).fields
    assert written["expires_at"].timestamp_value.ToDatetime(UTC) == datetime(2026, 3, 1, tzinfo=UTC)
    declaration = declared()["ref"]
    assert set(written) == {*declaration["indexed"], *declaration["not_indexed"]}


def test_the_indexes_are_declared_for_terraform() -> None:
    assert yaml.safe_load((ROOT / "terraform" / "firestore.yaml").read_text()) == {"collections": declared()}


@pytest.mark.parametrize("key", ["", ".", "..", "__a__", "a/b", "a\0b", "k" * 5000, "💣" * 1024, "/" * 1024])
def test_every_key_has_an_id_that_firestore_takes(key: str) -> None:
    # https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields
    found = document_id(key)
    assert 0 < len(found.encode()) <= 1500
    assert found not in (".", "..") and "/" not in found and "\0" not in found and not found.startswith("__")


def test_a_version_is_read_as_it_was_written() -> None:
    version = Version(1_767_268_800, 1_000, ("a", "b"))
    assert Version.parse(str(version)) == version


ERRORS = {
    "aborted": (exceptions.Aborted("contention"), UpstreamTimeout, 3),
    "unavailable": (exceptions.ServiceUnavailable("away"), UpstreamError, 3),
    "deadline": (exceptions.DeadlineExceeded("slow"), UpstreamTimeout, 3),
    "internal": (exceptions.InternalServerError("oops"), UpstreamError, 3),
    "unknown": (exceptions.Unknown("oops"), UpstreamError, 3),
    "cancelled": (exceptions.Cancelled("frozen"), UpstreamError, 3),
    "exhausted": (exceptions.ResourceExhausted("quota"), RateLimited, 3),
    "metadata server": (TransportError("away"), UpstreamError, 3),
    "denied": (exceptions.PermissionDenied("no"), UpstreamError, 1),
    "no database": (exceptions.NotFound("The database (default) does not exist for project x"), UpstreamError, 1),
    "invalid": (exceptions.InvalidArgument("no"), UpstreamError, 1),
    "no credentials": (DefaultCredentialsError("none"), UpstreamError, 1),
}


@pytest.mark.parametrize(("error", "ours", "tries"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_becomes_ours_and_what_may_pass_is_tried_again(error: Exception, ours: type[Any], tries: int) -> None:
    calls: dict[str, Callable[[FirestoreStore], object]] = {
        "commit": lambda store: store.create_if_absent("build", "a", {}),
        "batch_get_documents": lambda store: store.get("build", "a"),
        "run_query": lambda store: store.query("build", "open", "yes"),
    }
    for verb, call in calls.items():
        line = Line(verb=verb)
        line.before = [error] * 10
        with pytest.raises(UpstreamError, match=r"^The store .*\.$") as raised:
            call(a_store(line))
        assert type(raised.value) is ours
        assert line.calls == [verb] * tries


def test_pauses_between_tries_grow() -> None:
    slept: list[float] = []
    line = Line()
    line.before = [exceptions.Aborted("contention")] * 10
    with pytest.raises(UpstreamTimeout):
        a_store(line, sleep=slept.append, random=lambda: 0.5).delete("build", "a")
    assert slept == [0.375, 0.75]


def test_nothing_is_connected_to_before_it_is_used() -> None:
    def client(_: str) -> Any:
        raise AssertionError("connected")

    FirestoreStore(project="test", client=client).close()


def test_the_largest_record_of_the_totals_fits_into_a_document() -> None:
    counts = {Counted("launch", "success", "GitHub", f"{n:0{LONGEST_REPO}}"): 10**12 for n in range(MOST_SERIES + 20)}
    times = {Timed("launch", "failure", str(n)): Times(10**15, (10**9,) * 10) for n in range(20)}
    folded = tuple(f"build/{'i' * 300}:{'t' * 128}/{n}" for n in range(MOST_AT_ONCE))
    assert records.totals(FakeStore()).create_if_absent(Totals(counts=counts, times=times, folded=folded))
