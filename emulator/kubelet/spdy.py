"""SPDY/3.1 as far as port-forward needs it: bytes to frames and back, the side that is connected to. No I/O.

https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/ ; kubectl's library does not use flow control.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

# What header blocks are compressed with (section 2.6.10.1): words with their length before them, and a rest without.
_WORDS = (
    "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,accept-ranges,age,allow,"
    "authorization,cache-control,connection,content-base,content-encoding,content-language,content-length,"
    "content-location,content-md5,content-range,content-type,date,etag,expect,expires,from,host,if-match,"
    "if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,location,max-forwards,pragma,"
    "proxy-authenticate,proxy-authorization,range,referer,retry-after,server,te,trailer,transfer-encoding,upgrade,"
    "user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,set-cookie,"
    "keep-alive,origin"
)
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS.split(",")) + _REST.encode()

VERSION = 3
FIN = 1
LARGEST_FRAME_BYTES = 2**20
# Of what a block of headers is when it is no longer compressed: a few hundred bytes can become very many.
LARGEST_HEADERS_BYTES = 16 * 1024
_CONTROL = 0x8000
_HEAD = struct.Struct(">HHI")


class Kind(IntEnum):
    SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9


class ProtocolError(Exception):
    """The other side does not speak SPDY/3.1, or too much of it."""


@dataclass(frozen=True, slots=True)
class Opened:
    stream: int
    headers: Mapping[str, str]
    ends: bool


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    content: bytes
    ends: bool


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


Event = Opened | Data | Reset | Ping


class Connection:
    """One connection: what comes in, as events, and the bytes to send."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def receive(self, chunk: bytes) -> Iterator[Event]:
        """Yield what is complete now. Raises ProtocolError."""
        self._received += chunk
        while len(self._received) >= _HEAD.size:
            first, second, rest = _HEAD.unpack_from(self._received)
            flags, length = rest >> 24, rest & 0xFFFFFF
            if length > LARGEST_FRAME_BYTES:
                raise ProtocolError(f"a frame of {length} bytes")
            if len(self._received) < _HEAD.size + length:
                return
            content = bytes(self._received[_HEAD.size : _HEAD.size + length])
            del self._received[: _HEAD.size + length]
            if not first & _CONTROL:
                yield Data((first << 16) | second, content, bool(flags & FIN))
            elif event := self._control(first & 0x7FFF, second, flags, content):
                yield event

    def _control(self, version: int, kind: int, flags: int, content: bytes) -> Event | None:
        if version != VERSION:
            raise ProtocolError(f"version {version}")
        try:
            match kind:
                case Kind.SYN_STREAM:
                    (stream,) = struct.unpack_from(">I", content)
                    return Opened(stream & 0x7FFFFFFF, self._headers(content[10:]), bool(flags & FIN))
                case Kind.HEADERS:
                    # Nobody needs them, but all blocks are compressed as one.
                    self._headers(content[4:])
                case Kind.RST_STREAM:
                    return Reset(struct.unpack_from(">I", content)[0] & 0x7FFFFFFF)
                case Kind.PING:
                    return Ping(struct.unpack(">I", content)[0])
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise ProtocolError(str(error)) from error
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, LARGEST_HEADERS_BYTES)
        if self._inflate.unconsumed_tail:
            raise ProtocolError("too many headers")
        (count,) = struct.unpack_from(">I", plain)
        texts, offset = [], 4
        for _ in range(2 * count):
            (length,) = struct.unpack_from(">I", plain, offset)
            texts.append(plain[offset + 4 : offset + 4 + length].decode())
            offset += 4 + length
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def accept(self, stream: int) -> bytes:
        """Return the answer to a stream that the other side opened."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _frame(Kind.SYN_REPLY, struct.pack(">I", stream) + block)

    @staticmethod
    def data(stream: int, content: bytes, *, ends: bool = False) -> bytes:
        return struct.pack(">II", stream, (FIN if ends else 0) << 24 | len(content)) + content

    @staticmethod
    def reset(stream: int) -> bytes:
        """Return what refuses or breaks off a stream."""
        cancelled = 5
        return _frame(Kind.RST_STREAM, struct.pack(">II", stream, cancelled))

    @staticmethod
    def pong(number: int) -> bytes:
        return _frame(Kind.PING, struct.pack(">I", number))


def _frame(kind: Kind, content: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | VERSION, kind, len(content)) + content
