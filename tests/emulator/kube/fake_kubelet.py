"""A kubelet that does as a test says: a node with a log endpoint, and states of pods that it reports."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.emulator.kube.serving import PATIENCE_S


class FakeKubelet:
    """A node with a log endpoint; its pods do what the test says, through the API, as those of a kubelet do."""

    def __init__(self, core: Any, name: str) -> None:
        self.core, self.name = core, name
        self.requests: list[tuple[str, str]] = []
        self.log_lines: list[bytes] = [b"one\n", b"two\n"]
        self.follow_until = threading.Event()
        self.client_left = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        kubelet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kubelet.requests.append((self.path, self.headers.get("Authorization", "")))
                self.send_response(200)
                self.end_headers()
                for line in kubelet.log_lines:
                    self.wfile.write(line)
                self.wfile.flush()
                if "follow=true" in urlsplit(self.path).query:
                    self._follow()

            def _follow(self) -> None:
                while not kubelet.follow_until.wait(0.01):
                    try:
                        self.wfile.write(b".\n")
                    except OSError:
                        kubelet.client_left.set()
                        return
                self.wfile.write(b"last\n")

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        return Handler

    def register(self, *, cpu: str = "2", memory: str = "1Gi", pods: str = "10") -> None:
        """Make the node known, and ready. Only pods that select it by label come to it."""
        amounts = {"cpu": cpu, "memory": memory, "pods": pods}
        port = self._server.server_address[1]
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }
        self.core.create_node({"metadata": {"name": self.name, "labels": {"of": self.name}}, "status": status})

    def set_state(self, namespace: str, pod: str, phase: str, state: dict[str, Any]) -> None:
        """Report a pod's phase and its container's state."""
        ready = "running" in state
        container = {"name": "main", "ready": ready, "restartCount": 0, "image": "", "imageID": "", "state": state}
        status = {"phase": phase, "podIP": "127.77.0.1", "containerStatuses": [container]}
        status["conditions"] = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
        self.core.patch_namespaced_pod_status(pod, namespace, {"status": status})

    def run(self, namespace: str, pod: str) -> None:
        self.set_state(namespace, pod, "Running", {"running": {}})

    def finish(self, namespace: str, pod: str, exit_code: int = 0) -> None:
        phase = "Failed" if exit_code else "Succeeded"
        self.set_state(namespace, pod, phase, {"terminated": {"exitCode": exit_code, "reason": "Completed"}})

    def close(self) -> None:
        """Take the node away."""
        self.follow_until.set()
        self.core.delete_node(self.name)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)
