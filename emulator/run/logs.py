"""What the runtime writes to stderr: events and requests as JSON, the output of instances as it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO

LONGEST_LINE_BYTES = 8192
LONGEST_DETAIL = 500
CUT_MARK = b" [cut]"

# A line of an instance must not be able to move the cursor, or to look like two lines.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}


class Log:
    """One line per event; *clock* gives seconds since 1970."""

    def __init__(self, stream: BinaryIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock

    def event(self, message: str, *, severity: str = "INFO", **fields: object) -> None:
        """Write one event as JSON."""
        time = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        record = {"time": time, "severity": severity, "message": message, **fields}
        self._write(json.dumps(record, ensure_ascii=True, default=str).encode())

    def output(self, function: str, pid: int, line: bytes) -> None:
        """Write one line that an instance wrote, prefixed with whose it is."""
        text = line.decode("utf-8", "replace").translate(_CONTROLS)
        self._write(f"[{function} {pid}] {text}".encode())

    def _write(self, line: bytes) -> None:
        self._stream.write(line + b"\n")
        self._stream.flush()


class Forward(logging.Handler):
    """Turns what libraries log into events: one line each, without a traceback of what a stranger sent."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, object] = {}
        if error is not None:
            # What follows the message quotes the request, and may hold a token.
            detail = " ".join(str(error).split()).partition(" b'")[0]
            fields = {"error": type(error).__name__, "detail": detail[:LONGEST_DETAIL]}
        self._log.event(record.getMessage()[:LONGEST_DETAIL], severity=record.levelname, **fields)


class Lines:
    """Cuts a stream of bytes into lines of bounded length; what is too long of a line is dropped."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that *data* completes."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._add(part)
            yield from self.end()
        self._add(rest)

    def end(self) -> Iterator[bytes]:
        """The line begun, if any: there will be no more of it."""
        line, self._begun = bytes(self._begun), bytearray()
        if len(line) > LONGEST_LINE_BYTES:
            line = line[:LONGEST_LINE_BYTES] + CUT_MARK
        if line.strip():
            yield line.rstrip(b"\r")

    def _add(self, part: bytes) -> None:
        self._begun += part[: LONGEST_LINE_BYTES + 1 - len(self._begun)]
