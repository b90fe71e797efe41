"""A running stack, as tests use it: by its public address, its admin addresses, and its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from emulator.examples import make_repository

ROOT = Path(__file__).parents[2]
HTTP = urllib3.PoolManager(retries=False, maxsize=50)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a launch's stream."""

    id: str
    data: Mapping[str, Any]

    @property
    def phase(self) -> str:
        return str(self.data.get("phase"))

    @property
    def message(self) -> str:
        return str(self.data["message"])


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack over one state folder."""

    state: Path
    url: str
    backend: str = "kubernetes"

    @property
    def messages_of_a_build(self) -> int:
        """How many messages a build that succeeds is worth: Cloud Build announces every state, a job its end."""
        return 3 if self.backend == "cloud_build" else 1

    def status(self) -> dict[str, Any]:
        """What `python -m emulator status --json` says."""
        command = [sys.executable, "-m", "emulator", "status", "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def environment(self) -> dict[str, str]:
        """The environment in which commands mean this stack."""
        return {**os.environ, "BINDERLESS_STATE": str(self.state)}

    def port(self, name: str) -> int:
        return int(json.loads((self.state / "ports.json").read_text())[name])

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text().strip()

    def publish(self, example: Path, name: str) -> str:
        """Make a git repository of a folder; return the address at which the stack's git host serves it."""
        make_repository(example, self.state / "git" / name)
        return f"http://127.0.0.1:{self.port('cloud')}/git/{name}.git"

    def launch(self, repo_url: str, ref: str = "HEAD", **headers: str) -> Iterator[Event]:
        """The events of a launch, as they come."""
        return self.stream(f"/build/git/{quote(repo_url, safe='')}/{quote(ref, safe='')}", **headers)

    def stream(self, path: str, **headers: str) -> Iterator[Event]:
        """Follow a stream of the public address; closing the iterator drops the connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = HTTP.request(
            "GET",
            f"{self.url}{path}",
            headers={"Accept": "text/event-stream", **named},
            preload_content=False,
            timeout=urllib3.Timeout(connect=10, read=120),
        )
        try:
            yield from _events(response)
        finally:
            response.close()

    def ready(self, repo_url: str, **headers: str) -> Event:
        """The `ready` event of a launch; fails with the launch's own words otherwise."""
        story = list(self.until_end(self.launch(repo_url, **headers)))
        assert story[-1].phase == "ready", "\n".join(event.message.strip() for event in story[-20:])
        return story[-1]

    def until_end(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if event.phase in ("ready", "failed"):
                return

    def run_admin(self, method: str, path: str) -> Any:
        """Ask the serverless runtime."""
        return self._admin(method, f"http://127.0.0.1:{self.port('run_admin')}{path}", self.secret("run-admin"))

    def cloud_admin(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the small cloud: Pub/Sub's faults, the scheduler's jobs."""
        return self._admin(method, f"http://127.0.0.1:{self.port('cloud')}{path}", self.secret("cloud-admin"), body)

    def cull(self) -> Any:
        """Let the scheduler call the cull now."""
        return self.cloud_admin("POST", "/admin/scheduler/jobs/cull:run")

    def instances(self, function: str) -> list[dict[str, Any]]:
        return [each for each in self.run_admin("GET", "/instances")["instances"] if each["function"] == function]

    def kill_instance(self, pid: int) -> None:
        self.run_admin("POST", f"/instances/{pid}:kill")

    def hub(self, method: str, path: str) -> Any:
        """Ask JupyterHub's REST API with the functions' own token."""
        url = f"http://127.0.0.1:{self.port('hub_api')}/hub/api{path}"
        response = HTTP.request(method, url, headers={"Authorization": f"token {self.secret('hub-service')}"})
        return json.loads(response.data) if response.data else None

    def kubernetes(self, path: str) -> list[dict[str, Any]]:
        """List objects of the cluster."""
        url = f"http://127.0.0.1:{self.port('kube')}{path}"
        response = HTTP.request("GET", url, headers={"Authorization": f"Bearer {self.secret('cluster-admin')}"})
        items: list[dict[str, Any]] = json.loads(response.data)["items"]
        return items

    def pods(self) -> list[dict[str, Any]]:
        """The pods of users' servers."""
        return self.kubernetes("/api/v1/namespaces/binderless/pods")

    def builds_of(self, repo_url: str) -> list[str]:
        """The builds of a repository, by their state: SUCCESS, or another one."""
        if self.backend == "cloud_build":
            return [build["status"] for build in self.cloud_builds() if repo_url in build["steps"][0]["args"]]
        jobs = self.kubernetes("/apis/batch/v1/namespaces/binderless-builds/jobs")
        ours = [job for job in jobs if job["metadata"]["annotations"].get("binderless.repo") == repo_url]
        return ["SUCCESS" if job["status"].get("succeeded") else "WORKING" for job in ours]

    def cloud_builds(self) -> list[dict[str, Any]]:
        """The builds that Cloud Build knows, where it builds."""
        url = f"http://127.0.0.1:{self.port('cloud')}/v1/projects/local/locations/europe-west1/builds?pageSize=1000"
        response = HTTP.request("GET", url, headers={"Authorization": f"Bearer {self.secret('cloud-build')}"})
        builds: list[dict[str, Any]] = json.loads(response.data).get("builds", [])
        return builds

    def users_of(self, repo_name: str) -> list[str]:
        """Hub users of launches of a repository."""
        return [user["name"] for user in self.hub("GET", "/users") if repo_name in user["name"]]

    def part_pid(self, name: str) -> int:
        [pid] = [part["pid"] for part in self.status()["parts"] if part["name"] == name]
        return int(pid)

    def kill_part(self, name: str) -> None:
        """kill -9 one part; the supervisor starts it again."""
        os.kill(self.part_pid(name), signal.SIGKILL)

    def _admin(self, method: str, url: str, token: str, body: Any = None) -> Any:
        response = HTTP.request(method, url, headers={"Authorization": f"Bearer {token}"}, json=body)
        assert response.status < 300, response.data
        return json.loads(response.data) if response.data else None


def wait_until(true: Callable[[], bool], *, patience_s: float = 30, what: str = "it") -> None:
    """Poll *true* until it holds; fail by name when it does not."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {patience_s} s"
        time.sleep(0.1)


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[Event]:
    fields: dict[str, str] = {}
    rest = b""
    for piece in response.stream(65536, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line and "data" in fields:
                yield Event(fields.get("id", ""), json.loads(fields.pop("data")))
            elif line and not line.startswith(b":"):
                name, _, value = line.decode().partition(": ")
                fields[name] = value
