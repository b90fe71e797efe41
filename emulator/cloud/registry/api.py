"""The registry's HTTP face: a table of routes, and one short method for each."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from emulator.cloud.registry.access import Access
from emulator.cloud.registry.errors import RegistryError
from emulator.cloud.registry.manifests import MAX_BYTES, references
from emulator.cloud.registry.names import is_digest, is_name, is_tag
from emulator.cloud.registry.storage import Manifest, Storage, digest_of
from emulator.cloud.registry.uploads import Upload, Uploads

log = logging.getLogger(__name__)

BLOCK_BYTES = 1024 * 1024
MAX_PAGE = 1000

_RANGE = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")

Handler = Callable[..., Awaitable[web.StreamResponse]]


class RegistryApi:
    """Answers every request below /v2/."""

    def __init__(self, storage: Storage, uploads: Uploads, access: Access) -> None:
        self._storage = storage
        self._uploads = uploads
        self._access = access
        # Path, with the handler of each method. Names may hold slashes; the rest of a path says where they end.
        self._routes: list[tuple[re.Pattern[str], dict[str, Handler]]] = [
            (re.compile(r"/v2/?"), {"GET": self._version, "HEAD": self._version}),
            (re.compile(r"/v2/_catalog"), {"GET": self._catalog}),
            (re.compile(r"/v2/(?P<name>.+)/tags/list"), {"GET": self._tags}),
            (re.compile(r"/v2/(?P<name>.+)/blobs/uploads/?"), {"POST": self._begin_upload}),
            (
                re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload_id>[^/]+)"),
                {
                    "GET": self._upload_status,
                    "PATCH": self._append,
                    "PUT": self._finish,
                    "DELETE": self._cancel,
                },
            ),
            (re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)"), {"GET": self._blob, "HEAD": self._blob}),
            (
                re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)"),
                {
                    "GET": self._manifest,
                    "HEAD": self._manifest,
                    "PUT": self._put_manifest,
                    "DELETE": self._delete_manifest,
                },
            ),
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; refusals come in the specification's JSON."""
        try:
            user = self._access.user(request.headers.get("Authorization", ""))
            handler, arguments = self._find(request)
            if request.method not in ("GET", "HEAD"):
                self._access.check_push(user, arguments["name"])
            return await handler(request, **arguments)
        except RegistryError as error:
            return error.response()

    def _find(self, request: web.Request) -> tuple[Handler, dict[str, str]]:
        for pattern, methods in self._routes:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            if request.method not in methods:
                raise RegistryError("UNSUPPORTED", f"{request.method} is not supported here")
            arguments = match.groupdict()
            _check(**arguments)
            return methods[request.method], arguments
        raise RegistryError("NAME_UNKNOWN", "no such address")

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def _catalog(self, request: web.Request) -> web.Response:
        names, headers = _page(request, await asyncio.to_thread(self._storage.catalog))
        return web.json_response({"repositories": names}, headers=headers)

    async def _tags(self, request: web.Request, name: str) -> web.Response:
        tags, headers = _page(request, self._storage.tags(name))
        return web.json_response({"name": name, "tags": tags}, headers=headers)

    async def _blob(self, _request: web.Request, name: str, digest: str) -> web.StreamResponse:
        path = self._storage.blob(name, digest)
        # FileResponse knows HEAD, ranges and sendfile.
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return web.FileResponse(path, chunk_size=256 * 1024, headers=headers)

    async def _begin_upload(self, request: web.Request, name: str) -> web.Response:
        if (mounted := request.query.get("mount")) and self._mount(name, mounted, request.query.get("from", "")):
            return _created_blob(name, mounted)
        upload_id = self._uploads.begin(name)
        if request.query.get("digest"):
            return await self._finish(request, name, upload_id)
        return _upload_at(name, upload_id, size=0, status=202)

    def _mount(self, name: str, digest: str, source: str) -> bool:
        """Take a blob over from another repository; False when there is none to take, which begins an upload."""
        if not is_digest(digest) or not is_name(source):
            return False
        try:
            self._storage.blob(source, digest)
        except RegistryError:
            return False
        self._storage.link_blob(name, digest)
        return True

    async def _upload_status(self, _request: web.Request, name: str, upload_id: str) -> web.Response:
        return _upload_at(name, upload_id, size=self._uploads.size(name, upload_id), status=204)

    async def _append(self, request: web.Request, name: str, upload_id: str) -> web.Response:
        upload = await asyncio.to_thread(self._uploads.open, name, upload_id)
        try:
            await _receive(request, upload)
        finally:
            self._uploads.leave(name, upload_id, upload)
        return _upload_at(name, upload_id, size=upload.size, status=202)

    async def _finish(self, request: web.Request, name: str, upload_id: str) -> web.Response:
        digest = request.query.get("digest", "")
        if not is_digest(digest):
            raise RegistryError("DIGEST_INVALID", "a blob is closed with digest=sha256:<64 hex digits>")
        upload = await asyncio.to_thread(self._uploads.open, name, upload_id)
        try:
            await _receive(request, upload)
            if upload.digest != digest:
                self._uploads.cancel(name, upload_id)
                raise RegistryError("DIGEST_INVALID", f"the content has digest {upload.digest}")
            self._uploads.keep(name, upload_id, self._storage.blob_path(digest))
        finally:
            self._uploads.leave(name, upload_id, upload)
        self._storage.link_blob(name, digest)
        return _created_blob(name, digest)

    async def _cancel(self, _request: web.Request, name: str, upload_id: str) -> web.Response:
        self._uploads.size(name, upload_id)
        self._uploads.cancel(name, upload_id)
        return web.Response(status=204)

    async def _manifest(self, request: web.Request, name: str, reference: str) -> web.Response:
        manifest = self._storage.manifest(name, reference)
        headers = {"Docker-Content-Digest": manifest.digest, "Content-Type": manifest.media_type}
        if request.method == "HEAD":
            return web.Response(headers=headers | {"Content-Length": str(len(manifest.content))})
        return web.Response(body=manifest.content, headers=headers)

    async def _put_manifest(self, request: web.Request, name: str, reference: str) -> web.Response:
        content = await _bounded(request)
        digest = digest_of(content)
        if is_digest(reference) and reference != digest:
            raise RegistryError("DIGEST_INVALID", f"the content has digest {digest}")
        needed = references(content, request.content_type)
        for blob in needed.blobs:
            self._need_blob(name, blob)
        for child in needed.manifests:
            if not self._storage.has_manifest(name, child):
                raise RegistryError("MANIFEST_BLOB_UNKNOWN", f"{name} has no manifest {child}")
        self._storage.put_manifest(name, reference, Manifest(digest, request.content_type, content))
        log.info("pushed %s %s as %s", name, digest, reference)
        location = f"/v2/{name}/manifests/{digest}"
        return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})

    def _need_blob(self, name: str, digest: str) -> None:
        try:
            self._storage.blob(name, digest)
        except RegistryError as error:
            raise RegistryError("MANIFEST_BLOB_UNKNOWN", str(error)) from error

    async def _delete_manifest(self, _request: web.Request, name: str, reference: str) -> web.Response:
        self._storage.delete_manifest(name, reference)
        return web.Response(status=202)


def _check(*, name: str = "a", digest: str = "", reference: str = "", upload_id: str = "") -> None:
    """Refuse what could not be a name, digest or tag, before any of it becomes a path."""
    if not is_name(name):
        raise RegistryError("NAME_INVALID", "invalid repository name")
    if digest and not is_digest(digest):
        raise RegistryError("DIGEST_INVALID", "invalid digest: expected sha256:<64 hex digits>")
    if reference and not (is_tag(reference) or is_digest(reference)):
        raise RegistryError("MANIFEST_UNKNOWN", "invalid tag or digest")


async def _receive(request: web.Request, upload: Upload) -> None:
    """Append the body, block by block; what a broken connection left stays and counts."""
    if (announced := request.headers.get("Content-Range")) is not None:
        match = _RANGE.fullmatch(announced)
        if match is None or int(match[1]) != upload.size or int(match[2]) < int(match[1]) - 1:
            raise RegistryError("RANGE_INVALID", f"the next byte is {upload.size}")
    block = bytearray()
    async for data in request.content.iter_any():
        block += data
        if len(block) >= BLOCK_BYTES:
            await asyncio.to_thread(upload.write, bytes(block))
            block.clear()
    if block:
        await asyncio.to_thread(upload.write, bytes(block))


async def _bounded(request: web.Request) -> bytes:
    content = bytearray()
    async for data in request.content.iter_any():
        content += data
        if len(content) > MAX_BYTES:
            raise RegistryError("SIZE_INVALID", f"a manifest may have {MAX_BYTES} bytes")
    return bytes(content)


def _page(request: web.Request, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """One page of *names* after `last`, at most `n`, and the Link to the next."""
    size = request.query.get("n", str(MAX_PAGE))
    if not re.fullmatch(r"[0-9]{1,9}", size):
        raise RegistryError("UNSUPPORTED", "n is a number")
    rest = [name for name in names if name > request.query.get("last", "")]
    page = rest[: min(int(size), MAX_PAGE)]
    if not page or len(page) == len(rest):
        return page, {}
    return page, {"Link": f'<{request.path}?n={len(page)}&last={quote(page[-1], safe="")}>; rel="next"'}


def _upload_at(name: str, upload_id: str, *, size: int, status: int) -> web.Response:
    return web.Response(
        status=status,
        headers={
            "Location": f"/v2/{name}/blobs/uploads/{upload_id}",
            # The position of the last byte; an empty upload says 0-0 as well, as every registry does.
            "Range": f"0-{max(0, size - 1)}",
            "Docker-Upload-UUID": upload_id,
        },
    )


def _created_blob(name: str, digest: str) -> web.Response:
    location = f"/v2/{name}/blobs/{digest}"
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})
