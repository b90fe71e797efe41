"""Windows, and what instances take of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functions.core import rates
from functions.core.rates import Rate, Share, Window

RATE = Rate(10, 60)


def test_a_window_begins_with_the_first_request() -> None:
    share = rates.take(None, RATE, now=1000.9)
    assert share.window == Window(began_at=1000, taken=1, size=1, taken_at=1000.9)
    assert rates.standing(share.used(), RATE) == rates.Standing(limit=10, remaining=9, resets_at=1060)


def test_of_a_full_window_nothing_is_taken() -> None:
    share = rates.take(Window(1000, 10), RATE, now=1059.9)
    assert (share.window, share.unused, share.spent(RATE)) == (Window(1000, 10), 0, True)


def test_after_its_period_a_window_is_over() -> None:
    assert rates.take(Window(1000, 10), RATE, now=1060.0).window == Window(1060, 1, 1, 1060.0)


def test_a_clock_that_was_wrong_closes_nobody_out_for_long() -> None:
    assert rates.take(Window(10**10, 10), RATE, now=1000.0).window.began_at == 1000


def sizes_of(rate: Rate, *, pause_s: float) -> list[int]:
    sizes: list[int] = []
    window, now = None, 1000.0
    while sum(sizes) < rate.limit:
        share = rates.take(window, rate, now=now)
        sizes.append(share.unused)
        window, now = share.window, now + pause_s
    return sizes


def test_when_requests_come_fast_more_are_taken_for_at_once_but_never_much_of_what_is_left() -> None:
    sizes = sizes_of(Rate(100, 60), pause_s=0.1)
    assert sizes[:6] == [1, 2, 4, 8, 10, 9]
    assert sum(sizes) == 100
    assert len(sizes) < 35


def test_when_requests_come_slowly_each_is_taken_for_alone() -> None:
    assert sizes_of(Rate(20, 600), pause_s=1.0) == [1] * 20


def test_after_a_burst_less_is_taken_for_at_once() -> None:
    assert rates.take(Window(1000, 60, size=8, taken_at=1000), Rate(1000, 60), now=1001).unused == 4


def test_a_limit_that_becomes_lower_holds_for_what_was_taken_before() -> None:
    share = Share(Window(1000, 80), unused=20)
    assert share.usable(Rate(100, 60))
    assert not share.usable(Rate(50, 60))
    assert share.spent(Rate(50, 60))


@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 500), st.floats(0, 1e10), st.floats(0, 200))
def test_nobody_is_told_to_come_back_too_early(
    taken: int, limit: int, period_s: int, began: float, later: float
) -> None:
    rate, now = Rate(limit, period_s), began + later
    share = rates.take(Window(int(began), taken), rate, now=now)
    wait_s = rates.retry_after_s(share, rate, now=now)
    assert wait_s >= 1
    assert rates.take(share.window, rate, now=now + wait_s).unused == 1


def test_no_address_is_among_what_is_stored() -> None:
    key = rates.record_key("s" * 32, "address:192.0.2.7")
    assert len(key) == 64
    assert key != rates.record_key("t" * 32, "address:192.0.2.7")
    assert key != rates.record_key("s" * 32, "address:192.0.2.8")
