"""A stack of small parts, run as `python sample_stack.py STATE PORT [BEHAVIOUR]` by the tests of the supervisor."""

import random
import sys
from pathlib import Path
from typing import Any

from emulator.stack.commands import Plan, up
from emulator.stack.parts import Part, Step
from emulator.stack.ports import choose
from emulator.stack.state import StateFolder

# Parts that take a while: `slow` to start, and `eager`, which uses it, to end. Both note their ends, in order.
ENDS = "trap '%s echo %s >>ended; exit' TERM; %s echo ready; while :; do sleep 0.05; done"
SLOW, EAGER = ENDS % ("", "slow", "sleep 0.5;"), ENDS % ("sleep 0.5;", "eager", "")
HERE = str(Path(__file__).with_name("sample_part.py"))


def plan(state: StateFolder, port: int, behaviour: str) -> Plan:
    choose(state, {"BINDERLESS_PORT": str(port)}, random.Random())
    url = f"http://127.0.0.1:{port}"
    if behaviour == "pair":
        common: dict[str, Any] = {"folder": state.folder(), "ready_line": "ready"}
        eager = Part(name="eager", command=("/bin/sh", "-c", EAGER), uses=frozenset({"slow"}), **common)
        return Plan(url=url, members=[eager, Part(name="slow", command=("/bin/sh", "-c", SLOW), **common)])

    def part(name: str, *arguments: str, needs: frozenset[str] = frozenset(), ready_line: str = "") -> Part:
        command = (sys.executable, "-I", "-S", HERE, *arguments)
        health = "" if ready_line else f"http://127.0.0.1:{port}/"
        return Part(name=name, command=command, needs=needs, health=health, ready_line=ready_line)

    async def mark() -> None:
        state.write("step-done", "yes")

    return Plan(
        url=url,
        members=[
            part("server", "serve", str(port)),
            Step(name="mark", run=mark, needs=frozenset({"server"})),
            part("worker", behaviour, needs=frozenset({"mark"}), ready_line="working"),
        ],
    )


if __name__ == "__main__":
    folder = StateFolder(Path(sys.argv[1]))
    sys.exit(up(folder, lambda: plan(folder, int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "work")))
