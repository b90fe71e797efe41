"""Records that many ask about are not written often: a document takes about one write a second."""

from __future__ import annotations

from collections import Counter

from functions.launching.arrival import arrive
from functions.launching.building import ensure_build
from tests.fakes.mortal_store import MortalStore
from tests.fakes.store import FakeStore
from tests.fakes.world import Fakes
from tests.functions.following import SPEC, asked, follow, until


def writes(store: MortalStore, kind: str) -> Counter[str]:
    """How often records of a kind were written, by verb."""
    return Counter(verb for verb, written, _ in store.writes if written == kind)


def test_a_hundred_who_want_the_same_image_write_its_build_a_few_times() -> None:
    store = MortalStore(FakeStore())
    fakes = Fakes()
    repo = fakes.know(SPEC)
    for _ in range(100):
        ensure_build(repo, fakes.image(repo), fakes.world(store), host="")
    assert writes(store, "build") == {"create": 1, "change": 1}
    assert writes(store, "ref").total() <= 1


def test_a_spec_that_a_hundred_click_is_remembered_once_a_minute() -> None:
    store = MortalStore(FakeStore())
    fakes = Fakes()
    fakes.know(SPEC, built=True)
    for _ in range(100):
        arrive(asked(), fakes.world(store))
        fakes.clock.time += 1
    assert writes(store, "ref").total() == 2


def test_many_tabs_of_one_launch_write_it_down_as_one() -> None:
    store = MortalStore(FakeStore())
    fakes = Fakes()
    fakes.know(SPEC)
    until(follow(fakes.world(store), asked(key="k")), "waiting")
    store.writes.clear()
    for _ in range(50):
        arrive(asked(key="k"), fakes.world(store))
        fakes.clock.time += 0.1
    assert writes(store, "launch")["change"] <= 5
