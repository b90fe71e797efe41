"""The part of Cloud Storage that reading logs needs: objects by their public address and by the JSON API, with ranges.

https://cloud.google.com/storage/docs/xml-api/get-object-download and
https://cloud.google.com/storage/docs/json_api/v1/objects/get
"""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from emulator.cloud.builds.logs import Buckets
from emulator.cloud.builds.messages import timestamp
from emulator.cloud.builds.token import Guard

_NOTHING = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code>"
    "<Message>The specified key does not exist.</Message></Error>"
)


class StorageApi:
    """Reads objects; who asks needs the token."""

    def __init__(self, buckets: Buckets, guard: Guard) -> None:
        self._buckets = buckets
        self._guard = guard

    def routes(self) -> list[web.RouteDef]:
        name = "{name:log-[^/]+}"
        return [
            web.get(f"/storage/v1/b/{{bucket}}/o/{name}", self._guard(self._by_json)),
            web.get(f"/download/storage/v1/b/{{bucket}}/o/{name}", self._guard(self._media)),
            web.get(f"/{{bucket}}/{name}", self._guard(self._media)),
        ]

    async def _by_json(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("alt") == "media":
            return await self._media(request)
        path = self._find(request)
        if path is None:
            message = f"No such object: {request.match_info['bucket']}/{request.match_info['name']}"
            error = {"code": 404, "message": message, "errors": [{"message": message, "reason": "notFound"}]}
            return web.json_response({"error": error}, status=404)
        return web.json_response(_resource(request.match_info["bucket"], path))

    async def _media(self, request: web.Request) -> web.StreamResponse:
        path = self._find(request)
        if path is None:
            return web.Response(status=404, text=_NOTHING, content_type="application/xml")
        headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "private, max-age=0"}
        return web.FileResponse(path, headers=headers)

    def _find(self, request: web.Request) -> Path | None:
        return self._buckets.find(request.match_info["bucket"], request.match_info["name"])


def _resource(bucket: str, path: Path) -> dict[str, str]:
    about = path.stat()
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{path.name}/{about.st_mtime_ns // 1000}",
        "bucket": bucket,
        "name": path.name,
        "generation": str(about.st_mtime_ns // 1000),
        "metageneration": "1",
        "contentType": "text/plain; charset=utf-8",
        "size": str(about.st_size),
        "updated": timestamp(about.st_mtime),
    }
