"""Carries a request to an instance and its answer back, without holding on to either."""

from __future__ import annotations

import asyncio
import errno
import html
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from aiohttp import web
from yarl import URL

from emulator.run import headers
from emulator.run.instance import Instance
from emulator.run.logs import Log
from emulator.run.service import Broken, NoInstance, Service

# https://cloud.google.com/functions/quotas: of a request, at every entry.
LARGEST_BODY_BYTES = 32 * 1024 * 1024
CLIENT_WENT_AWAY = 499
LONGEST_LOGGED_PATH = 2048
# How often a request that no instance has seen is given to another one.
MOST_ATTEMPTS = 3

# What the client library would add to a request of its own.
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
LARGEST_ANSWER_FIELD_BYTES = 32_768


class Refused(Exception):
    """No answer of the function: `status` goes to the client, the text only to the log."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


class Unreachable(Exception):
    """Nothing listens at the instance: it has seen nothing of the request."""


@dataclass(slots=True)
class Record:
    """What the access log tells of one request."""

    status: int = 0
    bytes_sent: int = 0
    pid: int | None = None
    detail: str | None = None
    bad_body: Refused | None = None


class Proxy:
    """Serves one port: *choose* names the service for a request target.

    *front* is how a load balancer, and not the function's own address, says that a function failed.
    """

    def __init__(self, choose: Callable[[str], Service], *, log: Log, front: bool) -> None:
        self._choose = choose
        self._log = log
        self._front = front

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and log it."""
        began = time.perf_counter()
        record = Record()
        name: str | None = None
        try:
            target = self._check(request)
            service = self._choose(target)
            name = service.name
            return await self._answer(request, target, service, record)
        except (Refused, headers.BadHead) as error:
            record.status, record.detail = error.status, str(error)
            return self._page(error.status)
        except (asyncio.CancelledError, ConnectionError):
            record.status, record.detail = CLIENT_WENT_AWAY, "the client went away"
            raise
        finally:
            self._log_request(request, record, function=name, seconds=time.perf_counter() - began)

    def _check(self, request: web.BaseRequest) -> str:
        headers.check(request.raw_headers)
        if headers.length(request.headers) > LARGEST_BODY_BYTES:
            raise Refused(413, "the body is too large")
        return headers.origin_form(request.raw_path)

    async def _answer(
        self, request: web.BaseRequest, target: str, service: Service, record: Record
    ) -> web.StreamResponse:
        for _ in range(MOST_ATTEMPTS):
            instance = await self._acquire(service)
            record.pid = instance.pid
            try:
                return await self._exchange(request, target, instance, service.settings.timeout_s, record)
            except Unreachable:
                # It died while nobody looked; killing makes sure that it is not chosen again.
                instance.kill()
                await instance.exited.wait()
            finally:
                service.release(instance)
        raise Refused(self._failure, "instances start, but nothing listens")

    async def _acquire(self, service: Service) -> Instance:
        try:
            return await service.acquire()
        except NoInstance as error:
            raise Refused(429, str(error)) from error
        except Broken as error:
            raise Refused(self._failure, f"no instance starts: {error}") from error

    async def _exchange(
        self, request: web.BaseRequest, target: str, instance: Instance, timeout_s: float, record: Record
    ) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            async with (
                asyncio.timeout(timeout_s),
                _session(instance) as session,
                _call(session, request, target, record) as upstream,
            ):
                response = _head(upstream)
                record.status = response.status
                await response.prepare(request)
                await _copy(upstream, response, record)
        except TimeoutError:
            failure = Refused(504, "the request timed out")
        except (aiohttp.ClientError, ValueError) as error:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client went away") from error
            failure = record.bad_body or Refused(self._failure, f"no answer: {error}")
        else:
            return response
        if response is None or not response.prepared:
            raise failure
        # Half an answer must not look like a whole one.
        record.detail = f"cut off: {failure}"
        if request.transport is not None:
            request.transport.abort()
        return response

    @property
    def _failure(self) -> int:
        return HTTPStatus.BAD_GATEWAY if self._front else HTTPStatus.SERVICE_UNAVAILABLE

    def _page(self, status: int) -> web.Response:
        phrase = HTTPStatus(status).phrase
        if not self._front:
            return web.Response(status=status, text=f"{phrase}\n", headers={"Cache-Control": "no-store"})
        body = PAGE.format(status=status, phrase=html.escape(phrase), hint=HINTS.get(status, ""))
        return web.Response(status=status, text=body, content_type="text/html", headers={"Cache-Control": "no-store"})

    def _log_request(self, request: web.BaseRequest, record: Record, *, function: str | None, seconds: float) -> None:
        self._log.event(
            "request",
            severity="WARNING" if record.status >= 500 else "INFO",
            function=function,
            method=request.method,
            # Without the query: tokens travel there.
            path=request.raw_path.partition("?")[0][:LONGEST_LOGGED_PATH],
            status=record.status,
            bytes=record.bytes_sent,
            seconds=round(seconds, 4),
            pid=record.pid,
            remote=request.remote,
            detail=record.detail,
        )


HINTS = {
    429: "There was no available instance. Please try again later.",
    502: "The server encountered a temporary error and could not complete your request."
    " Please try again in 30 seconds.",
    504: "The server took too long to answer.",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{status} {phrase}</title></head>
<body><h1>Error: {phrase}</h1><p>{hint}</p></body></html>
"""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send the request once: the library would repeat a GET whose connection broke, and start the work twice."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError as error:
        if error.os_error.errno in (errno.ECONNREFUSED, errno.ENOENT):
            raise Unreachable from error
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


def _session(instance: Instance) -> aiohttp.ClientSession:
    # One connection per request: a frozen instance cannot close a kept one in time, and closing it is how a
    # function learns that its client is gone.
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(path=str(instance.socket), force_close=True),
        middlewares=(_once,),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_AUTOMATIC,
        timeout=_NO_TIMEOUT,
        max_field_size=LARGEST_ANSWER_FIELD_BYTES,
    )


def _call(
    session: aiohttp.ClientSession, request: web.BaseRequest, target: str, record: Record
) -> aiohttp.client._RequestContextManager:
    return session.request(
        request.method,
        # The whole target as an already encoded path: any other way, the library would make it canonical.
        URL.build(scheme="http", host="localhost", path=target, encoded=True),
        headers=headers.for_instance(request.headers, client=request.remote or "unknown", scheme="http"),
        data=_body(request, record) if request.body_exists else None,
        allow_redirects=False,
    )


async def _body(request: web.BaseRequest, record: Record) -> AsyncIterator[bytes]:
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    size = 0
    try:
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > LARGEST_BODY_BYTES:
                record.bad_body = Refused(413, "the body is too large")
                raise record.bad_body
            yield chunk
    except web.RequestPayloadError as error:
        record.bad_body = Refused(400, f"the body is broken: {error}")
        raise record.bad_body from error


def _head(upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    if upstream.status < HTTPStatus.OK:
        raise ValueError(f"status {upstream.status} is no answer")
    return web.StreamResponse(
        status=upstream.status, reason=upstream.reason, headers=headers.for_client(upstream.headers)
    )


async def _copy(upstream: aiohttp.ClientResponse, response: web.StreamResponse, record: Record) -> None:
    async for chunk in upstream.content.iter_any():
        await response.write(chunk)
        record.bytes_sent += len(chunk)
    await response.write_eof()
