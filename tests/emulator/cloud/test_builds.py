"""Builds from their creation to their end, on a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.cloud.building import BUCKET, BuildCloud, a_build, building_cloud
from tests.emulator.cloud.conftest import eventually
from tests.emulator.kubelet.cluster import SHELL, Cluster

FOREVER = "echo begun; while :; do sleep 1; done"


@pytest.fixture(scope="module")
def builder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildCloud]:
    with building_cloud(tmp_path_factory.mktemp("builder"), cluster, concurrent=2) as made:
        yield made


def test_steps_run_in_order_and_share_a_workspace(builder: BuildCloud, bubblewrap: None) -> None:
    build = a_build("echo one > file; pwd", "cat file; pwd")
    build["steps"][1] |= {"id": "second", "dir": "sub"}
    build["steps"][1]["args"][1] = "cat ../file"
    build["steps"][0]["args"][1] += "; mkdir sub"
    ended = builder.ended(builder.create(build))
    assert ended["status"] == "SUCCESS"
    assert [step["status"] for step in ended["steps"]] == ["SUCCESS", "SUCCESS"]
    assert builder.read(ended).splitlines() == [
        f'starting build "{ended["id"]}"',
        "",
        "FETCHSOURCE",
        "BUILD",
        "Starting Step #0",
        "Step #0: /workspace",
        "Finished Step #0",
        'Starting Step #1 - "second"',
        'Step #1 - "second": one',
        'Finished Step #1 - "second"',
        "DONE",
    ]


def test_the_lines_of_a_build_with_one_step_have_no_prefix(builder: BuildCloud) -> None:
    ended = builder.ended(builder.create(a_build('echo \'{"phase": "building"}\'')))
    assert builder.read(ended).splitlines()[3:] == ["BUILD", '{"phase": "building"}', "DONE"]


def test_a_step_sees_its_words_as_they_are_after_substitution(builder: BuildCloud) -> None:
    build = a_build("")
    build["steps"][0] |= {"args": ["-c", 'echo "$$0 $$1 $$NAME"', "$$(NAME)", "$_WHAT"], "env": ["NAME=$$(x)"]}
    ended = builder.ended(builder.create({**build, "substitutions": {"_WHAT": "$$x"}}))
    assert "$(NAME) $$x $(x)\n" in builder.read(ended)


def test_a_step_that_fails_is_the_builds_own_fault(builder: BuildCloud) -> None:
    ended = builder.ended(builder.create(a_build("exit 3", "echo never")))
    assert ended["status"] == "FAILURE"
    assert ended["failureInfo"]["type"] == "USER_BUILD_STEP"
    assert ended["statusDetail"].endswith("failed: step exited with non-zero status: 3")
    assert [step["status"] for step in ended["steps"]] == ["FAILURE", "QUEUED"]
    assert builder.read(ended).splitlines()[-2] == "ERROR"


def test_a_step_that_may_fail_does_not_end_the_build(builder: BuildCloud) -> None:
    build = a_build("exit 3", "exit 4")
    build["steps"][0]["allowFailure"] = True
    build["steps"][1]["allowExitCodes"] = [4]
    assert builder.ended(builder.create(build))["status"] == "SUCCESS"


def test_an_image_that_cannot_be_pulled_ends_the_build(builder: BuildCloud) -> None:
    ended = builder.ended(builder.create({"steps": [{"name": "127.0.0.1:5000/absent"}]}))
    assert ended["status"] == "FAILURE"
    assert "error pulling build step image" in ended["statusDetail"]


def test_a_build_that_takes_too_long_is_stopped(builder: BuildCloud) -> None:
    ended = builder.ended(builder.create(a_build(FOREVER, timeout="1s")))
    assert ended["status"] == "TIMEOUT"
    assert builder.read(ended).splitlines()[-2:] == ["TIMEOUT", "ERROR: context deadline exceeded"]
    eventually(lambda: not builder.pods())


def test_a_step_that_takes_too_long_ends_the_build(builder: BuildCloud) -> None:
    build = a_build(FOREVER, "echo never")
    build["steps"][0]["timeout"] = "1s"
    ended = builder.ended(builder.create(build))
    assert [step["status"] for step in ended["steps"]] == ["TIMEOUT", "QUEUED"]
    assert ended["status"] == "TIMEOUT"


def running(builder: BuildCloud, **fields: Any) -> dict[str, Any]:
    """A build that has begun to write, and does not end."""
    build = builder.create(a_build(FOREVER, **fields))
    eventually(lambda: b"begun" in builder.log(build).data)
    return build


def test_a_running_build_can_be_cancelled(builder: BuildCloud) -> None:
    build = running(builder)
    answer = builder.ask("POST", builder.builds(f"/{build['id']}:cancel"), {})
    assert json.loads(answer.data)["status"] == "CANCELLED"
    assert builder.get(build["id"])["status"] == "CANCELLED"
    assert builder.read(build).splitlines()[-2:] == ["CANCELLED", "ERROR: context canceled"]
    eventually(lambda: not builder.pods())


def test_a_build_that_has_ended_cannot_be_cancelled(builder: BuildCloud) -> None:
    ended = builder.ended(builder.create(a_build("true")))
    answer = builder.ask("POST", builder.builds(f"/{ended['id']}:cancel"), {})
    assert (answer.status, json.loads(answer.data)["error"]["status"]) == (400, "FAILED_PRECONDITION")


def test_builds_beyond_the_quota_wait_and_expire(builder: BuildCloud) -> None:
    hogs = [running(builder), running(builder)]
    late = builder.create(a_build("true", queueTtl="1s"))
    patient = builder.create(a_build("true"))
    assert late["status"] == patient["status"] == "PENDING"
    assert builder.ended(late)["status"] == "EXPIRED"
    assert builder.log(late).status == 404
    for hog in hogs:
        builder.ask("POST", builder.builds(f"/{hog['id']}:cancel"), {})
    assert builder.ended(patient)["status"] == "SUCCESS"


def test_a_build_whose_pod_is_taken_away_is_the_services_fault(builder: BuildCloud) -> None:
    build = running(builder)
    (pod,) = builder.pods()
    builder.cluster.call("DELETE", f"/api/v1/namespaces/{builder.namespace}/pods/{pod['metadata']['name']}")
    ended = builder.ended(build)
    assert ended["status"] == "INTERNAL_ERROR"
    assert "failureInfo" not in ended


def test_pods_get_no_token_of_the_cluster(builder: BuildCloud) -> None:
    build = running(builder)
    (pod,) = builder.pods()
    assert pod["spec"]["automountServiceAccountToken"] is False
    builder.ask("POST", builder.builds(f"/{build['id']}:cancel"), {})


def test_a_running_build_survives_a_restart_of_the_service(cluster: Cluster, tmp_path: Path) -> None:
    goal = tmp_path / "state" / "go"
    goal.parent.mkdir()
    with building_cloud(tmp_path, cluster) as before:
        script = "for each in 1 2 3; do echo first $each; done; while [ ! -e go ]; do sleep 0.1; done; echo last"
        build = before.create(a_build(script, "echo second"))
        eventually(lambda: b"first 3" in before.log(build).data)
    with building_cloud(tmp_path, cluster) as after:
        assert after.get(build["id"])["status"] == "WORKING"
        workspace = cluster.state.parent / "allowed" / after.namespace / build["id"] / "workspace"
        (workspace / "go").touch()
        ended = after.ended(build)
        assert ended["status"] == "SUCCESS"
        lines = [line for line in after.read(ended).splitlines() if line.startswith("Step #")]
    first = [f"Step #0: first {number}" for number in (1, 2, 3)]
    assert lines == [*first, "Step #0: last", "Step #1: second"]


def test_a_queued_build_survives_a_restart_of_the_service(cluster: Cluster, tmp_path: Path) -> None:
    with building_cloud(tmp_path, cluster, concurrent=1) as before:
        hog = running(before)
        waits = before.create(a_build("true"))
    with building_cloud(tmp_path, cluster, concurrent=1) as after:
        assert after.get(waits["id"])["status"] == "PENDING"
        after.ask("POST", after.builds(f"/{hog['id']}:cancel"), {})
        assert after.ended(waits)["status"] == "SUCCESS"


def test_old_builds_are_forgotten_with_their_logs(cluster: Cluster, tmp_path: Path) -> None:
    with building_cloud(tmp_path, cluster, keep=1) as builder:
        first = builder.ended(builder.create(a_build("true")))
        builder.ended(builder.create(a_build("true")))
        assert builder.ask("GET", builder.builds(f"/{first['id']}")).status == 404
        assert builder.log(first).status == 404


def test_no_more_builds_are_taken_than_may_wait(cluster: Cluster, tmp_path: Path) -> None:
    with building_cloud(tmp_path, cluster, most_open=1) as builder:
        hog = running(builder)
        answer = builder.ask("POST", builder.builds(), a_build("true"))
        assert (answer.status, json.loads(answer.data)["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        builder.ask("POST", builder.builds(f"/{hog['id']}:cancel"), {})


def test_the_log_is_an_object_with_ranges(builder: BuildCloud) -> None:
    ended = builder.ended(builder.create(a_build("echo hello")))
    whole = builder.read(ended)
    part = builder.log(ended, Range="bytes=9-")
    assert (part.status, part.data.decode()) == (206, whole[9:])
    assert part.headers["Content-Range"] == f"bytes 9-{len(whole) - 1}/{len(whole)}"
    assert builder.log(ended, Range=f"bytes={len(whole)}-").status == 416
    name = f"/storage/v1/b/{BUCKET}/o/log-{ended['id']}.txt"
    media = builder.ask("GET", f"{name}?alt=media", Range="bytes=0-8")
    assert (media.status, media.data.decode()) == (206, whole[:9])
    assert json.loads(builder.ask("GET", name).data)["size"] == str(len(whole))


def test_a_log_that_is_not_streamed_is_there_at_the_end(builder: BuildCloud, tmp_path: Path) -> None:
    build = running(builder, options={"logging": "GCS_ONLY"})
    hidden = builder.create(a_build(FOREVER, options={"logging": "GCS_ONLY", "logStreamingOption": "STREAM_OFF"}))
    builder.awaited(hidden, "WORKING")
    assert builder.log(hidden).status == 404
    for each in (build, hidden):
        builder.ask("POST", builder.builds(f"/{each['id']}:cancel"), {})
    assert builder.log(hidden).status == 200


@pytest.mark.parametrize("path", ["/%2e%2e/log-x", "/a/log-..%2f..%2fbuilds.sqlite", "/a/log-absent.txt"])
def test_nothing_but_logs_can_be_read(builder: BuildCloud, path: str) -> None:
    assert builder.ask("GET", path).status == 404


@pytest.mark.parametrize("token", ["", "another-token"])
def test_nothing_is_answered_without_the_token(builder: BuildCloud, token: str) -> None:
    ended = builder.ended(builder.create(a_build("true")))
    for path in (builder.builds(), builder.builds(f"/{ended['id']}"), f"/{BUCKET}/log-{ended['id']}.txt", "/v1/x"):
        answer = builder.ask("GET", path, token=token)
        assert (answer.status, json.loads(answer.data)["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_another_project_is_forbidden(builder: BuildCloud) -> None:
    answer = builder.ask("POST", "/v1/projects/other/builds", a_build("true"))
    assert json.loads(answer.data)["error"]["code"] == answer.status == 403


def test_without_a_choice_the_image_says_what_runs_and_the_service_where_the_log_goes(builder: BuildCloud) -> None:
    ended = builder.ended(builder.create({"steps": [{"name": SHELL}]}))
    bucket = ended["logsBucket"].removeprefix("gs://")
    assert b"from the image" in builder.ask("GET", f"/{bucket}/log-{ended['id']}.txt").data
