"""Container states to pod status, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emulator.kubelet.states import ContainerRecord, PodRecord, Running, State, Terminated, Waiting
from emulator.kubelet.status import pod_phase, pod_status, qos_class, records_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WAITING, RUNNING = Waiting("ContainerCreating"), Running(NOW)
GOOD = Terminated(exit_code=0, reason="Completed", finished_at=NOW)
BAD = Terminated(exit_code=1, reason="Error", finished_at=NOW)
CRASHED = Waiting("CrashLoopBackOff")


def container(state: State, name: str = "main", **changes: Any) -> ContainerRecord:
    return replace(ContainerRecord(name=name, image="i", state=state), **changes)


def record(*states: State, init: tuple[State, ...] = (), **changes: Any) -> PodRecord:
    made = PodRecord(
        init=tuple(container(state, f"i{n}") for n, state in enumerate(init)),
        containers=tuple(container(state, f"c{n}") for n, state in enumerate(states)),
        host_ip="127.0.0.1",
        started_at=NOW,
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("policy", "pod", "phase"),
    [
        ("Always", record(WAITING), "Pending"),
        ("Always", record(RUNNING), "Running"),
        ("Always", record(RUNNING, WAITING), "Pending"),
        ("Always", record(GOOD), "Running"),
        ("Always", record(BAD), "Running"),
        ("OnFailure", record(GOOD), "Succeeded"),
        ("OnFailure", record(BAD), "Running"),
        ("OnFailure", record(GOOD, BAD), "Running"),
        ("Never", record(GOOD), "Succeeded"),
        ("Never", record(BAD), "Failed"),
        ("Never", record(GOOD, RUNNING), "Running"),
        ("Never", record(WAITING, init=(RUNNING,)), "Pending"),
        ("Never", record(WAITING, init=(BAD,)), "Failed"),
        ("Always", record(WAITING, init=(BAD,)), "Pending"),
        ("Never", record(RUNNING, init=(GOOD,)), "Running"),
        ("Always", record(BAD, ending=True), "Failed"),
        ("Always", record(GOOD, ending=True), "Succeeded"),
        ("Always", record(BAD, failure=("DeadlineExceeded", "")), "Failed"),
        ("Always", record(RUNNING, failure=("DeadlineExceeded", "")), "Running"),
    ],
)
def test_the_phase_is_that_of_kubernetes(policy: str, pod: PodRecord, phase: str) -> None:
    assert pod_phase(policy, pod) == phase


def test_a_container_that_waits_to_be_restarted_keeps_its_pod_running() -> None:
    pod = replace(record(), containers=(container(CRASHED, last=BAD),))
    assert pod_phase("Always", pod) == "Running"


def manifest(**status: Any) -> dict[str, Any]:
    spec = {"restartPolicy": "Never", "containers": [{"name": "c0", "image": "i"}]}
    return {"metadata": {"name": "a"}, "spec": spec, "status": status}


@pytest.mark.parametrize("state", [WAITING, RUNNING, GOOD], ids=["waiting", "running", "terminated"])
def test_a_state_has_one_key_and_no_nulls(state: State) -> None:
    status = pod_status(manifest(), record(state), now=NOW)["containerStatuses"][0]
    assert len(status["state"]) == 1
    assert None not in next(iter(status["state"].values())).values()
    assert status["lastState"] == {}


def test_conditions_of_others_stay_and_unchanged_ones_keep_their_time() -> None:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    first = pod_status(manifest(conditions=[scheduled]), record(RUNNING, pod_ip="127.77.0.1"), now=NOW)
    again = pod_status(manifest(**first), record(RUNNING, pod_ip="127.77.0.1"), now=NOW + timedelta(hours=1))
    assert again["conditions"] == first["conditions"]
    assert scheduled in first["conditions"]
    later = pod_status(manifest(**first), record(GOOD), now=NOW + timedelta(hours=1))
    changed = {each["type"]: each["lastTransitionTime"] for each in later["conditions"]}
    assert changed["Ready"] == "2026-01-02T04:04:05Z"
    assert changed["Initialized"] == "2026-01-02T03:04:05Z"


def test_a_container_that_fails_its_probe_is_not_ready() -> None:
    pod = replace(record(), containers=(container(RUNNING, "c0", passes_probe=False),))
    status = pod_status(manifest(), pod, now=NOW)
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert ready["message"] == "containers with unready status: [c0]"
    assert not status["containerStatuses"][0]["ready"]


def test_what_a_status_says_is_remembered() -> None:
    pod = replace(record(), containers=(container(GOOD, "c0", last=BAD, restarts=2, container_id="x://1"),))
    _, (remembered,) = records_of(manifest(**pod_status(manifest(), pod, now=NOW)), now=NOW)
    assert (remembered.restarts, remembered.container_id) == (2, "x://1")
    assert isinstance(remembered.state, Terminated)
    assert remembered.last is not None
    assert (remembered.state.exit_code, remembered.last.exit_code) == (0, 1)


@pytest.mark.parametrize("ready", [True, False])
def test_a_container_that_ran_is_met_as_ready_as_it_was(ready: bool) -> None:
    before = PodRecord(
        init=(), containers=(container(RUNNING, "c0", passes_probe=ready),), host_ip="127.0.0.1", started_at=NOW
    )
    probed = manifest(**pod_status(manifest(), before, now=NOW))
    probed["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["true"]}}
    _, (met,) = records_of(probed, now=NOW)
    assert met.state == RUNNING
    assert met.passes_probe == ready


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"memory": "1Gi"}}, "Burstable"),
        ({"limits": {"memory": "1Gi", "cpu": "1"}}, "Guaranteed"),
        ({"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"memory": "1Mi"}}, "Burstable"),
    ],
)
def test_the_quality_of_service_follows_from_the_resources(resources: Any, expected: str) -> None:
    assert qos_class({"containers": [{"resources": resources}]}) == expected
