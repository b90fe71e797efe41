"""A cluster for tests: the real API server and the real kubelet in a thread, with images that need no registry."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from emulator.images import ImageError, PulledImage, scan, tree_hash
from emulator.images.references import NOWHERE
from emulator.kube.authentication import read_tokens
from emulator.kube.process import Settings as ServerSettings
from emulator.kube.process import running
from emulator.kubelet.kubelet import Settings, running_kubelet
from emulator.kubelet.layout import Layout, hidden_folders
from emulator.kubelet.process import Runtime
from emulator.kubelet.services import Timing

T = TypeVar("T")
TOKEN = "test-token"
REGISTRY = "127.0.0.1:5000"
SHELL = f"{REGISTRY}/binderless/shell:1"
PATIENCE_S = 20.0
# An interpreter that containers see as well.
PYTHON = str(Path(sys.base_prefix).resolve() / "bin" / "python3")
FAST = Timing(back_off_s=0.05, longest_back_off_s=0.4, retry_s=0.05, heartbeat_s=0.3)


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    @contextmanager
    def entered(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        stack = AsyncExitStack()
        value = self.run(stack.enter_async_context(context))
        try:
            yield value
        finally:
            self.run(stack.aclose())


class FakeImages:
    """What a registry would hold; pulling anything else fails."""

    def __init__(self, root: Path) -> None:
        self.pulled: list[str] = []
        (made := root / "environments" / NOWHERE / "bin").mkdir(parents=True)
        (made / "tool").write_text("#!/bin/sh\necho from the environment\n")
        (made / "tool").chmod(0o555)
        # What mentions its own folder, in the midst of bytes that are no text.
        (made / "program").write_bytes(b"\xff\0" + bytes(made) + b"\0\xfe")
        self.environment = root / "environments" / tree_hash(scan(made.parent))
        self._content = {each.name: (each.read_bytes(), each.stat().st_mode) for each in made.iterdir()}
        shutil.rmtree(made.parent)
        self._restore()
        self.home = root / "images" / "home"
        self.home.mkdir(parents=True)
        (self.home / "README").write_text("hello\n")
        self.images = {SHELL: self.image(SHELL)}

    def image(self, reference: str, **changes: Any) -> PulledImage:
        made: dict[str, Any] = {
            "reference": reference,
            "digest": "sha256:" + "0" * 64,
            "env": {"PATH": f"{self.environment}/bin:/usr/bin:/bin", "FROM_IMAGE": "yes"},
            "entrypoint": (),
            "command": ("sh", "-c", "echo from the image"),
            "working_dir": "/home/jovyan",
            "labels": {},
            "environment": self.environment,
            "home": self.home,
        }
        return PulledImage(**(made | changes))

    async def __call__(self, reference: str, /) -> PulledImage:
        self.pulled.append(reference)
        if reference not in self.images:
            raise ImageError(f"{reference} is an image for containers", missing=False)
        if not self.environment.is_dir():
            self._restore()
        return self.images[reference]

    def _restore(self) -> None:
        (folder := self.environment / "bin").mkdir(parents=True)
        for name, (content, mode) in self._content.items():
            (folder / name).write_bytes(content.replace(NOWHERE.encode(), self.environment.name.encode()))
            (folder / name).chmod(mode)


class Cluster:
    """The API server, a client for it, and a kubelet that can be stopped and started."""

    def __init__(self, loop: Loop, url: str, state: Path, runtime: Runtime | None) -> None:
        self.url, self.state, self.runtime = url, state, runtime
        self.node = f"node-{uuid.uuid4().hex[:8]}"
        self.images = FakeImages(state)
        self._loop = loop

    @contextmanager
    def kubelet(self, **changes: Any) -> Iterator[None]:
        layout = Layout(
            state=self.state,
            visible=(Path(sys.base_prefix).resolve(),),
            hidden=hidden_folders(self.state, Path.home()),
            allowed_host_paths=(self.state.parent / "allowed",),
        )
        settings: dict[str, Any] = {
            "port": 0,
            "node": self.node,
            "server": self.url,
            "token": TOKEN,
            "registry": REGISTRY,
            "layout": layout,
            "pod_network": ipaddress.IPv4Network("127.77.0.0/16"),
            "timing": FAST,
        }
        context = running_kubelet(
            Settings(**(settings | changes)), pull=self.images, runtime=self.runtime, now=lambda: datetime.now(UTC)
        )
        with self._loop.entered(context) as pods:
            eventually(pods.listed.is_set)
            yield

    def call(self, method: str, path: str, body: Any = None, *, timeout_s: float = PATIENCE_S) -> bytes:
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                error.add_note(error.read().decode())
            raise

    def get(self, path: str) -> Any:
        """The object there; None for 404."""
        try:
            return json.loads(self.call("GET", path))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def namespace(self) -> Namespace:
        name = f"t-{uuid.uuid4().hex[:10]}"
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return Namespace(self, name)

    @contextmanager
    def namespace_of_a_test(self) -> Iterator[Namespace]:
        """What runs in it when the test ends is told to end, and not waited for."""
        made = self.namespace()
        yield made
        self.call("DELETE", f"/api/v1/namespaces/{made.name}")


class Namespace:
    """A namespace of one test's own."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self._path = f"/api/v1/namespaces/{name}"

    def create(self, kind: str, body: dict[str, Any]) -> Any:
        return json.loads(self.cluster.call("POST", f"{self._path}/{kind}", body))

    def run(self, script: str = "", *, name: str = "a", restart: str = "Never", **changes: Any) -> Any:
        """Create a pod with one container; *changes* whose name is a pod's go there, others to the container."""
        pod_fields = (
            *("volumes", "initContainers", "activeDeadlineSeconds", "terminationGracePeriodSeconds"),
            "readinessGates",
        )
        container = {"name": "main", "image": SHELL, "command": ["sh", "-c", script]}
        container |= {key: value for key, value in changes.items() if key not in pod_fields}
        spec = {"restartPolicy": restart, "nodeName": self.cluster.node, "containers": [container]}
        spec |= {key: value for key, value in changes.items() if key in pod_fields}
        body = {"metadata": {"name": name, "labels": {"app": "x"}}, "spec": spec}
        return self.create("pods", body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Apply a strategic merge patch to what is at *path* in this namespace, `pods/a/status` for instance."""
        return json.loads(self.cluster.call("PATCH", f"{self._path}/{path}", body))

    def pod(self, name: str = "a") -> Any:
        return self.cluster.get(f"{self._path}/pods/{name}")

    def find(self, kind: str) -> list[Any]:
        """All objects of a kind."""
        return list(self.cluster.get(f"{self._path}/{kind}")["items"])

    def wait(self, condition: Callable[[Any], Any], name: str = "a") -> Any:
        """The pod as it is when *condition* holds of it."""
        found: list[Any] = []

        def holds() -> bool:
            found[:] = [self.pod(name)]
            return bool(condition(found[0]))

        eventually(holds, lambda: json.dumps((found[0] or {}).get("status"), indent=1))
        return found[0]

    def phase(self, *phases: str, name: str = "a") -> Any:
        return self.wait(lambda pod: pod["status"]["phase"] in phases, name)

    def output(self, name: str = "a", **query: Any) -> str:
        options = "&".join(f"{key}={value}" for key, value in ({"container": "main"} | query).items())
        return self.cluster.call("GET", f"{self._path}/pods/{name}/log?{options}").decode()

    def said(self, script: str, *, name: str = "a", **changes: Any) -> str:
        """What a container says until it has ended."""
        self.run(script, name=name, **changes)
        self.phase("Succeeded", "Failed", name=name)
        return self.output(name)

    def delete(self, name: str = "a", *, grace_s: int | None = None) -> None:
        query = "" if grace_s is None else f"?gracePeriodSeconds={grace_s}"
        self.cluster.call("DELETE", f"{self._path}/pods/{name}{query}")

    def gone(self, name: str = "a") -> None:
        eventually(lambda: self.pod(name) is None)

    def events(self, name: str = "a") -> list[tuple[str, str]]:
        found = self.cluster.get(f"{self._path}/events?fieldSelector=involvedObject.name%3D{name}")
        return [(each["reason"], each["message"]) for each in found["items"]]

    def event(self, reason: str, name: str = "a") -> str:
        """The message of the event, when it comes."""
        eventually(lambda: reason in dict(self.events(name)), lambda: str(self.events(name)))
        return dict(self.events(name))[reason]


@contextmanager
def api_server(loop: Loop, state: Path, port: int = 0) -> Iterator[str]:
    state.mkdir(exist_ok=True)
    tokens = state / "tokens"
    tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
    with loop.entered(running(ServerSettings(port, state, read_tokens(tokens)))) as server:
        yield f"http://127.0.0.1:{server.port}"


@contextmanager
def kubelet_process(cluster: Cluster, tmp_path: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    for name, content in (("token", TOKEN), ("credentials", "user:password")):
        (tmp_path / name).write_text(content)
    options = {
        "--port": "0",
        "--state": str(cluster.state),
        "--server": cluster.url,
        "--token-file": str(tmp_path / "token"),
        "--node-name": cluster.node,
        "--registry": "127.0.0.1:5000",
        "--registry-credentials": str(tmp_path / "credentials"),
    }
    command = [sys.executable, "-m", "emulator.kubelet", *(part for pair in options.items() for part in pair)]
    with subprocess.Popen([*command, *flags]) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(15)


@contextmanager
def loop_thread() -> Iterator[Loop]:
    loop = Loop()
    try:
        yield loop
    finally:
        loop.close()


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder).resolve()


def eventually(
    condition: Callable[[], object], otherwise: Callable[[], str] = str, *, patience_s: float = PATIENCE_S
) -> None:
    """Wait until *condition* holds."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.02)
