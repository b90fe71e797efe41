"""The Kubernetes API of the emulator with a kubelet that runs nothing: pods do what a test says."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3

Object = dict[str, Any]


class Cluster:
    """An API server (`start` and `stop` it) and the one node that this class plays itself."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._folder, self._port, self._token = folder, port, secrets.token_hex(16)
        self._http = urllib3.PoolManager()
        # Pod -> lines with their times; what the log of a container that has started says.
        self._logs: dict[str, list[tuple[datetime, str]]] = {}

    def start(self) -> None:
        self._kubelet = ThreadingHTTPServer(("127.0.0.1", 0), _log_handler(self._logs))
        self._thread = Thread(target=self._kubelet.serve_forever, kwargs={"poll_interval": 0.02})
        tokens = self._folder / "tokens"
        tokens.write_text(f'{self._token},admin,1,"system:masters"\n')
        options = ["--port", str(self._port), "--state", str(self._folder / "state"), "--token-file", str(tokens)]
        with (self._folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "emulator.kube", *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._thread.start()
        until(self._answers)
        self._register_node()

    def stop(self) -> None:
        self._http.clear()
        self._process.terminate()
        self._process.wait(20)
        self._kubelet.shutdown()
        self._thread.join()
        self._kubelet.server_close()

    def kubeconfig(self, path: Path) -> str:
        """Write a kubeconfig for this cluster to *path*."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": self._token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(config))
        return str(path)

    @property
    def token(self) -> str:
        """Whoever has it may do everything."""
        return self._token

    def namespace(self) -> str:
        """Make a namespace for one test."""
        name = f"test-{secrets.token_hex(4)}"
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def call(self, method: str, path: str, body: Object | None = None, content_type: str = "json") -> Object:
        """One request to the API server; its answer has to be a success."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": f"application/{content_type}"}
        answer = self._http.request(method, self.url + path, json=body, headers=headers)
        assert answer.status < 300, (method, path, answer.data)
        found: Object = json.loads(answer.data)
        return found

    def pod_of(self, namespace: str, job: str) -> str:
        """The name of the job's pod, or of the pod of the build with that id, once it is scheduled."""

        def scheduled() -> list[Object]:
            pods = self.call("GET", f"/api/v1/namespaces/{namespace}/pods")
            return [pod for pod in pods["items"] if pod["spec"].get("nodeName") and belongs(pod["metadata"]["labels"])]

        def belongs(labels: Object) -> bool:
            return job in (labels.get("job-name"), labels.get("cloud-build.id"))

        self._beat()
        until(lambda: bool(scheduled()))
        return str(scheduled()[-1]["metadata"]["name"])

    def wait(self, namespace: str, job: str, reason: str) -> None:
        """Let the job's container wait for *reason*."""
        self._set(namespace, self.pod_of(namespace, job), "Pending", {"waiting": {"reason": reason}})

    def write(self, namespace: str, job: str, *lines: str, at: datetime | None = None) -> None:
        """Let the job run, and write *lines*."""
        pod = self.pod_of(namespace, job)
        if pod not in self._logs:
            self._set(namespace, pod, "Running", {"running": {"startedAt": _now()}})
        log = self._logs.setdefault(pod, [])
        log.extend((at or datetime.now(UTC), line) for line in lines)

    def finish(self, namespace: str, job: str, *, exit_code: int = 0, reason: str = "Completed") -> None:
        """Let the job's container end."""
        pod = self.pod_of(namespace, job)
        self._logs.setdefault(pod, [])
        ended = {"terminated": {"exitCode": exit_code, "reason": reason, "startedAt": _now(), "finishedAt": _now()}}
        self._set(namespace, pod, "Failed" if exit_code else "Succeeded", ended)

    def evict(self, namespace: str, job: str) -> None:
        """Let the node run out of something and drop the job's pod."""
        status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        self._patch_status(namespace, self.pod_of(namespace, job), status)

    def _set(self, namespace: str, pod: str, phase: str, state: Object) -> None:
        name = self.call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}")["spec"]["containers"][0]["name"]
        container = {"name": name, "image": "x", "imageID": "x", "restartCount": 0, "state": state}
        ready = phase == "Running"
        self._patch_status(namespace, pod, {"phase": phase, "containerStatuses": [{**container, "ready": ready}]})

    def _patch_status(self, namespace: str, pod: str, status: Object) -> None:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/status"
        self.call("PATCH", path, {"status": status}, "merge-patch+json")

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return self._http.request("GET", f"{self.url}/healthz", retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _register_node(self) -> None:
        self.call("POST", "/api/v1/nodes", {"metadata": {"name": "node"}})
        self._beat()

    def _beat(self) -> None:
        """Be a node that is alive: one that has not been heard of for 40 s gets no pods."""
        room = {"cpu": "64", "memory": "64Gi", "pods": "500"}
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": _now()}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._kubelet.server_port}},
        }
        self.call("PATCH", "/api/v1/nodes/node/status", {"status": status}, "merge-patch+json")


def until(met: Callable[[], bool]) -> None:
    """Wait for what has to come about soon."""
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _log_handler(logs: dict[str, list[tuple[datetime, str]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            since = datetime.fromisoformat(query.get("sinceTime", "1970-01-01T00:00:00Z"))
            lines = [entry for entry in logs.get(url.path.split("/")[-2], []) if entry[0] >= since]
            lines = lines[-int(query.get("tailLines", "1000000")) :]
            stamped = query.get("timestamps") == "true"
            text = "".join(f"{_stamp(time)} {line}\n" if stamped else f"{line}\n" for time, line in lines)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
