"""Cloud Build's REST addresses, of the global location and of regions.

https://cloud.google.com/build/docs/api/reference/rest
"""

from __future__ import annotations

from aiohttp import web

from emulator.cloud.builds.errors import ApiError, invalid
from emulator.cloud.builds.messages import MAX_REQUEST_BYTES, operation, parse_build
from emulator.cloud.builds.queue import Queue
from emulator.cloud.builds.service import GLOBAL, Builds, check_open
from emulator.cloud.builds.switches import BuildFaults
from emulator.cloud.builds.token import Guard

_UNAVAILABLE = "The service is currently unavailable."


class BuildsApi:
    """Answers below /v1/projects/PROJECT/."""

    def __init__(self, builds: Builds, queue: Queue, faults: BuildFaults, guard: Guard, *, project: str) -> None:
        self._builds = builds
        self._queue = queue
        self._faults = faults
        self._guard = guard
        self._project = project

    def routes(self) -> list[web.RouteDef]:
        found: list[web.RouteDef] = []
        for place in ("/v1/projects/{project}", "/v1/projects/{project}/locations/{location}"):
            one = f"{place}/builds/{{id:[^/:]+}}"
            found += [
                web.post(f"{place}/builds", self._guard(self._create)),
                web.get(f"{place}/builds", self._guard(self._list)),
                web.get(one, self._guard(self._get)),
                web.post(f"{one}:cancel", self._guard(self._cancel)),
                web.post(f"{one}:retry", self._guard(self._retry)),
            ]
        return [
            *found,
            web.get("/v1/operations/build/{project}/{id}", self._guard(self._operation)),
            web.route("*", "/v1/{rest:.*}", self._guard(self._nothing)),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        location = self._location(request)
        if self._faults.refuses():
            raise ApiError("UNAVAILABLE", _UNAVAILABLE)
        asked = parse_build(await _body(request))
        return self._created(self._builds.create(location, asked, waits=self._queue.full))

    def _created(self, build: dict[str, object]) -> web.Response:
        self._queue.take(str(build["id"]))
        if self._faults.loses_answer():
            raise ApiError("UNAVAILABLE", _UNAVAILABLE)
        return web.json_response(operation(build))

    async def _retry(self, request: web.Request) -> web.Response:
        await _body(request)
        location, build_id = self._location(request), request.match_info["id"]
        return self._created(self._builds.again(location, build_id, waits=self._queue.full))

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._builds.get(self._location(request), request.match_info["id"]))

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        size = query.get("pageSize", query.get("page_size", "0"))
        if not size.isdecimal():
            raise invalid(f"Invalid value at 'page_size' (TYPE_INT32), {size[:50]!r}", field="page_size")
        builds, token = self._builds.page(
            self._location(request),
            text=query.get("filter", ""),
            page_size=int(size[:9]),
            page_token=query.get("pageToken", query.get("page_token", "")),
        )
        answer: dict[str, object] = {"builds": builds} if builds else {}
        return web.json_response(answer | ({"nextPageToken": token} if token else {}))

    async def _cancel(self, request: web.Request) -> web.Response:
        await _body(request)
        build_id = request.match_info["id"]
        check_open(self._builds.get(self._location(request), build_id))
        return web.json_response(await self._queue.cancel(build_id))

    async def _operation(self, request: web.Request) -> web.Response:
        self._check_project(request)
        try:
            build = self._builds.current(request.match_info["id"]).build
        except KeyError as error:
            raise ApiError("NOT_FOUND", "Requested entity was not found.") from error
        return web.json_response(operation(build))

    async def _nothing(self, request: web.Request) -> web.Response:
        raise ApiError("NOT_FOUND", f"The emulator of Cloud Build does not know {request.method} {request.path[:200]}.")

    def _location(self, request: web.Request) -> str:
        self._check_project(request)
        return request.match_info.get("location", GLOBAL)

    def _check_project(self, request: web.Request) -> None:
        if request.match_info["project"] != self._project:
            raise ApiError("PERMISSION_DENIED", "The caller does not have permission")


async def _body(request: web.Request) -> bytes:
    body = await request.content.read(MAX_REQUEST_BYTES + 1)
    while not request.content.at_eof() and len(body) <= MAX_REQUEST_BYTES:
        body += await request.content.read(MAX_REQUEST_BYTES + 1 - len(body))
    if len(body) > MAX_REQUEST_BYTES:
        raise invalid("Request payload size exceeds the limit.")
    return body
