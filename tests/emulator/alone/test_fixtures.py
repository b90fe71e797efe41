"""What other projects use in their tests, and the page that tells them."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from emulator.alone.testing import ClusterFailed, Kubernetes, running_kubernetes
from emulator.stack.installation import ROOT
from emulator.stack.processes import alive, descendants
from tests.emulator.kube.serving import api_client, eventually

PAGE = ROOT / "docs" / "kubernetes.md"
# Fixtures are for who has pytest; the topics of the whole stack need Pub/Sub's library.
NOT_OF_OURS = {"pytest", "google", "grpc"}
BROUGHT_BY_AIOHTTP = {"multidict", "yarl"}
STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from emulator.alone.testing import running_kubernetes
with running_kubernetes(Path(sys.argv[1]), api_only=True):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_kubectl_runs_a_pod_and_reads_its_log(kubernetes: Kubernetes, kubectl: Callable[..., str]) -> None:
    kubectl("run", "hello", f"--image={kubernetes.shell_image}", "--restart=Never", "--", "sh", "-c", "echo $((6 * 7))")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/hello", "--timeout=50s")
    assert kubectl("logs", "hello") == "42\n"


def test_the_pods_of_an_indexed_job_share_the_work(kubernetes: Kubernetes, kubectl: Callable[..., str]) -> None:
    say = ["sh", "-c", 'echo "$JOB_COMPLETION_INDEX on $HOSTNAME, $(uname -n)"']
    container = {"name": "main", "image": kubernetes.shell_image, "command": say}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"completionMode": "Indexed", "completions": 3, "parallelism": 2, "template": template}
    with config.new_client_from_config(str(kubernetes.kubeconfig)) as connection:
        client.BatchV1Api(connection).create_namespaced_job("default", {"metadata": {"name": "a"}, "spec": spec})
    kubectl("wait", "--for=condition=Complete", "job/a", "--timeout=50s")
    assert kubectl("get", "job", "a", "-o", "jsonpath={.status.completedIndexes}") == "0-2"
    said = sorted(kubectl("logs", "--selector=job-name=a").splitlines())
    assert [line.partition(",")[0] for line in said] == ["0 on a-0", "1 on a-1", "2 on a-2"]


def test_the_official_client_is_led_there_by_the_kubeconfig_and_by_the_values(kubernetes_api: Kubernetes) -> None:
    with config.new_client_from_config(str(kubernetes_api.kubeconfig)) as by_file:
        assert client.VersionApi(by_file).get_code().git_version.startswith("v1.31")
    with api_client(kubernetes_api.url, kubernetes_api.token) as by_values:
        by_values.configuration.ssl_ca_cert = str(kubernetes_api.ca)
        with client.ApiClient(by_values.configuration) as trusting:
            assert client.CoreV1Api(trusting).list_node().items == []


def test_the_token_is_not_shown_when_a_test_fails(kubernetes_api: Kubernetes) -> None:
    assert kubernetes_api.token not in repr(kubernetes_api)


def test_a_cluster_that_cannot_start_says_why(tmp_path: Path) -> None:
    second = running_kubernetes(tmp_path / "state", api_only=True)
    with running_kubernetes(tmp_path / "state", api_only=True), pytest.raises(ClusterFailed, match="runs already"):
        second.__enter__()


def test_a_cluster_ends_with_the_tests_that_were_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path / "state")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == "ready\n"
        family = descendants(tests.pid)
        assert len(family) >= 2
        tests.send_signal(signal.SIGKILL)
    eventually(lambda: not any(map(alive, family)), what="the end of the cluster")


def test_the_example_of_the_page_is_true(tmp_path: Path) -> None:
    conftest, test = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_example.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_page_s_list_of_requirements_is_all_that_it_needs() -> None:
    """What the parts import beyond Python and the emulator is what the extra `kube` installs."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    (line,) = re.findall(r"^kube = \[(.*)\]$", pyproject, re.MULTILINE)
    modules = {"PyYAML": "yaml"}
    declared = {modules.get(name, name) for name in re.findall(r'"([^"]+)"', line)}
    folders = ("kube", "kubelet", "images", "stack", "alone", "cloud/registry")
    paths = [path for folder in folders for path in (ROOT / "emulator" / folder).rglob("*.py")]
    imported = {name for path in paths for name in imports(ast.parse(path.read_text()))}
    assert imported - sys.stdlib_module_names - NOT_OF_OURS - BROUGHT_BY_AIOHTTP - {"emulator"} == declared


def imports(tree: ast.AST) -> Iterator[str]:
    """The first names of all modules that are imported, wherever in the code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
