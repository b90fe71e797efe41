"""Connections to hosts that strangers name: to public addresses only, and within a time.

A name is resolved once, every address it has must be public, and the connection is made to the very address that was
looked at, so that a second answer of the name server changes nothing. TLS is checked for the name all the same. As
HttpClient takes each redirect through the pool, each is looked at too.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationParseError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, create_urllib3_context, parse_url

from functions.core.errors import NotAllowed, UpstreamError, UpstreamTimeout

# https://www.iana.org/assignments/iana-ipv4-special-registry (what ipaddress calls global but is not a host),
# https://www.iana.org/assignments/iana-ipv6-special-registry (within 2000::/3, the only space given to hosts).
SPECIAL_V4 = [ipaddress.IPv4Network(net) for net in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")]
HOSTS_V6 = ipaddress.IPv6Network("2000::/3")
SPECIAL_V6 = [
    ipaddress.IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]
# Git servers do listen on 3000 or 8443. But below 1024 are mail, ssh, directories and the like: nobody serves git over
# the web there, and they could be made to take a request for their own protocol.
WEB_PORTS, FIRST_FREE_PORT = (80, 443), 1024
# Names that only mean something inside: refused without asking, since asking tells too.
INSIDE = re.compile(r"(^|\.)(localhost|local|internal|localdomain|home\.arpa)$")
# What inet_aton reads as an address although nobody writes it so: 2130706433, 0x7f.1, 0177.0.0.1, 127.1
NUMBER = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)$")

Resolve = Callable[..., Iterable[tuple[Any, ...]]]


def is_public(address: str) -> bool:
    """Whether *address* belongs to a host on the internet. Addresses that wrap another one never do."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in net for net in SPECIAL_V4)
    return ip in HOSTS_V6 and not any(ip in net for net in SPECIAL_V6)


class PublicPool:
    """A pool for HttpClient whose connections reach public addresses only, each for one request.

    *allow_private* switches the look at addresses off, not the pinning; without *allow_http* TLS is needed.
    *deadline_s* limits a whole visit: a host that sends one byte every few seconds, and redirects then, would hold a
    thread for hours.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        allow_http: bool = True,
        deadline_s: float = 30.0,
        ssl_context: SSLContext | None = None,
        resolve: Resolve = socket.getaddrinfo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow_private, self._allow_http = allow_private, allow_http
        self._deadline_s, self._clock = deadline_s, clock
        self._ssl_context = ssl_context
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Raise NotAllowed if the host of *url* is not public, UpstreamError if its name is not known."""
        parsed = _parsed(url)
        self._address(_host(parsed), _port(parsed))

    def urlopen(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        """A visit of one request, as urllib3's PoolManager does it. Raises what `check` raises."""
        return self.visit().urlopen(method, url, **options)

    def visit(self) -> Visit:
        """A pool whose requests end all together, *deadline_s* from now."""
        return Visit(self._open, until=self._clock() + self._deadline_s)

    def _open(self, method: str, url: str, *, until: float, **options: Any) -> BaseHTTPResponse:
        parsed = _parsed(url)
        host = _host(parsed)
        if parsed.scheme == "http" and not self._allow_http:
            raise NotAllowed(f"{host} would be reached without TLS, which is not permitted here.")
        left_s = until - self._clock()
        if left_s <= 0:
            raise UpstreamTimeout(host, f"did not answer all we asked within {self._deadline_s:g} seconds.")
        headers: Mapping[str, str] = {**options.pop("headers", {}), "Host": parsed.netloc or "", "Connection": "close"}
        address = self._address(host, _port(parsed))
        pool = self._pinned(parsed.scheme, address, _port(parsed), host=host, until=until)
        return pool.urlopen(method, parsed.request_uri, headers=headers, **options)

    def _address(self, host: str, port: int) -> str:
        """The one address to connect to."""
        if port < FIRST_FREE_PORT and port not in WEB_PORTS:
            raise NotAllowed(f"Port {port} is not one that repositories can be fetched from.")
        if not self._allow_private:
            _refuse_inside(host)
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
            addresses = [str(entry[4][0]) for entry in found]
        except (OSError, UnicodeError) as error:
            raise UpstreamError(host, "is not the name of a host that we can find.") from error
        if not addresses or not (self._allow_private or all(map(is_public, addresses))):
            raise NotAllowed(f"{host} is not on the public internet, and not permitted here.")
        # Functions seldom have a way out for IPv6, whatever the machine's own tables say.
        return min(addresses, key=lambda address: ":" in address)

    def _pinned(
        self, scheme: str | None, address: str, port: int, *, host: str, until: float
    ) -> urllib3.HTTPConnectionPool:
        timing: dict[str, Any] = {"until": until, "clock": self._clock}
        if scheme == "http":
            return _PlainPool(address, port, **timing)
        # Loading the certificates is slow, so it waits for the first need. Threads that meet here each make their own.
        context = self._ssl_context or _trusting_context()
        self._ssl_context = context
        return _SecurePool(address, port, server_hostname=host, ssl_context=context, **timing)


class ChosenPool:
    """A pool for the service at *url*, which the operator has chosen and which may be anywhere, inside as well.

    It is not trusted to send us to other places of the inside: what it redirects to beyond its own scheme, host and
    port must be public.
    """

    def __init__(self, url: str, *, elsewhere: PublicPool | None = None) -> None:
        self._origin = _origin(_parsed(url))
        # As many kept connections as an instance has threads (functions run with 250).
        self._there = urllib3.PoolManager(maxsize=250)
        self._elsewhere = elsewhere or PublicPool()

    def urlopen(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        if _origin(_parsed(url)) == self._origin:
            return self._there.urlopen(method, url, **options)
        return self._elsewhere.urlopen(method, url, **options)


@dataclass(frozen=True, slots=True)
class Visit:
    """Requests that share one deadline: a pool for one HttpClient and one errand."""

    _open: Callable[..., BaseHTTPResponse]
    until: float

    def urlopen(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        return self._open(method, url, until=self.until, **options)


class _UntilDeadline(io.RawIOBase):
    """A socket's file that ends with a timeout at a point in time, however lively the other side is."""

    def __init__(self, sock: socket.socket, *, until: float, clock: Callable[[], float]) -> None:
        self._sock, self._file = sock, sock.makefile("rb", buffering=0)
        self._clock, self._until = clock, until
        self._silence_s = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._until - self._clock()
        if left_s <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left_s if self._silence_s is None else min(left_s, self._silence_s))
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Timed:
    """Mixed into urllib3's connections: reads each answer until a deadline."""

    response_class: Any

    def __init__(self, *args: Any, until: float, clock: Callable[[], float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

        def response(sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
            answer = http.client.HTTPResponse(sock, *args, **kwargs)
            answer.fp.close()
            answer.fp = io.BufferedReader(_UntilDeadline(sock, until=until, clock=clock))
            return answer

        self.response_class = response


class _PlainConnection(_Timed, HTTPConnection):
    pass


class _SecureConnection(_Timed, HTTPSConnection):
    pass


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _trusting_context() -> SSLContext:
    context = create_urllib3_context()
    context.load_default_certs()
    return context


def _parsed(url: str) -> Url:
    try:
        parsed = parse_url(url)
    except LocationParseError as error:
        raise UpstreamError("The repository's host", "redirects to an address that is none.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.auth:
        raise NotAllowed("Only http and https addresses without a user name can be fetched.")
    return parsed


def _host(url: Url) -> str:
    return (url.host or "").strip("[]").rstrip(".")


def _port(url: Url) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _origin(url: Url) -> tuple[str | None, str, int]:
    return url.scheme, _host(url).lower(), _port(url)


def _refuse_inside(host: str) -> None:
    numeric = NUMBER.search(host.lower()) and not _is_address(host)
    if numeric or INSIDE.search(host.lower()) or "%" in host or (_is_address(host) and not is_public(host)):
        raise NotAllowed(f"{host} is not on the public internet, and not permitted here.")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
