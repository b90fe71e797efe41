"""Brings the members of a stack up as their needs allow, keeps them up, and takes them down in the opposite order."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Sequence

from emulator.stack.keeper import Keeper
from emulator.stack.parts import Part, Step, check, relied_on
from emulator.stack.processes import adopt_orphans, alive, descendants, end, reap_orphans
from emulator.stack.state import Record, StateFolder


class Supervisor:
    """One stack. *say* tells the person at the terminal what happens, a line a call."""

    def __init__(
        self, members: Sequence[Part | Step], *, state: StateFolder, record: Record, say: Callable[[str], None]
    ) -> None:
        check(members)
        self._members = members
        self._state = state
        self._record = record
        self._say = say
        self._done = {member.name: asyncio.Event() for member in members}
        self._keepers = {
            part.name: Keeper(part, log=state.log_file(part.name), say=say, changed=self._write)
            for part in members
            if isinstance(part, Part)
        }
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Return when every part is ready and every step is done; raise StackFailed when that cannot be."""
        adopt_orphans()
        self._state.rotate_logs([*self._keepers])
        self._write()
        self._keeping.append(asyncio.create_task(self._reap()))
        starts = [asyncio.create_task(self._start(member)) for member in self._members]
        try:
            for finished in asyncio.as_completed(starts):
                await finished
        finally:
            for task in starts:
                task.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
        self._record = dataclasses.replace(self._record, ready=True)
        self._write()

    async def stop(self) -> None:
        """End every part, those that need others first, and then whatever they may have left."""
        self._record = dataclasses.replace(self._record, ready=False)
        ended = {name: asyncio.Event() for name in self._keepers}
        await asyncio.gather(*(self._stop(name, ended) for name in self._keepers))
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        end(descendants(os.getpid()), grace_s=2)
        reap_orphans(())
        self._write()

    def hurry(self) -> None:
        """Kill what has not ended yet."""
        for keeper in self._keepers.values():
            keeper.kill()

    async def _start(self, member: Part | Step) -> None:
        for need in member.needs:
            await self._done[need].wait()
        if isinstance(member, Step):
            await self._run_step(member)
        else:
            keeper = self._keepers[member.name]
            await keeper.start()
            self._keeping.append(asyncio.create_task(keeper.keep()))
        self._done[member.name].set()

    async def _run_step(self, step: Step) -> None:
        begun = asyncio.get_running_loop().time()
        await step.run()
        self._say(f"  {step.name:<14} done   {asyncio.get_running_loop().time() - begun:5.1f} s")

    async def _stop(self, name: str, ended: dict[str, asyncio.Event]) -> None:
        for other in self._dependents(name):
            await ended[other].wait()
        await self._keepers[name].stop()
        ended[name].set()

    def _dependents(self, name: str) -> set[str]:
        """The parts that need or use *name*, be it through a step."""
        found = {member.name for member in self._members if name in relied_on(member)}
        for step in [member for member in self._members if isinstance(member, Step) and member.name in found]:
            found = found - {step.name} | self._dependents(step.name)
        return found

    async def _reap(self) -> None:
        while True:
            reap_orphans(keeper.pid for keeper in self._keepers.values())
            await asyncio.sleep(5)

    def _write(self) -> None:
        parts = tuple(keeper.record for keeper in self._keepers.values())
        self._state.write_record(dataclasses.replace(self._record, parts=parts))


def clean_up(record: Record | None) -> int:
    """End what a stack left whose supervisor was killed; return how many parts that were."""
    recorded = [part.process for part in record.parts if part.process] if record else []
    left = [process for process in recorded if alive(process)]
    end(left, grace_s=5)
    return len(left)
