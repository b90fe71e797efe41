"""Servers that are idle to the Hub and say of themselves whether their kernels are."""

from __future__ import annotations

import pytest

from functions.core.kernels import KernelUse
from functions.core.launch import Phase
from tests.fakes.world import Fakes
from tests.functions.test_cull import crowd, launched, run

COMPUTES = KernelUse(busy=1, connections=0)
CONNECTED = KernelUse(busy=0, connections=2)
UNUSED = KernelUse(busy=0, connections=0)


def idle(keep_busy: str = "kernels", *, after_s: float = 601, **cull: int) -> tuple[Fakes, str]:
    """A launch whose server the Hub calls idle *after_s*, and the server's address."""
    fakes = Fakes(settings={"cull": {"keep_busy": keep_busy, **cull}})
    launched(fakes, collected=True)
    fakes.clock.time += after_s
    [user] = fakes.hub.users().users
    return fakes, fakes.hub.server_url(user.name)


@pytest.mark.parametrize(
    ("keep_busy", "use", "kept"),
    [
        ("kernels", COMPUTES, "has a kernel that computes"),
        ("kernels", CONNECTED, ""),
        ("kernels", UNUSED, ""),
        ("kernels", None, "does not answer"),
        ("connections", COMPUTES, "has a kernel that computes"),
        ("connections", CONNECTED, "is connected to"),
        ("connections", UNUSED, ""),
        ("connections", None, "does not answer"),
        ("nothing", COMPUTES, ""),
        ("nothing", None, ""),
    ],
)
def test_what_counts_as_use_is_configured(keep_busy: str, use: KernelUse | None, kept: str) -> None:
    fakes, url = idle(keep_busy)
    fakes.kernels.of[url] = use
    report = run(fakes)
    assert report["kept"].get("server") == ({kept: 1} if kept else None)
    assert report["removed"].get("server") == (None if kept else {"is idle": 1})
    assert len(fakes.hub.deleted) == (not kept)


def test_a_server_is_asked_with_its_own_token() -> None:
    fakes, url = idle()
    [launch] = fakes.world().launches.where("open", "no")
    run(fakes)
    assert fakes.kernels.asked == [(url, launch.token)]


def test_a_server_that_is_in_use_is_not_asked() -> None:
    fakes, _ = idle(after_s=599)
    run(fakes)
    assert fakes.kernels.asked == []


def test_a_server_that_is_kept_keeps_its_launch() -> None:
    fakes, url = idle()
    fakes.kernels.of[url] = COMPUTES
    run(fakes)
    [launch] = fakes.world().launches.where("open", "no")
    assert launch.phase is Phase.READY


def test_a_server_that_stays_silent_goes_in_the_end() -> None:
    fakes, url = idle(after_s=1201)
    fakes.kernels.of[url] = None
    assert run(fakes)["removed"]["server"] == {"is idle": 1}


def test_computing_keeps_no_server_over_its_age() -> None:
    fakes, url = idle(max_age_s=600)
    fakes.kernels.of[url] = COMPUTES
    assert run(fakes)["removed"]["server"] == {"is too old": 1}
    assert fakes.kernels.asked == []


def test_a_dry_run_asks_as_well() -> None:
    fakes, url = idle()
    fakes.kernels.of[url] = COMPUTES
    assert run(fakes, "?dry_run=true")["kept"]["server"] == {"has a kernel that computes": 1}


def test_servers_of_no_launch_have_no_token_to_be_asked_with() -> None:
    fakes = Fakes()
    crowd(fakes, 1, idle=1)
    assert run(fakes)["removed"]["server"] == {"is idle": 1}
    assert fakes.kernels.asked == []
