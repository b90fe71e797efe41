"""The state folder of one stack: its lock, the record of what runs, logs and secrets."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.stack.processes import Identity

LOG_LIMIT_BYTES = 5_000_000
# The first one is chosen where nobody says more.
BACKENDS = ("kubernetes", "cloud_build")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """What `status` says of one part. `condition` is waiting, starting, ready, crashed or stopped."""

    name: str
    address: str = ""
    health: str = ""
    condition: str = "waiting"
    process: Identity | None = None
    crashes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The stack as its supervisor last wrote it down."""

    supervisor: Identity
    since: str
    url: str
    ready: bool = False
    parts: tuple[PartRecord, ...] = ()


class StateFolder:
    """Everything a stack keeps lies under one folder, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def record_file(self) -> Path:
        return self.path / "stack.json"

    def folder(self, *names: str) -> Path:
        """The folder of that name, made if it is not there."""
        folder = self.path.joinpath(*names)
        # Containers of a stack that root runs are another user, who must get to environments and homes below.
        self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        for part in (*reversed(folder.relative_to(self.path).parents), folder.relative_to(self.path)):
            (self.path / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Whether this process is the only supervisor of the folder, as long as the context lasts.

        The kernel gives the lock back when its holder ends, however that happens.
        """
        descriptor = os.open(self.folder() / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)

    def running(self) -> bool:
        """Whether a supervisor holds the folder."""
        if not self.path.exists():
            return False
        with self.lock() as free:
            return not free

    def write_record(self, record: Record) -> None:
        self.write("stack.json", json.dumps(dataclasses.asdict(record), indent=1))

    def record(self) -> Record | None:
        """The last record, also of a stack that has ended; None when there is none that can be read."""
        try:
            content = json.loads(self.record_file.read_text())
            parts = [_part(part) for part in content.pop("parts")]
            return Record(**{**content, "supervisor": Identity(**content["supervisor"]), "parts": tuple(parts)})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, name: str, content: str) -> Path:
        """Write a file for the owner's eyes only; readers see the old content or the new one, never half."""
        target = self.path / name
        self.folder(*Path(name).parent.parts)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
        beside.replace(target)
        return target

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(32)) -> str:
        """The secret of that name, made once and kept in `secrets/`."""
        file = self.path / "secrets" / name
        if not file.exists():
            self.write(f"secrets/{name}", make())
        return file.read_text()

    def backend(self, wished: str = "") -> str:
        """Which backend builds the images: the wished one, which is remembered, else the remembered one."""
        if wished:
            self.write("backend", wished)
        file = self.path / "backend"
        return file.read_text() if file.exists() else BACKENDS[0]

    def log_file(self, part: str) -> Path:
        return self.path / "logs" / f"{part}.log"

    def rotate_logs(self, parts: Sequence[str]) -> None:
        """Put long logs aside, keeping one old log per part, so that they cannot fill the disk over many starts."""
        self.folder("logs")
        for part in parts:
            log = self.log_file(part)
            if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
                log.replace(log.with_suffix(".log.1"))


def _part(content: Mapping[str, Any]) -> PartRecord:
    process = content["process"]
    return PartRecord(**{**content, "process": Identity(**process) if process else None})
