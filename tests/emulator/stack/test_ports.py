"""Which ports a stack chooses."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.stack.parts import StackFailed
from emulator.stack.ports import PORTS, choose, detours
from emulator.stack.state import StateFolder
from tests.ports import free_port

DICE = random.Random(7)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def public() -> int:
    return free_port()


def test_every_part_gets_a_port_of_its_own(state: StateFolder, public: int) -> None:
    ports = choose(state, {"BINDERLESS_PORT": str(public)}, DICE)
    assert ports["public"] == public
    assert len(set(ports.values())) == len(PORTS)


def test_who_wants_few_ports_gets_those_and_all_are_remembered(state: StateFolder, public: int) -> None:
    environ = {"BINDERLESS_PORT": str(public)}
    every = choose(state, environ, DICE)
    few = choose(state, {}, DICE, [port for port in PORTS if port.name == "kube"])
    assert few == {"kube": every["kube"]}
    assert choose(state, environ, DICE) == every


def test_the_ports_of_last_time_are_chosen_again(state: StateFolder, public: int) -> None:
    environ = {"BINDERLESS_PORT": str(public)}
    assert choose(state, environ, DICE) == choose(state, environ, DICE)


def test_a_port_of_last_time_that_is_taken_is_replaced(state: StateFolder, public: int) -> None:
    environ = {"BINDERLESS_PORT": str(public)}
    before = choose(state, environ, DICE)
    with socket.create_server(("127.0.0.1", before["kube"])):
        after = choose(state, environ, DICE)
    assert after["kube"] != before["kube"]
    assert after["hub"] == before["hub"]


@pytest.mark.parametrize("setting", ["BINDERLESS_PORT", "BINDERLESS_HUB_PORT"])
def test_a_wished_port_that_is_taken_is_an_error_with_its_setting(
    state: StateFolder, public: int, taken: int, setting: str
) -> None:
    with pytest.raises(StackFailed, match=f"Port {taken} .* {setting}="):
        choose(state, {"BINDERLESS_PORT": str(public), setting: str(taken)}, DICE)


@pytest.mark.parametrize("text", ["http", "-1", "70000", "80 80"])
def test_what_is_no_port_is_an_error_with_its_setting(state: StateFolder, text: str) -> None:
    with pytest.raises(StackFailed, match="BINDERLESS_PORT"):
        choose(state, {"BINDERLESS_PORT": text}, DICE)


@pytest.mark.parametrize("content", ["", "[1]", '{"kube": "x"}', "\0"], ids=["empty", "list", "text", "nul"])
def test_a_damaged_memory_is_forgotten(state: StateFolder, public: int, content: str) -> None:
    state.write("ports.json", content)
    assert choose(state, {"BINDERLESS_PORT": str(public)}, DICE)["public"] == public


def test_detours_are_read_by_name() -> None:
    assert detours({"BINDERLESS_DETOURS": "hub_api=21000, kube=21001"}) == {"hub_api": 21_000, "kube": 21_001}
    assert detours({}) == {}


@pytest.mark.parametrize("text", ["public=1", "kube", "kube=x", "kube=0", "kube=99999"])
def test_a_detour_that_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(StackFailed, match="BINDERLESS_DETOURS"):
        detours({"BINDERLESS_DETOURS": text})
