"""The commands `up`, `down`, `status` and `logs`, for any set of members."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.stack.parts import Part, StackFailed, Step
from emulator.stack.processes import Identity, alive, identify, send
from emulator.stack.requests import healthy
from emulator.stack.state import PartRecord, Record, StateFolder
from emulator.stack.supervisor import Supervisor, clean_up

HEALTHY, FAILED, NOT_RUNNING = 0, 1, 3
# The parts end in a chain, each within its own grace.
LONGEST_STOP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run; the address to announce when all of it is ready, and the lines to say after it."""

    url: str
    members: Sequence[Part | Step]
    hints: Sequence[str] = ()


def say(text: str) -> None:
    """Tell the person at the terminal, who may have closed it."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def up(state: StateFolder, make_plan: Callable[[], Plan], *, name: str = "Binderless") -> int:
    """Run the stack, which people know as *name*, in the foreground until a signal ends it; return the exit code."""
    with state.lock() as free:
        if not free:
            say(_who_runs(state.record(), name))
            return FAILED
        try:
            left = clean_up(state.record())
            if left:
                say(f"Ended {left} process(es) that an earlier stack had left.")
            plan = make_plan()
            return asyncio.run(_run(state, plan, name))
        except StackFailed as failure:
            say(f"{name} cannot start: {failure}")
            return FAILED


async def _run(state: StateFolder, plan: Plan, name: str) -> int:
    supervisor = Supervisor(plan.members, state=state, record=_first_record(plan.url), say=say)
    asked = asyncio.Event()
    _on_signals(lambda: supervisor.hurry() if asked.is_set() else asked.set())
    begun = time.monotonic()
    starting = asyncio.create_task(supervisor.start())
    asking = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({starting, asking}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            say(f"{name} is ready at {plan.url}  ({time.monotonic() - begun:.1f} s; Ctrl-C stops it)")
            for hint in plan.hints:
                say(hint)
            await asking
        say("Stopping ...")
        return HEALTHY
    finally:
        for task in (starting, asking):
            task.cancel()
        await asyncio.gather(starting, asking, return_exceptions=True)
        await supervisor.stop()
        say("Stopped.")


def _on_signals(ask: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask)


def _first_record(url: str) -> Record:
    supervisor = identify(os.getpid())
    if supervisor is None:
        raise StackFailed("there is no /proc file system; the emulator needs Linux.")
    return Record(supervisor=supervisor, since=time.strftime("%Y-%m-%d %H:%M:%S"), url=url)


def _who_runs(record: Record | None, name: str) -> str:
    if record is None:
        return "Another process is starting or stopping this stack."
    what = f"{name} {'runs' if record.ready else 'is being started or stopped'} already"
    return f"{what}: process {record.supervisor.pid}, since {record.since}, at {record.url}"


def up_detached(
    state: StateFolder,
    command: Sequence[str],
    *,
    name: str = "Binderless",
    stop: str = "python -m emulator down",
    hints: Callable[[], Sequence[str]] = tuple,
) -> int:
    """Start *command* (an `up`) in the background; return when the stack is ready or has failed.

    *stop* is how people end it, *hints* what else to tell them when it is ready.
    """
    state.folder("logs")
    if state.running():
        say(_who_runs(state.record(), name))
        return FAILED
    log = state.log_file("stack")
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    supervisor = identify(process.pid)
    try:
        while process.poll() is None:
            record = state.record()
            if record and record.ready and record.supervisor == supervisor:
                say("\n".join([f"{name} is ready at {record.url}  ({stop} stops it)", *hints()]))
                process.returncode = 0  # It lives on without us: not to be waited for.
                return HEALTHY
            time.sleep(0.05)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
    say(log.read_text(errors="replace").rstrip())
    return FAILED


def down(state: StateFolder) -> int:
    """Stop the stack of this state folder; none is fine."""
    record = state.record()
    if not state.running() or record is None:
        left = clean_up(record)
        say(f"Nothing runs here.{f' Ended {left} process(es) that were left.' if left else ''}")
        return HEALTHY
    send(record.supervisor, signal.SIGTERM)
    deadline = time.monotonic() + LONGEST_STOP_S
    while state.running():
        if time.monotonic() > deadline:
            say(f"Process {record.supervisor.pid} does not end.")
            return FAILED
        time.sleep(0.05)
    say("Stopped.")
    return HEALTHY


def status(state: StateFolder, *, facts: Callable[[], dict[str, str]], as_json: bool) -> int:
    """Tell how the stack is right now; the exit code is 0 when every part is healthy, 3 when nothing runs."""
    record = state.record() if state.running() else None
    if record is None:
        say(json.dumps({"running": False, "state": str(state.path)}) if as_json else "Nothing runs here.")
        return NOT_RUNNING
    parts = asyncio.run(_examine(record.parts))
    well = record.ready and all(part["healthy"] for part in parts)
    answer: dict[str, Any] = {"running": True, "ready": record.ready, "healthy": well, "url": record.url}
    answer |= {"state": str(state.path), "pid": record.supervisor.pid, "since": record.since, **facts()}
    if as_json:
        say(json.dumps({**answer, "parts": parts}, indent=1))
    else:
        say("\n".join([f"{name:<12} {value}" for name, value in answer.items()]))
        say("\n".join(_line(part) for part in parts))
    return HEALTHY if well else FAILED


async def _examine(parts: Sequence[PartRecord]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(_examine_one(part) for part in parts)))


async def _examine_one(part: PartRecord) -> dict[str, Any]:
    running = part.process is not None and alive(part.process)
    well = running and part.condition == "ready" and (not part.health or await healthy(part.health))
    return {
        **dataclasses.asdict(part),
        "process": None,
        "pid": part.process.pid if part.process else None,
        "healthy": well,
    }


def _line(part: dict[str, Any]) -> str:
    verdict = "healthy" if part["healthy"] else part["condition"] if part["condition"] != "ready" else "unhealthy"
    return f"  {part['name']:<14} {verdict:<10} {part['pid'] or '-':<8} {part['address']}"


def logs(state: StateFolder, *, part: str, follow: bool) -> int:
    """Show the log of one part, or of all of them with their names before the lines."""
    files = {file.stem: file for file in sorted((state.path / "logs").glob("*.log"))}
    if part and part not in files:
        say(f"There is no log of {part}. There are: {', '.join(files) or 'none yet'}")
        return FAILED
    chosen = {part: files[part]} if part else files
    offsets = {name: 0 for name in chosen}
    with contextlib.suppress(KeyboardInterrupt):
        _show(chosen, offsets, prefix=not part)
        while follow:
            time.sleep(0.2)
            _show(chosen, offsets, prefix=not part)
    return HEALTHY


def _show(files: dict[str, Path], offsets: dict[str, int], *, prefix: bool) -> None:
    for name, file in files.items():
        with file.open("rb") as log:
            log.seek(offsets[name])
            content = log.read()
        # Only complete lines: the rest comes with the next look.
        whole = content[: content.rfind(b"\n") + 1]
        offsets[name] += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            say(f"{name:<14} | {line}" if prefix else line)


__all__ = ["Identity", "Plan", "down", "logs", "say", "status", "up", "up_detached"]
