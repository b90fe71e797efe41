"""The HTTP edge: who asks, what is meant, and the answer as bytes. Decides nothing about objects."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import aiohttp
from aiohttp import web

from emulator.kube import bodies, discovery, proxying, reads, reviews, tables
from emulator.kube.authentication import Tokens, authorize
from emulator.kube.cluster import Cluster
from emulator.kube.deletion import delete, delete_options
from emulator.kube.errors import ApiError, internal_error, method_not_allowed, no_such_resource
from emulator.kube.impersonation import impersonated
from emulator.kube.kinds import NODES
from emulator.kube.kinds.reviews import BINDINGS
from emulator.kube.objects import Object, dig, name_of, namespace_of, uid_of
from emulator.kube.options import WriteOptions, dry_run, write_options
from emulator.kube.patching import patch
from emulator.kube.pod_actions import bind_request, evict_request
from emulator.kube.pod_streams import pass_on_stream
from emulator.kube.resource import Resource
from emulator.kube.routes import STREAMS, Target, target_of
from emulator.kube.streaming import Lines, send_log, send_watch
from emulator.kube.users import User
from emulator.kube.watching import Bell
from emulator.kube.writes import create, decode, replace

log = logging.getLogger(__name__)

LARGEST_BODY_BYTES = 3 * 1024 * 1024
HEALTH = ("/healthz", "/livez", "/readyz")
HEALTH_CHECKS = ("ping", "log", "etcd")
Handler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]
# Clients take a header of some kilobytes, not more.
MOST_WARNINGS, LONGEST_WARNING = 20, 200


@dataclass(slots=True)
class Server:
    """Answers requests to the API of one cluster."""

    cluster: Cluster
    tokens: Tokens
    bell: Bell = field(default_factory=Bell)
    lines: Lines = field(default_factory=Lines)
    kubelets: aiohttp.ClientSession | None = None
    pods: aiohttp.ClientSession | None = None

    def __post_init__(self) -> None:
        self.cluster.store.listen(self.bell.ring)

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self.answer)
        app.cleanup_ctx.append(self._sessions)
        return app

    async def _sessions(self, _app: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        headers = {"Authorization": f"Bearer {self.tokens.for_kubelets}"}
        connector = aiohttp.TCPConnector(limit=0)
        # Pods are strangers: they get a session of their own, without any token.
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector) as self.kubelets,
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as self.pods,
        ):
            yield

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer any request; what goes wrong becomes a Status."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return json_response(error.status(), error.code)
        except web.HTTPRequestEntityTooLarge:
            too_large = ApiError(413, "RequestEntityTooLarge", f"limit is {LARGEST_BODY_BYTES}")
            return json_response(too_large.status(), too_large.code)
        except ConnectionError:
            # The client went away in the middle of a stream: there is nobody to answer.
            raise
        except Exception as failure:
            log.exception("%s %s", request.method, request.path)
            broken = internal_error(type(failure).__name__)
            return json_response(broken.status(), broken.code)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        target = target_of(path)
        watching = target is not None and not target.name and reads.truth(request.query.get("watch"))
        verb = (target and target.verb(request.method)) or request.method.lower()
        user = self.tokens.user(request.headers.get("Authorization", ""))
        user = impersonated(user, request.headers, self.cluster.store)
        fields, verb_asked = request.query.get("fieldSelector", ""), "watch" if watching else verb
        authorize(user, self.cluster.store, path, verb=verb_asked, target=target, fields=fields)
        if target is None:
            return _document(request, path)
        if target.verb(request.method) is None:
            raise method_not_allowed()
        if not target.resource.stored:
            return await self._review(request, target, user)
        if target.part:
            return await self._part(request, target, user)
        handlers: dict[str, Handler] = {
            "get": self._get,
            "list": self._list,
            "create": partial(self._create, user=user),
            "update": partial(self._update, user=user),
            "patch": partial(self._patch, user=user),
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return await handlers[verb](request, target)

    async def _part(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        if target.part == "log":
            assert self.kubelets is not None
            return await send_log(request, self.cluster, self.kubelets, target)
        if target.part == "proxy":
            session = self.kubelets if target.resource is NODES else self.pods
            assert session is not None
            base = proxying.address(self.cluster, target)
            return await proxying.pass_on(request, session, base, proxying.rest_of(request.rel_url.raw_path))
        if target.part in STREAMS:
            assert self.kubelets is not None
            return await pass_on_stream(request, self.cluster, self.kubelets, target)
        if target.part in ("binding", "eviction"):
            kind = {"binding": "Binding", "eviction": "Eviction"}[target.part]
            body = bodies.parse(kind, await request.read(), request.content_type)
            action = bind_request if target.part == "binding" else evict_request
            tries = dry_run(request.query, "CreateOptions")
            return json_response(action(self.cluster, target.namespace, target.name, body, dry_run=tries), 201)
        if request.method == "GET":
            return await self._get(request, target)
        write = self._update if request.method == "PUT" else self._patch
        return await write(request, target, user=user)

    async def _review(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        body = bodies.parse(target.resource.kind, await request.read(), request.content_type)
        if target.resource is BINDINGS:
            name = str((dig(body, "metadata", "name")) or "")
            tries = dry_run(request.query, "CreateOptions")
            return json_response(bind_request(self.cluster, target.namespace, name, body, dry_run=tries), 201)
        review = decode(target.resource, body)
        answered = reviews.answer(self.cluster, target.resource, review, user=user, namespace=target.namespace)
        return json_response(answered, 201)

    def _rendered(
        self,
        request: web.Request,
        resource: Resource,
        obj: Object,
        code: int = 200,
        *,
        warnings: Sequence[str] = (),
    ) -> web.Response:
        answer = json_response(tables.render(resource, obj, _view(request), now=self.cluster.now()), code)
        for text in warnings[:MOST_WARNINGS]:
            answer.headers.add("Warning", f'299 - "{_quoted(text)}"')
        return answer

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        obj = self.cluster.existing(target.resource, target.namespace, target.name)
        return self._rendered(request, target.resource, obj)

    async def _list(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = reads.list_options(request.query)
        view = _view(request)
        if options.watch:
            return await send_watch(request, self.cluster, self.bell, target, options, view, self.lines)
        found, meta = reads.listing(self.cluster.store, target.resource, target.namespace, options)
        return json_response(tables.render_list(target.resource, found, meta, view, now=self.cluster.now()))

    async def _create(self, request: web.Request, target: Target, *, user: User) -> web.StreamResponse:
        body = bodies.parse(target.resource.kind, await request.read(), request.content_type)
        options = _write_options(request, "CreateOptions", user)
        obj = create(self.cluster, target.resource, target.namespace, body, options)
        return self._rendered(request, target.resource, obj, 201, warnings=options.warnings)

    async def _update(self, request: web.Request, target: Target, *, user: User) -> web.StreamResponse:
        body = bodies.parse(target.resource.kind, await request.read(), request.content_type)
        options = _write_options(request, "UpdateOptions", user)
        place = (target.resource, target.namespace, target.name)
        obj, created = replace(self.cluster, *place, body, options, part=target.part)
        return self._rendered(request, target.resource, obj, 201 if created else 200, warnings=options.warnings)

    async def _patch(self, request: web.Request, target: Target, *, user: User) -> web.StreamResponse:
        media_type = request.content_type
        body = bodies.parse_patch(await request.read(), media_type) if "patch+" in media_type else None
        options = _write_options(request, "PatchOptions", user)
        obj, created = patch(
            self.cluster,
            target.resource,
            target.namespace,
            target.name,
            body,
            options,
            media_type=media_type,
            query=dict(request.query),
            part=target.part,
        )
        return self._rendered(request, target.resource, obj, 201 if created else 200, warnings=options.warnings)

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = delete_options(bodies.parse_options(await request.read(), request.content_type), dict(request.query))
        obj, gone = delete(self.cluster, target.resource, target.namespace, target.name, options)
        if gone and not target.resource.answers_deleted_object:
            return json_response(_deleted(target.resource, obj))
        return self._rendered(request, target.resource, obj)

    async def _delete_collection(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = delete_options(bodies.parse_options(await request.read(), request.content_type), dict(request.query))
        chosen = reads.list_options(request.query)
        found, meta = reads.listing(self.cluster.store, target.resource, target.namespace, chosen)
        for obj in found:
            delete(self.cluster, target.resource, namespace_of(obj), name_of(obj), options)
        return json_response(reads.list_object(target.resource, found, meta))


def _quoted(text: str) -> str:
    """Write a stranger's text so that it can stand in quotes in a header: printable ASCII, quotes escaped."""
    plain = text[:LONGEST_WARNING].encode("unicode_escape").decode("ascii")
    return plain.replace('"', '\\"')


def _write_options(request: web.Request, kind: str, user: User) -> WriteOptions:
    agent = request.headers.get("User-Agent", "unknown")
    return write_options(request.query, kind, user_agent=agent, user=user)


def _view(request: web.Request) -> tables.View:
    return tables.view_of(request.headers.get("Accept", ""), request.query.get("includeObject", ""))


def _deleted(resource: Resource, obj: Object) -> Object:
    details = {"name": name_of(obj), "group": resource.group, "kind": resource.plural, "uid": uid_of(obj)}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return status | {"details": {key: value for key, value in details.items() if value}}


def _document(request: web.Request, path: str) -> web.Response:
    root = f"/{path.strip('/').partition('/')[0]}"
    if root in HEALTH:
        return _health(path.strip("/"), verbose="verbose" in request.query)
    document = discovery.document(path)
    if document is None and path.startswith(("/api/", "/apis/")):
        raise no_such_resource()
    if document is None:
        return json_response({"paths": discovery.paths()}, 404)
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    return json_response(document)


def _health(path: str, *, verbose: bool) -> web.Response:
    name, _, check = path.partition("/")
    if check and check not in HEALTH_CHECKS:
        return json_response({"paths": discovery.paths()}, 404)
    lines = [f"[+]{check} ok" for check in HEALTH_CHECKS] + [f"{name} check passed\n"]
    return web.Response(text="\n".join(lines) if verbose else "ok")


def json_response(answer: Mapping[str, object], code: int = 200) -> web.Response:
    return web.Response(body=json.dumps(answer).encode(), status=code, content_type="application/json")
