"""What an instance makes once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.state.once import once

THREADS = 20


def test_all_threads_that_ask_first_get_one_thing() -> None:
    everybody = threading.Barrier(THREADS)
    making = threading.Event()

    @once
    def thing() -> object:
        making.wait(0.05)
        return object()

    def ask(_: int) -> object:
        everybody.wait(10)
        return thing()

    with ThreadPoolExecutor(THREADS) as threads:
        assert len(set(threads.map(ask, range(THREADS)))) == 1


def test_what_could_not_be_made_is_tried_again() -> None:
    answers: Iterator[str | ValueError] = iter([ValueError("no"), "made"])

    @once
    def thing() -> str:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    with pytest.raises(ValueError, match="no"):
        thing()
    assert thing() == thing() == "made"
