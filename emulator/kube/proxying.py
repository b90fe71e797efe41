"""The proxy of the API server: requests to a pod, to a pod of a service, or to a kubelet, passed on."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

from emulator.kube import impersonation
from emulator.kube.cluster import Cluster
from emulator.kube.errors import ApiError, bad_request, service_unavailable
from emulator.kube.kinds import ENDPOINTS, NODES, PODS, SERVICES
from emulator.kube.objects import Object, dig, name_of
from emulator.kube.pod_logs import kubelet_url
from emulator.kube.routes import Target
from emulator.kube.store import Key

# What concerns one connection only, or tells a pod who its caller is to the API server.
NOT_PASSED_ON = ("authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name like `https:web:http` leads: scheme, object and port (a number, a name or nothing)."""

    scheme: str
    name: str
    port: str


def place_of(name: str) -> Place:
    """Read the name in a path of the proxy: `name`, `name:port`, `scheme:name:port`."""
    parts = name.split(":")
    if len(parts) == 3 and parts[0] in ("http", "https"):
        return Place(parts[0], parts[1], parts[2])
    if len(parts) <= 2 and all(parts):
        return Place("http", parts[0], parts[1] if len(parts) == 2 else "")
    raise bad_request(f"invalid service request {name!r}".replace("'", '"'))


def address(cluster: Cluster, target: Target) -> str:
    """Return the base URL that a target of the proxy means. Raises ApiError."""
    place = place_of(target.name)
    if target.resource is NODES:
        return kubelet_url(cluster, place.name)
    if target.resource is PODS:
        pod = cluster.existing(PODS, target.namespace, place.name)
        ip = dig(pod, "status", "podIP")
        if not ip:
            raise bad_request("address not allowed")
        return f"{place.scheme}://{ip}:{_pod_port(pod, place.port)}"
    service = cluster.existing(SERVICES, target.namespace, place.name)
    return f"{place.scheme}://{_endpoint(cluster, target.namespace, service, place.port)}"


def _pod_port(pod: Object, port: str) -> int:
    listed = [each for container in pod["spec"]["containers"] for each in container.get("ports") or []]
    if port.isascii() and port.isdecimal():
        if not 0 < int(port[:6]) < 65536:
            raise bad_request(f"invalid port: {port[:6]}")
        return int(port)
    if port:
        number = next((each["containerPort"] for each in listed if each.get("name") == port), None)
        if number is None:
            raise bad_request(f'pod "{name_of(pod)}" has no port "{port}"')
        return int(number)
    return int(listed[0]["containerPort"]) if listed else 80


def _endpoint(cluster: Cluster, namespace: str, service: Object, port: str) -> str:
    name = _port_name(service, port)
    endpoints = cluster.store.get(Key(ENDPOINTS.id, namespace, name_of(service)))
    found: list[str] = []
    for subset in (endpoints or {}).get("subsets") or []:
        numbers = [each["port"] for each in subset.get("ports") or [] if each.get("name", "") == name]
        found += [f"{each['ip']}:{number}" for each in subset.get("addresses") or [] for number in numbers]
    if not found:
        raise service_unavailable(f'no endpoints available for service "{name_of(service)}"')
    return secrets.choice(found)


def _port_name(service: Object, port: str) -> str:
    listed: Sequence[Object] = dig(service, "spec", "ports") or []
    if not port and len(listed) == 1:
        return str(listed[0].get("name", ""))
    for each in listed:
        if port in (each.get("name", ""), str(each.get("port"))):
            return str(each.get("name", ""))
    raise service_unavailable(f'no service port "{port}" found for service "{name_of(service)}"')


async def pass_on(request: web.Request, session: aiohttp.ClientSession, base: str, path: str) -> web.StreamResponse:
    """Send a request to *base* and stream its answer back."""
    url = URL(f"{base}/{path}", encoded=True).with_query(request.rel_url.query)
    headers = {name: value for name, value in request.headers.items() if _is_passed_on(name)}
    body = await request.read()
    try:
        upstream = await session.request(request.method, url, data=body or None, headers=headers, allow_redirects=False)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _unreachable(error, url) from error
    async with upstream:
        kept = {name: value for name, value in upstream.headers.items() if _is_passed_on(name)}
        response = web.StreamResponse(status=upstream.status, headers=kept)
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _is_passed_on(header: str) -> bool:
    return header.lower() not in NOT_PASSED_ON and not header.lower().startswith(impersonation.HEADERS)


def _unreachable(error: Exception, url: URL) -> ApiError:
    refused = isinstance(error, aiohttp.ClientConnectorError)
    why = "connect: connection refused" if refused else str(error) or type(error).__name__
    return service_unavailable(f"error trying to reach service: dial tcp {url.host}:{url.port}: {why}")


def rest_of(raw_path: str) -> str:
    """Return what follows `/proxy/` in a path, still quoted."""
    return raw_path.partition("/proxy/")[2]
