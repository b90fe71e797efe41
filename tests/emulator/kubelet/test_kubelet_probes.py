"""Liveness and startup probes."""

from __future__ import annotations

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
