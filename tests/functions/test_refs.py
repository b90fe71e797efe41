"""Resolving once for many, and from memory when the git host is out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from functions.core.errors import BinderError, InvalidSpec, RateLimited, RefNotFound, UpstreamError
from functions.core.ports import ResolvedRepo
from functions.launching.refs import MOST_TROUBLES, Refs
from functions.state import retention
from tests.fakes.provider import FakeProvider
from tests.fakes.store import FakeStore
from tests.fakes.world import FakeClock

SPEC = "owner/plots/main"
TTL_S, KEEP_S = 60, 7 * 86400


class Bench:
    """A git host, and instances that share a store."""

    def __init__(self) -> None:
        self.provider, self.store, self.clock = FakeProvider(), FakeStore(), FakeClock()
        self.provider.know(SPEC)

    def instance(self) -> Refs:
        return Refs(self.store, self.clock.now, ttl_s=TTL_S, keep_s=KEEP_S)

    def stale(self) -> Refs:
        """An instance that finds an answer whose time is over."""
        self.instance().resolve(self.provider, SPEC)
        self.clock.time += 300
        return self.instance()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_within_its_time_nobody_asks_again(bench: Bench) -> None:
    first = bench.instance().resolve(bench.provider, SPEC)
    bench.clock.time += TTL_S - 1
    assert bench.instance().resolve(bench.provider, SPEC) == first
    assert bench.provider.asked == [SPEC]


def test_after_its_time_a_moved_branch_is_seen(bench: Bench) -> None:
    refs = bench.stale()
    bench.provider.know(SPEC, sha="d" * 40)
    assert refs.resolve(bench.provider, SPEC).repo.sha == "d" * 40
    assert bench.instance().resolve(bench.provider, SPEC).repo.sha == "d" * 40
    assert len(bench.provider.asked) == 2


def test_the_same_spec_of_another_provider_is_another(bench: Bench) -> None:
    other = FakeProvider("gl")
    other.know(SPEC, sha="e" * 40)
    assert bench.instance().resolve(bench.provider, SPEC).repo.sha != "e" * 40
    assert bench.instance().resolve(other, SPEC).repo.sha == "e" * 40


def test_a_provider_is_given_what_was_known(bench: Bench) -> None:
    refs = bench.stale()
    seen: list[ResolvedRepo | None] = []

    def resolve(spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        seen.append(known)
        assert known is not None
        return replace(known, etag="new")

    bench.provider.resolve = resolve  # type: ignore[method-assign]
    assert refs.resolve(bench.provider, SPEC).repo.etag == "new"
    assert [repo.sha for repo in seen if repo] == ["c0ffee" * 6 + "c0ff"]


OUTAGES = [UpstreamError("GitHub", "cannot be reached."), RateLimited("GitHub", retry_after_s=900)]


@pytest.mark.parametrize("outage", OUTAGES, ids=["down", "rate limited"])
def test_what_was_known_serves_while_the_host_is_out(bench: Bench, outage: BinderError) -> None:
    refs = bench.stale()
    bench.provider.fail(SPEC, outage)
    found = refs.resolve(bench.provider, SPEC)
    assert found.repo.sha == "c0ffee" * 6 + "c0ff"
    assert found.notice == f"{outage} Going on with c0ffeec0ffee, which this link named 5 minutes ago."


@pytest.mark.parametrize(("outage", "pause_s"), [(OUTAGES[0], 10), (OUTAGES[1], 60)], ids=["down", "rate limited"])
def test_a_host_in_trouble_is_left_alone_for_a_while(bench: Bench, outage: BinderError, pause_s: float) -> None:
    refs = bench.stale()
    bench.provider.fail(SPEC, outage)
    for wait_s in (0, pause_s - 1):
        bench.clock.time += wait_s
        assert refs.resolve(bench.provider, SPEC).notice
    assert len(bench.provider.asked) == 2
    bench.clock.time += 2
    bench.provider.know(SPEC)
    assert not refs.resolve(bench.provider, SPEC).notice


def test_an_outage_is_told_when_nothing_is_known(bench: Bench) -> None:
    bench.provider.fail(SPEC, OUTAGES[0])
    refs = bench.instance()
    for _ in range(3):
        with pytest.raises(UpstreamError, match="cannot be reached"):
            refs.resolve(bench.provider, SPEC)
    assert len(bench.provider.asked) == 1


def test_a_branch_that_is_gone_is_gone_whatever_was_known(bench: Bench) -> None:
    refs = bench.stale()
    bench.provider.fail(SPEC, RefNotFound("https://git.example.org/owner/plots", "main"))
    with pytest.raises(RefNotFound):
        refs.resolve(bench.provider, SPEC)


def test_five_hundred_at_once_make_one_call(bench: Bench) -> None:
    asked, go_on = threading.Event(), threading.Event()
    answer = bench.provider.resolve

    def slow(spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        asked.set()
        assert go_on.wait(20)
        return answer(spec, known)

    bench.provider.resolve = slow  # type: ignore[method-assign]
    refs = bench.instance()
    with ThreadPoolExecutor(500) as crowd:
        found = [crowd.submit(refs.resolve, bench.provider, SPEC) for _ in range(500)]
        assert asked.wait(20)
        go_on.set()
        assert len({future.result(20).repo.sha for future in found}) == 1
    assert bench.provider.asked == [SPEC]


def test_a_host_that_hangs_holds_up_nobody_elses_launch(bench: Bench) -> None:
    go_on = threading.Event()
    hanging = FakeProvider("git")

    def hang(spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        go_on.wait(20)
        raise UpstreamError("The git host", "did not answer.")

    hanging.resolve = hang  # type: ignore[method-assign]
    refs = bench.instance()
    with ThreadPoolExecutor(40) as crowd:
        stuck = [crowd.submit(refs.resolve, hanging, f"a/{number}/HEAD") for number in range(40)]
        assert refs.resolve(bench.provider, SPEC).repo.sha
        assert not any(future.done() for future in stuck)
        go_on.set()


def test_what_a_host_tells_by_itself_counts_at_once(bench: Bench) -> None:
    refs = bench.instance()
    before = refs.resolve(bench.provider, SPEC).repo
    refs.learn(replace(before, sha="d" * 40))
    assert bench.instance().resolve(bench.provider, SPEC).repo.sha == "d" * 40
    assert bench.provider.asked == [SPEC]


def test_what_nobody_asks_for_is_forgotten_in_the_end(bench: Bench) -> None:
    refs = bench.instance()
    refs.resolve(bench.provider, SPEC)
    bench.clock.time += KEEP_S
    assert retention.expired(bench.store, "ref", now=bench.clock.now(), most=10) == []
    bench.clock.time += 86400
    [key] = retention.expired(bench.store, "ref", now=bench.clock.now(), most=10)
    bench.store.delete("ref", key)
    bench.provider.fail(SPEC, OUTAGES[0])
    with pytest.raises(UpstreamError):
        refs.resolve(bench.provider, SPEC)


def test_thousands_of_wrong_links_fill_no_memory(bench: Bench) -> None:
    refs = bench.instance()
    for number in range(MOST_TROUBLES + 500):
        bench.provider.fail(f"a/b/{number}", InvalidSpec("no"))
        with pytest.raises(InvalidSpec):
            refs.resolve(bench.provider, f"a/b/{number}")
    assert len(refs._troubles) == MOST_TROUBLES
    assert bench.store.query("ref", "expires_on", "2026-01-08") == []


def test_a_spec_longer_than_any_key_is_remembered(bench: Bench) -> None:
    spec = f"owner/plots/{'x' * 2000}"
    bench.provider.know(spec)
    for _ in range(2):
        bench.instance().resolve(bench.provider, spec)
    assert bench.provider.asked == [spec]


def test_a_record_of_a_newer_revision_can_be_read(bench: Bench) -> None:
    bench.instance().resolve(bench.provider, SPEC)
    [document] = bench.store.query("ref", "expires_on", "2026-01-08")
    data = {**document.data, "repo": {**document.data["repo"], "new": 1}}
    bench.store.compare_and_set("ref", document.key, document.version, data)
    assert bench.instance().resolve(bench.provider, SPEC).repo.provider == "gh"
