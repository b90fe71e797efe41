"""Which port each part listens on: the one that was asked for, else the one of last time, else a free one."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from emulator.stack.parts import StackFailed
from emulator.stack.state import StateFolder

HOST = "127.0.0.1"
# Below the ports that the kernel gives to outgoing connections, so that none of those can take a part's port while the
# part is being started again.
FREE_PORTS = range(20_000, 30_000)


@dataclass(frozen=True, slots=True)
class PortName:
    """A port of the stack, the variable that sets it, and its default (0: any free one)."""

    name: str
    setting: str
    default: int = 0


PORTS = (
    PortName("public", "BINDERLESS_PORT", 8585),
    PortName("hub", "BINDERLESS_HUB_PORT"),
    PortName("hub_api", "BINDERLESS_HUB_API_PORT"),
    PortName("proxy_api", "BINDERLESS_PROXY_API_PORT"),
    PortName("kube", "BINDERLESS_KUBE_PORT"),
    PortName("kube_tls", "BINDERLESS_KUBE_TLS_PORT"),
    PortName("kubelet", "BINDERLESS_KUBELET_PORT"),
    PortName("pubsub", "BINDERLESS_PUBSUB_PORT"),
    PortName("registry", "BINDERLESS_REGISTRY_PORT"),
    PortName("cloud", "BINDERLESS_CLOUD_PORT"),
    PortName("run_admin", "BINDERLESS_RUN_ADMIN_PORT"),
    PortName("on_build_complete", "BINDERLESS_ON_BUILD_COMPLETE_PORT"),
    PortName("cull", "BINDERLESS_CULL_PORT"),
)

# What the functions call, and what calls them: another port may stand in between.
NO_DETOURS: Mapping[str, int] = {}
DETOURS = ("hub_api", "kube", "registry", "pubsub", "cloud", "on_build_complete", "cull")


def detours(environ: Mapping[str, str]) -> dict[str, int]:
    """Other ports at which functions find services, and are found: `hub_api=21000,kube=21001` in BINDERLESS_DETOURS.

    Whatever listens there passes on to the port of that name. Everybody else goes straight. Raises StackFailed.
    """
    found: dict[str, int] = {}
    for item in filter(None, environ.get("BINDERLESS_DETOURS", "").split(",")):
        name, _, port = item.strip().partition("=")
        if name not in DETOURS or not port.isdecimal() or not 0 < int(port) <= 65_535:
            raise StackFailed(f"BINDERLESS_DETOURS: {item!r} is not NAME=PORT with a NAME of {', '.join(DETOURS)}.")
        found[name] = int(port)
    return found


def choose(
    state: StateFolder, environ: Mapping[str, str], dice: random.Random, wanted: Sequence[PortName] = PORTS
) -> dict[str, int]:
    """A port for every name, remembered in the state. Raises StackFailed for a wished port that is taken."""
    before = remembered(state)
    ports: dict[str, int] = {}
    for port in wanted:
        wished = _wished(port, environ)
        if wished and not is_free(wished):
            raise StackFailed(
                f"Port {wished} on {HOST} is taken by another process. Stop that, or choose another port with "
                f"{port.setting}, for example: {port.setting}={wished + 1}"
            )
        last = before.get(port.name, 0)
        used = {*ports.values()}
        kept = last if last and last not in used and is_free(last) else 0
        ports[port.name] = wished or kept or any_free(dice, used)
    state.write("ports.json", json.dumps({**before, **ports}, indent=1))
    return ports


def any_free(dice: random.Random, used: Collection[int] = ()) -> int:
    """A port of FREE_PORTS that nobody listens on and that is not in *used*. Raises StackFailed when there is none."""
    for candidate in dice.sample(FREE_PORTS, k=500):
        if candidate not in used and is_free(candidate):
            return candidate
    raise StackFailed(f"No free port between {FREE_PORTS.start} and {FREE_PORTS.stop}.")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of the last server that are still closing are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wished(port: PortName, environ: Mapping[str, str]) -> int:
    text = environ.get(port.setting, "") or str(port.default)
    if not text.isdecimal() or int(text) > 65_535:
        raise StackFailed(f"{port.setting} must be a port number, not {text!r}.")
    return int(text)


def remembered(state: StateFolder) -> dict[str, int]:
    """The ports of last time; none when there was none, or nobody can read it."""
    try:
        content = json.loads((state.path / "ports.json").read_text())
        return {str(name): int(port) for name, port in content.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
