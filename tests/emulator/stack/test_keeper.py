"""One part, kept running through everything that can happen to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from emulator.stack.keeper import Keeper
from emulator.stack.parts import Part

# Says that it is ready unless it is told to be silent, and works on.
PROGRAM = "import os, sys, time; os.path.exists(sys.argv[1]) or print('ready', flush=True); time.sleep(600)"


def test_a_part_that_stays_silent_after_a_crash_is_kept_all_the_same(tmp_path: Path) -> None:
    silent, said = tmp_path / "silent", list[str]()
    part = Part(name="a", command=(sys.executable, "-I", "-S", "-c", PROGRAM, str(silent)), ready_line="ready")
    keeper = Keeper(
        part, log=tmp_path / "a.log", say=said.append, changed=lambda: None, pause_s=0.01, start_timeout_s=0.3
    )

    async def until(word: str) -> None:
        async with asyncio.timeout(20):
            while not any(word in line for line in said):
                await asyncio.sleep(0.01)

    async def story() -> tuple[int, int]:
        await keeper.start()
        keeping = asyncio.create_task(keeper.keep())
        silent.touch()
        os.kill(keeper.pid, signal.SIGKILL)
        await until("does not answer")
        mute = keeper.pid
        silent.unlink()
        await until("a is back")
        back = keeper.pid
        await keeper.stop()
        await keeping
        return mute, back

    mute, back = asyncio.run(story())
    assert mute != back
    assert not Path(f"/proc/{mute}").exists()
    assert keeper.record.condition == "stopped"
