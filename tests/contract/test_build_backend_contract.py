"""What every BuildBackend promises."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from functions.adapters.builds.job import JobSettings
from functions.adapters.builds.jobs_api import JobsApi
from functions.adapters.builds.kubernetes import KubernetesBuilds
from functions.core.errors import UpstreamError, UpstreamTimeout
from functions.core.ports import BuildBackend, BuildReport, BuildRequest, BuildStatus
from tests.contract.building_cloud import BuildingCloud
from tests.contract.cluster import Cluster, until
from tests.fakes.builds import FakeBackend


class Bench(Protocol):
    """A backend, and what makes its builds write and end."""

    registry: str

    @property
    def backend(self) -> BuildBackend: ...

    def write(self, backend_id: str, *lines: str) -> None: ...

    def finish(self, backend_id: str, *, well: bool) -> None: ...


class FakeBench:
    registry = "r.example.org"

    def __init__(self) -> None:
        self.backend = FakeBackend()

    def write(self, backend_id: str, *lines: str) -> None:
        self.backend.write(backend_id, *lines)

    def finish(self, backend_id: str, *, well: bool) -> None:
        status = BuildStatus.SUCCESS if well else BuildStatus.FAILURE
        self.backend.finish(backend_id, status, "" if well else "it did not work")


class KubernetesBench:
    registry = "r.example.org"

    def __init__(self, jobs: JobsApi, cluster: Cluster, namespace: str) -> None:
        self.backend = KubernetesBuilds(jobs, JobSettings(image="repo2docker:1"))
        self.jobs, self.cluster, self.namespace = jobs, cluster, namespace

    def write(self, backend_id: str, *lines: str) -> None:
        self.cluster.write(self.namespace, backend_id, *lines)

    def finish(self, backend_id: str, *, well: bool) -> None:
        self.cluster.finish(self.namespace, backend_id, exit_code=0 if well else 1)


class CloudBuildBench:
    def __init__(self, cloud: BuildingCloud) -> None:
        self.cloud, self.registry = cloud, cloud.registry
        self.api = cloud.api()
        self.backend = cloud.backend(self.api)

    def write(self, backend_id: str, *lines: str) -> None:
        known = len(self.backend.log(backend_id).lines)
        self.cloud.cluster.write(self.cloud.namespace, backend_id, *lines)
        # Cloud Build copies what a step writes into the log, some time later.
        until(lambda: len(self.backend.log(backend_id).lines) >= known + len(lines))

    def finish(self, backend_id: str, *, well: bool) -> None:
        if well:
            self.cloud.leave_image(backend_id, self.api.get(backend_id).images[0])
        self.cloud.cluster.finish(self.cloud.namespace, backend_id, exit_code=0 if well else 1)


@pytest.fixture
def cloud_build(building_cloud: BuildingCloud) -> CloudBuildBench:
    return CloudBuildBench(building_cloud)


@pytest.fixture
def kubernetes(cluster: Cluster, tmp_path: Path) -> Iterator[KubernetesBench]:
    namespace = cluster.namespace()
    jobs = JobsApi(namespace=namespace, kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))
    yield KubernetesBench(jobs, cluster, namespace)
    jobs.close()


@pytest.fixture(params=["fake", "kubernetes", "cloud_build"])
def bench(request: pytest.FixtureRequest) -> Bench:
    bench: Bench = FakeBench() if request.param == "fake" else request.getfixturevalue(request.param)
    return bench


def a_request(bench: Bench) -> BuildRequest:
    name = f"build-{secrets.token_hex(4)}"
    return BuildRequest(name=name, image=f"{bench.registry}/{name}:1", repo_url="https://g.example.org/r", ref="c0ffee")


def status_of(bench: Bench, backend_id: str) -> BuildStatus:
    report = bench.backend.status(backend_id)
    assert report is not None
    return report.status


def ended(bench: Bench, backend_id: str) -> BuildReport:
    until(lambda: status_of(bench, backend_id).terminal)
    report = bench.backend.status(backend_id)
    assert report is not None
    return report


def test_a_submitted_build_is_known_and_not_ended(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    report = bench.backend.status(backend_id)
    assert report is not None
    assert report.backend_id == backend_id
    assert not report.status.terminal
    assert report.finished_at is None


def test_submitting_again_is_the_same_build(bench: Bench) -> None:
    request = a_request(bench)
    assert bench.backend.submit(request) == bench.backend.submit(request)
    assert len(bench.backend.list()) == 1


def test_a_build_that_writes_is_working(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    bench.write(backend_id, "one")
    until(lambda: status_of(bench, backend_id) is BuildStatus.WORKING)


def test_a_build_that_ended_well_is_a_success(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    bench.finish(backend_id, well=True)
    report = ended(bench, backend_id)
    assert (report.status, report.reason, report.our_fault) == (BuildStatus.SUCCESS, "", False)
    assert report.finished_at is not None
    assert report.finished_at.tzinfo is not None


def test_a_build_that_failed_says_why(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    bench.finish(backend_id, well=False)
    report = ended(bench, backend_id)
    assert (report.status, report.our_fault) == (BuildStatus.FAILURE, False)
    assert report.reason


def test_an_unknown_build_is_none(bench: Bench) -> None:
    assert bench.backend.status("unknown") is None


def test_a_log_is_empty_before_anything_is_written(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    assert bench.backend.log(backend_id).lines == ()


def test_an_unknown_build_has_no_log(bench: Bench) -> None:
    assert bench.backend.log("unknown").lines == ()


def test_a_log_is_read_from_where_one_stopped(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    first = bench.backend.log(backend_id)
    bench.write(backend_id, "one", "two")
    second = bench.backend.log(backend_id, first.cursor)
    assert second.lines == ("one", "two")
    assert bench.backend.log(backend_id, second.cursor).lines == ()
    bench.write(backend_id, "two", "three")
    third = bench.backend.log(backend_id, second.cursor)
    assert third.lines == ("two", "three")
    assert bench.backend.log(backend_id, second.cursor) == third


def test_a_log_can_be_read_from_the_beginning_again(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    bench.write(backend_id, "one", "ünï 💣 \t$", "")
    assert bench.backend.log(backend_id).lines == ("one", "ünï 💣 \t$", "")
    bench.finish(backend_id, well=True)
    ended(bench, backend_id)
    # What pushes the image may have said something since.
    assert bench.backend.log(backend_id).lines[:3] == ("one", "ünï 💣 \t$", "")


def test_a_cancelled_build_does_not_go_on(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request(bench))
    bench.write(backend_id, "one")
    bench.backend.cancel(backend_id)
    report = bench.backend.status(backend_id)
    assert report is None or report.status is BuildStatus.CANCELLED
    bench.backend.log(backend_id)


def test_cancelling_an_ended_or_unknown_build_does_nothing(bench: Bench) -> None:
    bench.backend.cancel("unknown")
    backend_id = bench.backend.submit(a_request(bench))
    bench.finish(backend_id, well=True)
    ended(bench, backend_id)
    bench.backend.cancel(backend_id)
    assert status_of(bench, backend_id) is BuildStatus.SUCCESS


def test_all_builds_are_listed(bench: Bench) -> None:
    assert bench.backend.list() == []
    one, two = (bench.backend.submit(a_request(bench)) for _ in range(2))
    bench.finish(two, well=True)
    ended(bench, two)
    listed = {report.backend_id: report.status for report in bench.backend.list()}
    assert listed.keys() == {one, two}
    assert not listed[one].terminal
    assert listed[two] is BuildStatus.SUCCESS


# Only Kubernetes can show these.


def test_many_submitters_make_one_job(kubernetes: KubernetesBench) -> None:
    request = a_request(kubernetes)
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(lambda _: kubernetes.backend.submit(request), range(32)))
    assert ids == {request.name}
    assert len(kubernetes.backend.list()) == 1


def test_a_job_of_somebody_else_is_unknown(kubernetes: KubernetesBench) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}
    job = {"metadata": {"name": "foreign"}, "spec": {"template": {"spec": pod}}}
    path = f"/apis/batch/v1/namespaces/{kubernetes.namespace}/jobs"
    kubernetes.cluster.call("POST", path, job)
    kubernetes.backend.cancel("foreign")
    assert kubernetes.backend.status("foreign") is None
    assert kubernetes.backend.list() == []
    assert kubernetes.cluster.call("GET", f"{path}/foreign")


def test_the_reason_of_a_failure_is_what_repo2docker_said_last(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request(kubernetes))
    said = [{"phase": "building", "message": "pip install\n"}, {"phase": "failed", "message": "No such package\n"}]
    kubernetes.write(backend_id, *(json.dumps(line) for line in said), "and then some")
    kubernetes.finish(backend_id, well=False)
    assert ended(kubernetes, backend_id).reason == "No such package"


def test_a_build_whose_pod_was_evicted_is_our_fault(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request(kubernetes))
    kubernetes.write(backend_id, "one")
    kubernetes.cluster.evict(kubernetes.namespace, backend_id)
    report = ended(kubernetes, backend_id)
    assert (report.status, report.our_fault) == (BuildStatus.INTERNAL_ERROR, True)
    assert report.reason == "The build was interrupted: The node was low on resource: memory."
    assert report in kubernetes.backend.list()


def test_a_build_that_takes_too_long_times_out(kubernetes: KubernetesBench) -> None:
    backend = KubernetesBuilds(kubernetes.jobs, JobSettings(image="repo2docker:1", timeout_s=1))
    backend_id = backend.submit(a_request(kubernetes))
    kubernetes.write(backend_id, "one")
    report = ended(kubernetes, backend_id)
    assert report.status is BuildStatus.TIMEOUT
    assert report.reason == "The build was stopped because it took longer than 1 seconds."


def test_a_build_whose_image_cannot_be_pulled_waits_and_says_so(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request(kubernetes))
    kubernetes.cluster.wait(kubernetes.namespace, backend_id, "ImagePullBackOff")
    report = kubernetes.backend.status(backend_id)
    assert report is not None
    assert (report.status, report.reason) == (BuildStatus.QUEUED, "The build is waiting to start: ImagePullBackOff")
    assert kubernetes.backend.log(backend_id).lines == ()


def test_lines_of_one_instant_are_neither_lost_nor_repeated(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request(kubernetes))
    instant = datetime.now(UTC)
    read: list[str] = []
    cursor = ""
    for batch in range(4):
        lines = [f"{batch}.{n}" for n in range(3)]
        kubernetes.cluster.write(kubernetes.namespace, backend_id, *lines, at=instant)
        chunk = kubernetes.backend.log(backend_id, cursor)
        cursor = chunk.cursor
        read.extend(chunk.lines)
    assert read == [f"{batch}.{n}" for batch in range(4) for n in range(3)]


def test_a_flood_is_read_in_pieces(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request(kubernetes))
    lines = [f"{n} " + "x" * 1000 for n in range(2000)]
    kubernetes.cluster.write(kubernetes.namespace, backend_id, *lines, at=datetime.now(UTC))
    read: list[str] = []
    cursor = ""
    while chunk := kubernetes.backend.log(backend_id, cursor):
        if not chunk.lines:
            break
        assert sum(map(len, chunk.lines)) < 600_000
        cursor = chunk.cursor
        read.extend(chunk.lines)
    assert read == lines


def test_a_cursor_that_is_none_of_ours_is_a_mistake(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request(kubernetes))
    with pytest.raises(ValueError, match="cursor"):
        kubernetes.backend.log(backend_id, "../../secrets")


def test_a_token_that_nobody_knows_is_an_error_of_ours(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(Path(cluster.kubeconfig(path)).read_text().replace('"token": "', '"token": "x'))
    with closing(JobsApi(namespace="default", kubeconfig=str(path))) as jobs:
        backend = KubernetesBuilds(jobs, JobSettings(image="repo2docker:1"))
        for call in (backend.list, lambda: backend.status("a"), lambda: backend.submit(a_request(FakeBench()))):
            with pytest.raises(UpstreamError, match="Kubernetes answered 401: Unauthorized"):
                call()


def test_a_cluster_that_does_not_answer_is_an_error_of_ours(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        kubeconfig = Cluster(tmp_path, silent.getsockname()[1]).kubeconfig(tmp_path / "kubeconfig")
        with closing(JobsApi(namespace="default", kubeconfig=kubeconfig, timeout_s=0.2)) as jobs:
            with pytest.raises(UpstreamError, match="Kubernetes cannot be reached"):
                jobs.get("a")
            silent.listen()
            with pytest.raises(UpstreamTimeout, match=r"Kubernetes did not answer within 0.2 seconds"):
                jobs.get("a")


# Only Cloud Build can show these.


def test_many_submitters_agree_on_one_build(cloud_build: CloudBuildBench) -> None:
    request = a_request(cloud_build)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cloud_build.backend.submit(request), range(8)))
    (going_on,) = {report.backend_id for report in cloud_build.backend.list() if not report.status.terminal}
    assert cloud_build.backend.submit(request) == going_on


def test_a_build_whose_creation_was_not_answered_is_found(cloud_build: CloudBuildBench) -> None:
    cloud_build.cloud.trouble(lose_create_answers=1)
    backend_id = cloud_build.backend.submit(a_request(cloud_build))
    assert [report.backend_id for report in cloud_build.backend.list()] == [backend_id]


def test_a_build_that_was_never_created_is_asked_for_again_by_whoever_comes_next(cloud_build: CloudBuildBench) -> None:
    request = a_request(cloud_build)
    cloud_build.cloud.trouble(refuse_creates=1)
    with pytest.raises(UpstreamError, match="Cloud Build did not answer well"):
        cloud_build.backend.submit(request)
    assert cloud_build.backend.list() == []
    backend_id = cloud_build.backend.submit(request)
    assert [report.backend_id for report in cloud_build.backend.list()] == [backend_id]


def test_the_digest_of_a_build_is_that_of_the_pushed_image(cloud_build: CloudBuildBench) -> None:
    backend_id = cloud_build.backend.submit(a_request(cloud_build))
    cloud_build.finish(backend_id, well=True)
    assert ended(cloud_build, backend_id).digest == cloud_build.api.get(backend_id).results.images[0].digest
    assert ended(cloud_build, backend_id).digest.startswith("sha256:")


def test_a_build_without_an_image_is_our_fault(cloud_build: CloudBuildBench) -> None:
    backend_id = cloud_build.backend.submit(a_request(cloud_build))
    cloud_build.cloud.cluster.finish(cloud_build.cloud.namespace, backend_id, exit_code=0)
    report = ended(cloud_build, backend_id)
    assert (report.status, report.our_fault) == (BuildStatus.FAILURE, True)
    assert report.reason.startswith("The build ended well, but left no image.")


def test_cloud_build_tells_what_repo2docker_said_last(cloud_build: CloudBuildBench) -> None:
    backend_id = cloud_build.backend.submit(a_request(cloud_build))
    cloud_build.write(backend_id, json.dumps({"phase": "failed", "message": "No such package\n"}))
    cloud_build.finish(backend_id, well=False)
    assert ended(cloud_build, backend_id).reason == "No such package"


def test_layers_of_the_last_image_of_the_repository_are_used(cloud_build: CloudBuildBench) -> None:
    first = a_request(cloud_build)
    backend_id = cloud_build.backend.submit(first)
    cloud_build.finish(backend_id, well=True)
    digest = ended(cloud_build, backend_id).digest
    second = replace(first, name=f"{first.name}-2", image=first.image.replace(":1", ":2"))
    args = cloud_build.api.get(cloud_build.backend.submit(second)).steps[0].args
    assert f"--cache-from={first.image.removesuffix(':1')}@{digest}" in args
    assert args[-2:] == ["--", second.repo_url]
