"""Liveness and startup probes."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, cast

import pytest
from aiohttp import web

from emulator.kubelet.probes import Failed, Target, ask
from tests.emulator.kubelet.cluster import PYTHON, Namespace


def test_a_container_that_fails_its_liveness_probe_is_started_again(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["test", "-f", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    script = "touch /tmp/alive; sleep 1; rm /tmp/alive; sleep 600"
    namespace.run(script, restart="Always", livenessProbe=probe, terminationGracePeriodSeconds=1)
    namespace.wait(lambda pod: (pod["status"].get("containerStatuses") or [{}])[0].get("restartCount", 0) >= 1)
    assert namespace.event("Killing") == "Container main failed liveness probe, will be restarted"
    assert "Liveness probe failed" in namespace.event("Unhealthy")


def test_a_container_that_fails_for_good_ends_its_pod(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    namespace.run("sleep 600", livenessProbe=probe, terminationGracePeriodSeconds=1)
    assert namespace.phase("Failed")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143


def test_a_container_that_is_slow_to_start_is_given_time(namespace: Namespace) -> None:
    started = {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 30}
    alive = {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 1}
    namespace.run("sleep 2; touch /tmp/up; sleep 600", startupProbe=started, livenessProbe=alive)
    first = namespace.phase("Running")["status"]["containerStatuses"][0]
    assert (first["started"], first["ready"]) == (False, False)
    up = namespace.wait(lambda pod: pod["status"]["containerStatuses"][0]["ready"])["status"]["containerStatuses"][0]
    assert (up["started"], up["restartCount"]) == (True, 0)


def test_an_http_probe_asks_the_address_of_the_pod(namespace: Namespace) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    serve = f"cd /tmp; exec {PYTHON} -m http.server 8080 --bind $POD_IP"
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    namespace.run(serve, readinessProbe=probe, env=[address])
    namespace.wait(lambda pod: (pod["status"].get("containerStatuses") or [{}])[0].get("ready"))


def test_a_probe_may_say_how_long_who_fails_it_has_to_end(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    given = probe | {"terminationGracePeriodSeconds": 1}
    namespace.run(deaf, livenessProbe=given, terminationGracePeriodSeconds=600)
    ended = namespace.phase("Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 137


async def _answer(request: web.BaseRequest) -> web.Response:
    to = {
        "/good": "/fine",
        "/bad": "/none",
        "/loop": "/loop",
        "/elsewhere": "http://localhost:9/none",
        "/port": "http://127.0.0.1:9/none",
    }
    if request.path in to:
        return web.Response(status=HTTPStatus.FOUND, headers={"Location": to[request.path]})
    if request.path == "/nowhere":
        return web.Response(status=HTTPStatus.FOUND)
    return web.Response(status=HTTPStatus.OK if request.path == "/fine" else HTTPStatus.NOT_FOUND)


async def _asked(path: str) -> None:
    """Probe a server of its own for *path*."""
    runner = web.ServerRunner(web.Server(_answer))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target = Target(address="127.0.0.1", spec={}, process=cast(Any, None), runtime=cast(Any, None))
        await ask({"httpGet": {"path": path, "port": runner.addresses[0][1]}}, target)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("path", ["/fine", "/good", "/elsewhere", "/nowhere"])
def test_redirects_are_followed_within_the_host_and_elsewhere_count_as_an_answer(path: str) -> None:
    asyncio.run(_asked(path))


@pytest.mark.parametrize(("path", "why"), [("/bad", "404"), ("/loop", "stopped after 10 redirects")])
def test_what_a_redirect_leads_to_counts(path: str, why: str) -> None:
    with pytest.raises(Failed, match=why):
        asyncio.run(_asked(path))


def test_a_redirect_to_another_port_of_the_host_is_followed() -> None:
    with pytest.raises(OSError, match="9"):
        asyncio.run(_asked("/port"))
