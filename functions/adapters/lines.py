"""The lines of an HTTP answer that does not end soon, such as JupyterHub's progress."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from urllib3.exceptions import HTTPError, TimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util.wait import wait_for_read

from functions.core.errors import UpstreamError, UpstreamTimeout

MAX_LINE = 1024 * 1024


class Lines:
    """Iterates over the lines of an open answer, without their ends, and None for each *quiet_s* of silence."""

    def __init__(self, service: str, response: BaseHTTPResponse, *, quiet_s: float, timeout_s: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._service, self._response = service, response
        self._quiet_s, self._timeout_s = quiet_s, timeout_s

    def __iter__(self) -> Iterator[str | None]:
        rest = b""
        while True:
            if not self._arrived():
                yield None
                continue
            piece = self._piece()
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            yield from map(_text, lines)
            if len(rest) > MAX_LINE:
                raise UpstreamError(self._service, f"sent a line of more than {MAX_LINE} bytes.")
        if rest:
            yield _text(rest)

    def _piece(self) -> bytes:
        try:
            return self._response.read1(65536)
        except TimeoutError as error:
            raise UpstreamTimeout(self._service, "stopped in the middle of a line.") from error
        except (HTTPError, OSError) as error:
            raise UpstreamError(self._service, "broke the connection off.") from error

    def _arrived(self) -> bool:
        """Wait for something to read. A socket's own timeout would not do: after it nothing more can be read."""
        # urllib3 and http.client buffer what has arrived, and only say so of what lies below.
        wire: Any = getattr(self._response, "_fp", None)
        if wire is None or wire.fp is None:
            return True
        sock = wire.fp.raw._sock
        buffered = b""
        sock.settimeout(0)
        # TLS says "nothing yet" by an error; any other error will come again when reading.
        with suppress(OSError):
            buffered = wire.fp.peek(1)
        sock.settimeout(self._timeout_s)
        if _begins_something(buffered, between_chunks=wire.chunk_left == 0):
            return True
        encrypted = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        return encrypted or wait_for_read(sock, timeout=self._quiet_s)


def _begins_something(buffered: bytes, *, between_chunks: bool) -> bool:
    """Whether reading on would not wait: the line end of a chunk that has been read promises nothing more."""
    return bool(buffered) and not (between_chunks and buffered in b"\r\n")


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
