"""Keeps one part running: starts it, waits for its health, starts it again when it ends, ends it when asked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from emulator.stack.parts import Part, StackFailed
from emulator.stack.processes import Identity, alive, descendants, identify, leashed, send
from emulator.stack.requests import healthy
from emulator.stack.state import PartRecord

START_TIMEOUT_S = 60.0
GRACE_S = 12.0
# A part that crashes this often before it was ready even once keeps the stack from starting.
PATIENCE = 3
LONGEST_PAUSE_S = 30.0
# After this long without a crash, old crashes are forgotten.
STEADY_S = 60.0


class Keeper:
    """The life of one part. *changed* is called whenever its record has changed."""

    def __init__(
        self,
        part: Part,
        *,
        log: Path,
        say: Callable[[str], None],
        changed: Callable[[], None],
        pause_s: float = 0.5,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._part = part
        self._log = log
        self._say = say
        self._changed = changed
        self._pause_s = pause_s
        self._start_timeout_s = start_timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._identity: Identity | None = None
        self._log_offset = 0
        self._crashes = 0
        self._condition = "waiting"
        self._stopping = False
        self._steady_since = 0.0

    @property
    def pid(self) -> int:
        """The number of the part's process; 0 when there was none yet."""
        return self._process.pid if self._process else 0

    @property
    def record(self) -> PartRecord:
        return PartRecord(
            name=self._part.name,
            address=self._part.address,
            health=self._part.health,
            condition=self._condition,
            process=self._identity,
            crashes=self._crashes,
        )

    async def start(self) -> None:
        """Return when the part is ready; raise StackFailed when it keeps crashing or does not answer."""
        begun = asyncio.get_running_loop().time()
        while not await self._try_to_start():
            if self._crashes >= PATIENCE:
                raise StackFailed(f"{self._part.name} does not start. {self._last_words()}")
        self._say(f"  {self._part.name:<14} ready  {asyncio.get_running_loop().time() - begun:5.1f} s")

    async def keep(self) -> None:
        """Start the part again whenever it has ended, until `stop`."""
        while not self._stopping:
            process = self._process
            assert process is not None
            await process.wait()
            await self._after_crash()
            while not self._stopping and not await self._try_again():
                pass
            if not self._stopping:
                self._say(f"{self._part.name} is back.")

    async def stop(self) -> None:
        """End the part and everything it started; killed when it takes too long."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            family = descendants(process.pid)
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), GRACE_S)
            except TimeoutError:
                self._say(f"{self._part.name} did not end within {GRACE_S:.0f} s and is killed.")
                family += descendants(process.pid)
                self.kill()
                await process.wait()
                for child in family:
                    send(child, signal.SIGKILL)
        self._become("stopped", None)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    async def _try_again(self) -> bool:
        """The same for a part that was ready before: one that stays silent is killed, and given another try."""
        try:
            return await self._try_to_start()
        except StackFailed as failure:
            self._say(str(failure))
        assert self._process is not None
        self.kill()
        await self._process.wait()
        await self._after_crash()
        return False

    async def _try_to_start(self) -> bool:
        """Whether the part became ready. False after a crash, when it is time to try again."""
        await self._spawn()
        assert self._process is not None
        ending = asyncio.create_task(self._process.wait())
        answering = asyncio.create_task(self._answering())
        try:
            await asyncio.wait({ending, answering}, timeout=self._start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await self._after_crash()
                return False
            if not answering.done():
                raise StackFailed(
                    f"{self._part.name} does not answer after {self._start_timeout_s:.0f} s. {self._where()}"
                )
        finally:
            for task in (ending, answering):
                task.cancel()
        self._steady_since = asyncio.get_running_loop().time()
        self._become("ready", self._identity)
        return True

    async def _spawn(self) -> None:
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._log_offset = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *leashed(self._part.command, parent=os.getpid()),
                cwd=self._part.folder,
                env=dict(self._part.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._become("starting", identify(self._process.pid))

    async def _answering(self) -> None:
        while not await self._ready():
            await asyncio.sleep(0.02)

    async def _ready(self) -> bool:
        if self._part.health:
            return await healthy(self._part.health)
        if self._part.ready_line:
            return self._part.ready_line in self._output()
        return True

    async def _after_crash(self) -> None:
        """Note the crash, tell about it and pause, longer each time."""
        if self._stopping:
            return
        assert self._process is not None
        now = asyncio.get_running_loop().time()
        self._crashes = 1 if self._steady_since and now - self._steady_since > STEADY_S else self._crashes + 1
        self._become("crashed", None)
        self._say(f"{self._part.name} {_ending(self._process.returncode)} ({self._crashes}). {self._where()}")
        await asyncio.sleep(min(self._pause_s * 2 ** (self._crashes - 1), LONGEST_PAUSE_S))

    def _become(self, condition: str, process: Identity | None) -> None:
        self._condition, self._identity = condition, process
        self._changed()

    def _signal(self, number: signal.Signals) -> None:
        if self._identity is not None and alive(self._identity):
            send(self._identity, number)

    def _output(self) -> str:
        """What this start of the part has written so far."""
        with self._log.open("rb") as log:
            log.seek(self._log_offset)
            return log.read(100_000).decode(errors="replace")

    def _where(self) -> str:
        return f"Its log: {self._log}"

    def _last_words(self) -> str:
        return "\n".join([self._where(), *(f"    {line}" for line in self._output().splitlines()[-15:])])


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
