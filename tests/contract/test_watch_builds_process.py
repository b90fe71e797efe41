"""The watcher as a process, between Kubernetes and Pub/Sub."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from functions.adapters.builds.job import JobSettings
from functions.adapters.builds.jobs_api import JobsApi
from functions.adapters.builds.kubernetes import KubernetesBuilds
from functions.core.ports import BuildRequest
from tests.contract.cluster import Cluster, until

WATCHER = """
import logging, sys
from pathlib import Path
from functions.adapters.builds.jobs_api import JobsApi
from functions.watch_builds import run

class File:
    def publish(self, data, attributes):
        with open(sys.argv[3], "ab") as file:
            file.write(data + b"\\n")

logging.basicConfig(level=logging.INFO)
run(JobsApi(kubeconfig=sys.argv[1], namespace=sys.argv[2]), File())
"""


class Bench:
    """Builds in a namespace, and what the watcher said of them."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.namespace, self.said = cluster, cluster.namespace(), folder / "said"
        self.kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        self.said.touch()

    def build(self, name: str) -> None:
        with closing(JobsApi(namespace=self.namespace, kubeconfig=self.kubeconfig)) as jobs:
            request = BuildRequest(name=name, image=f"{name}:1", repo_url="https://g.example.org/r", ref="1")
            KubernetesBuilds(jobs, JobSettings(image="x")).submit(request)

    def finish(self, name: str, exit_code: int = 0) -> None:
        self.cluster.finish(self.namespace, name, exit_code=exit_code)

    def announced(self) -> list[tuple[str, str]]:
        builds = [json.loads(line) for line in self.said.read_bytes().splitlines()]
        return [(build["id"], build["status"]) for build in builds]

    @contextmanager
    def watcher(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-c", WATCHER, self.kubeconfig, self.namespace, str(self.said)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=20)


@pytest.fixture
def bench(cluster: Cluster, tmp_path: Path) -> Bench:
    return Bench(cluster, tmp_path)


def test_builds_are_announced_as_they_end_and_what_was_missed_at_the_start(bench: Bench) -> None:
    bench.build("before")
    bench.finish("before")
    bench.build("after")
    with bench.watcher():
        until(lambda: bench.announced() == [("before", "SUCCESS")])
        bench.finish("after", exit_code=1)
        until(lambda: bench.announced() == [("before", "SUCCESS"), ("after", "FAILURE")])
    with bench.watcher():
        until(lambda: len(bench.announced()) == 4)


def test_it_ends_at_once_when_it_is_asked_to(bench: Bench) -> None:
    with bench.watcher() as process:
        assert process.stderr
        assert b"watching builds: 0 known" in process.stderr.readline()
        asked_at = time.monotonic()
        process.terminate()
        assert process.wait(20) == 0
        assert time.monotonic() - asked_at < 5
