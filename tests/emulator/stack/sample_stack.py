"""A stack of small parts, run as `python sample_stack.py STATE PORT [BEHAVIOUR]` by the tests of the supervisor."""

import random
import sys
from pathlib import Path

from emulator.stack.commands import Plan, up
from emulator.stack.parts import Part, Step
from emulator.stack.ports import choose
from emulator.stack.state import StateFolder

HERE = str(Path(__file__).with_name("sample_part.py"))


def plan(state: StateFolder, port: int, behaviour: str) -> Plan:
    choose(state, {"BINDERLESS_PORT": str(port)}, random.Random())

    def part(name: str, *arguments: str, needs: frozenset[str] = frozenset(), ready_line: str = "") -> Part:
        command = (sys.executable, "-I", "-S", HERE, *arguments)
        health = "" if ready_line else f"http://127.0.0.1:{port}/"
        return Part(name=name, command=command, needs=needs, health=health, ready_line=ready_line)

    async def mark() -> None:
        state.write("step-done", "yes")

    return Plan(
        url=f"http://127.0.0.1:{port}",
        members=[
            part("server", "serve", str(port)),
            Step(name="mark", run=mark, needs=frozenset({"server"})),
            part("worker", behaviour, needs=frozenset({"mark"}), ready_line="working"),
        ],
    )


if __name__ == "__main__":
    folder = StateFolder(Path(sys.argv[1]))
    sys.exit(up(folder, lambda: plan(folder, int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "work")))
