"""The pure parts: patches, selectors, quantities, ages, scheduling, what a job needs next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emulator.kube.ages import span
from emulator.kube.controllers.job_plan import TRACKING, plan
from emulator.kube.controllers.scheduling import choose, explain, load_of
from emulator.kube.errors import ApiError
from emulator.kube.label_selectors import parse as parse_labels
from emulator.kube.patches import json_patch, merge_patch, strategic_patch
from emulator.kube.quantities import quantity

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BACKOFF = timedelta(seconds=10)


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ({"a": None}, {"b": {"c": 1}}),
        ({"b": {"c": None, "d": 2}}, {"a": 1, "b": {"d": 2}}),
        ({"b": [1]}, {"a": 1, "b": [1]}),
        ({}, {"a": 1, "b": {"c": 1}}),
    ],
    ids=["remove", "merge", "replace", "nothing"],
)
def test_a_merge_patch(patch: Any, result: Any) -> None:
    assert merge_patch({"a": 1, "b": {"c": 1}}, patch) == result


def test_a_json_patch_adds_removes_moves_and_tests() -> None:
    operations = [
        {"op": "test", "path": "/a", "value": 1},
        {"op": "add", "path": "/list/-", "value": 3},
        {"op": "add", "path": "/list/0", "value": 0},
        {"op": "move", "from": "/a", "path": "/x~1y"},
        {"op": "remove", "path": "/list/1"},
    ]
    assert json_patch({"a": 1, "list": [1, 2]}, operations) == {"list": [0, 2, 3], "x/y": 1}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/none"},
        {"op": "remove", "path": "/list/-1"},
        {"op": "nonsense", "path": "/a"},
        {"path": "/a"},
        {"op": "add", "path": "", "value": {}},
        5,
    ],
    ids=["test", "missing", "negative", "unknown", "no op", "whole", "number"],
)
def test_a_json_patch_that_does_not_fit_is_refused(operation: Any) -> None:
    with pytest.raises(ApiError) as error:
        json_patch({"a": 1, "list": [1]}, [operation])
    assert error.value.code == 422


def test_a_json_patch_cannot_copy_its_copies_without_end() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{number}"} for number in range(64)]
    with pytest.raises(ApiError):
        json_patch({"a": {"x": "y" * 100}}, doubling)


@pytest.mark.parametrize(
    "patch",
    [{"spec": {"ports": [{"port": {}}]}}, {"$deleteFromPrimitiveList/finalizers": 5, "finalizers": []}, {"$patch": []}],
    ids=["key", "directive", "patch"],
)
def test_a_strategic_patch_of_the_wrong_form_is_refused_or_harmless(patch: Any) -> None:
    target = {"kind": "Service", "finalizers": ["x"], "spec": {"ports": []}}
    try:
        assert isinstance(strategic_patch(target, patch), dict)
    except ApiError as error:
        assert error.code == 422


PORTS = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]


@pytest.mark.parametrize(
    ("ports", "result"),
    [
        ([{"port": 82, "name": "c"}], ["c", "a", "b"]),
        ([{"port": 80, "$patch": "delete"}], ["b"]),
        ([{"$patch": "replace"}, {"port": 90, "name": "z"}], ["z"]),
        ([{"port": 81, "name": "bb"}], ["a", "bb"]),
    ],
    ids=["add", "delete", "replace", "change"],
)
def test_a_strategic_patch_merges_lists_by_their_key(ports: Any, result: list[str]) -> None:
    patched = strategic_patch({"kind": "Service", "spec": {"ports": PORTS}}, {"spec": {"ports": ports}})
    assert [port["name"] for port in patched["spec"]["ports"]] == result


@pytest.mark.parametrize(
    ("selector", "matches"),
    [("a=1", True), ("a==2", False), ("a in (1, 2)", True), ("a notin (1)", False), ("!b", True), ("b", False)]
    + [("a>0", True), ("a<1", False), ("b!=1", True), ("", True), ("x.y/a-b", False)],
)
def test_a_label_selector(selector: str, matches: bool) -> None:
    assert parse_labels(selector)({"a": "1"}) is matches


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("2", 2), (1.5, 1.5), ("1Gi", 2**30), ("1k", 1000), ("1e3", 1000), ("x", None), ("", None)],
)
def test_a_quantity(text: Any, number: float | None) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (192, "3m12s"), (1200, "20m"), (3 * 3600, "3h"), (3 * 86400, "3d"), (-60, "<invalid>")],
)
def test_an_age(seconds: int, text: str) -> None:
    assert span(seconds) == text


def a_node(name: str, *, cpu: str, ready: str = "True") -> dict[str, Any]:
    status = {"allocatable": {"cpu": cpu, "memory": "1Gi"}, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "spec": {}, "status": status}


def a_pod(cpu: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}


def test_a_pod_goes_where_there_is_room() -> None:
    loads = [load_of(a_node("full", cpu="1"), [a_pod("800m")]), load_of(a_node("free", cpu="1"), [])]
    assert choose(a_pod("500m"), loads) == "free"


def test_why_no_node_fits_is_said_for_all_of_them() -> None:
    loads = [load_of(a_node("small", cpu="1"), []), load_of(a_node("down", cpu="8", ready="Unknown"), [])]
    assert choose(a_pod("2"), loads) is None
    assert explain(a_pod("2"), loads) == "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were not ready."


def a_job(**spec: Any) -> dict[str, Any]:
    defaults = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": {"spec": {"restartPolicy": "Never"}}}
    return {"spec": defaults | spec, "status": {"startTime": "2026-01-01T11:59:50Z"}}


def a_job_pod(phase: str, *, tracked: bool = True) -> dict[str, Any]:
    finished = {"state": {"terminated": {"finishedAt": "2026-01-01T11:59:55Z"}}}
    meta = {"finalizers": [TRACKING]} if tracked else {}
    return {"metadata": meta, "status": {"phase": phase, "containerStatuses": [finished]}}


def test_a_new_job_needs_as_many_pods_as_may_run_at_once() -> None:
    decided = plan(a_job(parallelism=2, completions=3), [], now=NOW, backoff=BACKOFF)
    assert (len(decided.create), decided.status["active"]) == (2, 2)


def test_a_pod_is_counted_once() -> None:
    job = a_job(completions=2)
    job["status"]["succeeded"] = 1
    decided = plan(job, [a_job_pod("Succeeded", tracked=False)], now=NOW, backoff=BACKOFF)
    assert (decided.status["succeeded"], len(decided.create)) == (1, 1)


def test_a_failed_pod_is_followed_after_a_pause() -> None:
    decided = plan(a_job(), [a_job_pod("Failed")], now=NOW, backoff=BACKOFF)
    assert (decided.create, decided.again_at) == ((), NOW + timedelta(seconds=5))
    later = plan(a_job(), [a_job_pod("Failed")], now=NOW + timedelta(seconds=5), backoff=BACKOFF)
    assert len(later.create) == 1


def test_a_job_ends_when_its_time_is_over() -> None:
    running = a_job_pod("Running")
    decided = plan(a_job(activeDeadlineSeconds=10), [running], now=NOW, backoff=BACKOFF)
    assert decided.status["conditions"][-1]["reason"] == "DeadlineExceeded"
    assert list(decided.delete) == [running]
