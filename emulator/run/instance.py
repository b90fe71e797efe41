"""One instance of a function: its processes, private folder and output, from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from emulator.run.logs import Lines, Log
from emulator.run.sandbox import Blueprint, socket_path
from emulator.run.scaling import State

START_LIMIT_S = 60.0
START_POLL_S = 0.01


class StartFailed(Exception):
    """The instance ended before it listened, or did not listen in time."""


class Instance:
    """A process group that answers on `socket`. `pid` is its main process as the machine knows it."""

    def __init__(self, key: int, blueprint: Blueprint, *, folder: Path, log: Log, now: float) -> None:
        self.key = key
        self.state = State.STARTING
        self.in_flight = 0
        self.requests_served = 0
        self.started = now
        self.idle_since = now
        self.pid = 0
        self.asked_to_end = False
        self.socket = socket_path(folder)
        self.exited = asyncio.Event()
        self._blueprint = blueprint
        self._folder = folder
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._output = _Output(self._line)
        self._last_line = ""
        self._pidfds: list[int] = []

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    async def start(self, on_exit: Callable[[Instance], None]) -> None:
        """Start the processes and return when they take requests; *on_exit* is called whenever they end.

        Raises StartFailed, after everything that was started has ended.
        """
        for name in ("home", "tmp"):
            (self._folder / name).mkdir(parents=True, mode=0o700)
        await self._spawn(on_exit)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while not _accepts(self.socket) and not self.exited.is_set():
                    await asyncio.sleep(START_POLL_S)
        except TimeoutError:
            self.kill()
            await self.exited.wait()
            raise StartFailed(f"does not listen after {START_LIMIT_S:.0f} s: {self._last_line}") from None
        if self.exited.is_set():
            raise StartFailed(f"ended with exit code {self.exit_code} before it listened: {self._last_line}")

    def freeze(self) -> None:
        """Take the CPU away from the instance."""
        if self.state is State.SERVING:
            self._signal_group(signal.SIGSTOP)
            self.state = State.FROZEN

    def thaw(self) -> None:
        """Give the CPU back."""
        if self.state is State.FROZEN:
            self._signal_group(signal.SIGCONT)
            self.state = State.SERVING

    async def stop(self, *, grace_s: float) -> None:
        """Ask the instance to end, and end it after *grace_s*."""
        self.asked_to_end = True
        young = self.state is State.STARTING
        self.thaw()
        self.state = State.STOPPING
        if young:
            self.kill()
        elif not self.exited.is_set():
            # Only the main process is told, as in the cloud: what it does with its children is its own affair.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfds[-1], signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.exited.wait()
        if not self.exited.is_set():
            self.kill()
            await self.exited.wait()

    def kill(self) -> None:
        """End all processes of the instance at once."""
        self._signal_group(signal.SIGKILL)

    async def _spawn(self, on_exit: Callable[[Instance], None]) -> None:
        info, info_out = os.pipe()
        output, output_out = os.pipe()
        await _connect(lambda: self._output, output)
        try:
            self._process = subprocess.Popen(
                self._blueprint.command(info_fd=info_out),
                cwd=self._blueprint.revision.folder,
                env=self._blueprint.environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=output_out,
                stderr=output_out,
                pass_fds=(info_out,) if self._blueprint.bwrap else (),
                start_new_session=True,
            )
        except OSError as error:
            os.close(info)
            self._finish(on_exit)
            raise StartFailed(str(error)) from error
        finally:
            os.close(info_out)
            os.close(output_out)
        self._watch(self._process.pid, lambda: self._finish(on_exit))
        self.pid = self._process.pid
        self.pid = await _reported_pid(info) or self.pid
        # A frozen wrapper would not notice that the process inside has ended.
        if self.pid != self._process.pid and not self.exited.is_set():
            self._watch(self.pid, lambda: self._signal_group(signal.SIGCONT))

    def _watch(self, pid: int, then: Callable[[], None]) -> None:
        """Call *then* once when process *pid* ends."""
        loop = asyncio.get_running_loop()
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            then()
            return
        self._pidfds.append(pidfd)

        def ended() -> None:
            loop.remove_reader(pidfd)
            then()

        loop.add_reader(pidfd, ended)

    def _signal_group(self, number: signal.Signals) -> None:
        # Until it is reaped, the group's number cannot belong to anybody else.
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _finish(self, on_exit: Callable[[Instance], None]) -> None:
        self._signal_group(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        loop = asyncio.get_running_loop()
        for pidfd in self._pidfds:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        self._pidfds.clear()
        self._output.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.state = State.STOPPING
        self.exited.set()
        on_exit(self)

    def _line(self, line: bytes) -> None:
        self._last_line = line.decode("utf-8", "replace")
        self._log.output(self._blueprint.function, self.pid, line)


class _Output(asyncio.Protocol):
    """The reading end of the pipe that all processes of an instance write to."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive
        self._lines = Lines()
        self._transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._receive(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def close(self) -> None:
        """Take what is left in the pipe, and no more: a process that escaped may hold the other end open."""
        if self._transport is None:
            return
        pipe = self._transport.get_extra_info("pipe")
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), 65_536):
                self.data_received(data)
        for line in self._lines.end():
            self._receive(line)
        self._transport.close()


async def _connect(protocol: Callable[[], asyncio.BaseProtocol], pipe: int) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(protocol, os.fdopen(pipe, "rb", buffering=0))
    return transport


async def _reported_pid(info: int) -> int | None:
    """The process id that bubblewrap reports; None when the pipe ends without a report."""
    reader = asyncio.StreamReader()
    transport = await _connect(lambda: asyncio.StreamReaderProtocol(reader), info)
    try:
        report = await reader.readuntil(b"}")
    except asyncio.IncompleteReadError:
        return None
    finally:
        transport.close()
    return int(json.loads(report)["child-pid"])


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
