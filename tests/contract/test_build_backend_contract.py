"""What every BuildBackend promises."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from functions.adapters.builds.job import JobSettings
from functions.adapters.builds.jobs_api import JobsApi
from functions.adapters.builds.kubernetes import KubernetesBuilds
from functions.core.errors import UpstreamError, UpstreamTimeout
from functions.core.ports import BuildBackend, BuildReport, BuildRequest, BuildStatus
from tests.contract.cluster import Cluster, until
from tests.fakes.builds import FakeBackend


class Bench(Protocol):
    """A backend, and what makes its builds write and end."""

    @property
    def backend(self) -> BuildBackend: ...

    def write(self, backend_id: str, *lines: str) -> None: ...

    def finish(self, backend_id: str, *, well: bool) -> None: ...


class FakeBench:
    def __init__(self) -> None:
        self.backend = FakeBackend()

    def write(self, backend_id: str, *lines: str) -> None:
        self.backend.write(backend_id, *lines)

    def finish(self, backend_id: str, *, well: bool) -> None:
        status = BuildStatus.SUCCESS if well else BuildStatus.FAILURE
        self.backend.finish(backend_id, status, "" if well else "it did not work")


class KubernetesBench:
    def __init__(self, jobs: JobsApi, cluster: Cluster, namespace: str) -> None:
        self.backend = KubernetesBuilds(jobs, JobSettings(image="repo2docker:1"))
        self.jobs, self.cluster, self.namespace = jobs, cluster, namespace

    def write(self, backend_id: str, *lines: str) -> None:
        self.cluster.write(self.namespace, backend_id, *lines)

    def finish(self, backend_id: str, *, well: bool) -> None:
        self.cluster.finish(self.namespace, backend_id, exit_code=0 if well else 1)


@pytest.fixture
def kubernetes(cluster: Cluster, tmp_path: Path) -> Iterator[KubernetesBench]:
    namespace = cluster.namespace()
    jobs = JobsApi(namespace=namespace, kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))
    yield KubernetesBench(jobs, cluster, namespace)
    jobs.close()


@pytest.fixture(params=["fake", "kubernetes"])
def bench(request: pytest.FixtureRequest) -> Bench:
    bench: Bench = FakeBench() if request.param == "fake" else request.getfixturevalue("kubernetes")
    return bench


def a_request() -> BuildRequest:
    name = f"build-{secrets.token_hex(4)}"
    return BuildRequest(name=name, image=f"r.example.org/{name}:1", repo_url="https://g.example.org/r", ref="c0ffee")


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
    backend_id = bench.backend.submit(a_request())
    report = bench.backend.status(backend_id)
    assert report is not None
    assert report.backend_id == backend_id
    assert not report.status.terminal
    assert report.finished_at is None


def test_submitting_again_is_the_same_build(bench: Bench) -> None:
    request = a_request()
    assert bench.backend.submit(request) == bench.backend.submit(request)
    assert len(bench.backend.list()) == 1


def test_a_build_that_writes_is_working(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request())
    bench.write(backend_id, "one")
    until(lambda: status_of(bench, backend_id) is BuildStatus.WORKING)


def test_a_build_that_ended_well_is_a_success(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request())
    bench.finish(backend_id, well=True)
    report = ended(bench, backend_id)
    assert (report.status, report.reason, report.our_fault) == (BuildStatus.SUCCESS, "", False)
    assert report.finished_at is not None
    assert report.finished_at.tzinfo is not None


def test_a_build_that_failed_says_why(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request())
    bench.finish(backend_id, well=False)
    report = ended(bench, backend_id)
    assert (report.status, report.our_fault) == (BuildStatus.FAILURE, False)
    assert report.reason


def test_an_unknown_build_is_none(bench: Bench) -> None:
    assert bench.backend.status("unknown") is None


def test_a_log_is_empty_before_anything_is_written(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request())
    assert bench.backend.log(backend_id).lines == ()


def test_an_unknown_build_has_no_log(bench: Bench) -> None:
    assert bench.backend.log("unknown").lines == ()


def test_a_log_is_read_from_where_one_stopped(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request())
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
    backend_id = bench.backend.submit(a_request())
    bench.write(backend_id, "one", "ünï 💣 \t$", "")
    assert bench.backend.log(backend_id).lines == ("one", "ünï 💣 \t$", "")
    bench.finish(backend_id, well=True)
    assert bench.backend.log(backend_id).lines == ("one", "ünï 💣 \t$", "")


def test_a_cancelled_build_does_not_go_on(bench: Bench) -> None:
    backend_id = bench.backend.submit(a_request())
    bench.write(backend_id, "one")
    bench.backend.cancel(backend_id)
    report = bench.backend.status(backend_id)
    assert report is None or report.status is BuildStatus.CANCELLED
    bench.backend.log(backend_id)


def test_cancelling_an_ended_or_unknown_build_does_nothing(bench: Bench) -> None:
    bench.backend.cancel("unknown")
    backend_id = bench.backend.submit(a_request())
    bench.finish(backend_id, well=True)
    ended(bench, backend_id)
    bench.backend.cancel(backend_id)
    assert status_of(bench, backend_id) is BuildStatus.SUCCESS


def test_all_builds_are_listed(bench: Bench) -> None:
    assert bench.backend.list() == []
    one, two = (bench.backend.submit(a_request()) for _ in range(2))
    bench.finish(two, well=True)
    ended(bench, two)
    listed = {report.backend_id: report.status for report in bench.backend.list()}
    assert listed == {one: BuildStatus.QUEUED, two: BuildStatus.SUCCESS}


# Only Kubernetes can show these.


def test_many_submitters_make_one_job(kubernetes: KubernetesBench) -> None:
    request = a_request()
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
    backend_id = kubernetes.backend.submit(a_request())
    said = [{"phase": "building", "message": "pip install\n"}, {"phase": "failed", "message": "No such package\n"}]
    kubernetes.write(backend_id, *(json.dumps(line) for line in said), "and then some")
    kubernetes.finish(backend_id, well=False)
    assert ended(kubernetes, backend_id).reason == "No such package"


def test_a_build_whose_pod_was_evicted_is_our_fault(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request())
    kubernetes.write(backend_id, "one")
    kubernetes.cluster.evict(kubernetes.namespace, backend_id)
    report = ended(kubernetes, backend_id)
    assert (report.status, report.our_fault) == (BuildStatus.INTERNAL_ERROR, True)
    assert report.reason == "The build was interrupted: The node was low on resource: memory."
    assert report in kubernetes.backend.list()


def test_a_build_that_takes_too_long_times_out(kubernetes: KubernetesBench) -> None:
    backend = KubernetesBuilds(kubernetes.jobs, JobSettings(image="repo2docker:1", timeout_s=1))
    backend_id = backend.submit(a_request())
    kubernetes.write(backend_id, "one")
    report = ended(kubernetes, backend_id)
    assert report.status is BuildStatus.TIMEOUT
    assert report.reason == "The build was stopped because it took longer than 1 seconds."


def test_a_build_whose_image_cannot_be_pulled_waits_and_says_so(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request())
    kubernetes.cluster.wait(kubernetes.namespace, backend_id, "ImagePullBackOff")
    report = kubernetes.backend.status(backend_id)
    assert report is not None
    assert (report.status, report.reason) == (BuildStatus.QUEUED, "The build is waiting to start: ImagePullBackOff")
    assert kubernetes.backend.log(backend_id).lines == ()


def test_lines_of_one_instant_are_neither_lost_nor_repeated(kubernetes: KubernetesBench) -> None:
    backend_id = kubernetes.backend.submit(a_request())
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
    backend_id = kubernetes.backend.submit(a_request())
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
    backend_id = kubernetes.backend.submit(a_request())
    with pytest.raises(ValueError, match="cursor"):
        kubernetes.backend.log(backend_id, "../../secrets")


def test_a_token_that_nobody_knows_is_an_error_of_ours(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(Path(cluster.kubeconfig(path)).read_text().replace('"token": "', '"token": "x'))
    with closing(JobsApi(namespace="default", kubeconfig=str(path))) as jobs:
        backend = KubernetesBuilds(jobs, JobSettings(image="repo2docker:1"))
        for call in (backend.list, lambda: backend.status("a"), lambda: backend.submit(a_request())):
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
