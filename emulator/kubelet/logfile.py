"""Writing the log of a container, in the format of Kubernetes' container runtimes, of bounded size.

A record is `<time> <stream> <F or P> <text>` and a newline; F ends a line, P does not.
https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md

Imports next to nothing: the outermost process of every container does this, and is to be small.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_RECORD_BYTES = 16 * 1024
OLDER = ".1"


class LogFile:
    """Appends what a container says. When the file reaches half the limit it makes room: the older half is kept
    beside it, the half before that is lost. A full disk loses lines, and stops nothing."""

    def __init__(self, path: str, *, limit_bytes: int, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.last_line = b""
        self._path = path
        self._half_bytes = limit_bytes // 2
        self._now_ns = now_ns
        self._fd = _opened(path)
        self._size = os.fstat(self._fd).st_size
        self._rest: dict[str, bytes] = {}

    def feed(self, stream: str, chunk: bytes) -> None:
        """Take what came from *stream*: whole lines are written, and long ones in parts; the rest waits for more."""
        *lines, rest = (self._rest.get(stream, b"") + chunk).split(b"\n")
        records = [record for line in lines for record in self._line(stream, line)]
        while len(rest) > LONGEST_RECORD_BYTES:
            records.append(self._record(stream, b"P", rest[:LONGEST_RECORD_BYTES]))
            rest = rest[LONGEST_RECORD_BYTES:]
        self._rest[stream] = rest
        self._append(records)

    def finish(self, stream: str) -> None:
        """Nothing more comes from *stream*: what is left of it is a line that does not end."""
        if rest := self._rest.pop(stream, b""):
            self._append([self._record(stream, b"P", rest)])

    def close(self) -> None:
        os.close(self._fd)

    def _line(self, stream: str, line: bytes) -> list[bytes]:
        records = []
        while len(line) > LONGEST_RECORD_BYTES:
            records.append(self._record(stream, b"P", line[:LONGEST_RECORD_BYTES]))
            line = line[LONGEST_RECORD_BYTES:]
        return [*records, self._record(stream, b"F", line)]

    def _record(self, stream: str, kind: bytes, text: bytes) -> bytes:
        self.last_line = text
        return b" ".join((nanoseconds(self._now_ns()), stream.encode(), kind, text)) + b"\n"

    def _append(self, records: list[bytes]) -> None:
        start, size = 0, self._size
        for end, record in enumerate(records, 1):
            size += len(record)
            if size >= self._half_bytes:
                self._write(records[start:end])
                self._rotate()
                start, size = end, self._size
        self._write(records[start:])

    def _write(self, records: list[bytes]) -> None:
        content = memoryview(b"".join(records))
        try:
            while content:
                written = os.write(self._fd, content)
                self._size += written
                content = content[written:]
        except OSError:
            return

    def _rotate(self) -> None:
        try:
            os.replace(self._path, self._path + OLDER)
            renewed = _opened(self._path)
        except OSError:
            return
        os.close(self._fd)
        self._fd, self._size = renewed, 0


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)


def nanoseconds(moment_ns: int) -> bytes:
    """A moment since 1970 as records have it: of one length, so that times sort as text."""
    seconds, rest = divmod(moment_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % rest
