"""Runs the real runtime as a process of its own, for tests."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKEN = "of-the-tests"
SAMPLE = Path(__file__).with_name("sample_functions.py")
URL_MAP = {"default": "echo", "paths": {"events": "/events/*", "broken": "/broken"}}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Runtime:
    """One runtime; `ports` are known by their settings, e.g. `functions.echo.port`."""

    process: subprocess.Popen[bytes]
    state: Path
    log: Path
    ports: dict[str, int] = field(default_factory=dict)

    def ask(self, where: str, target: str, *, method: str = "GET", **options: Any) -> Answer:
        """One request to the function *where*, or to `gateway` or `admin`."""
        connection = self.connect(where)
        try:
            connection.request(method, target, **options)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def connect(self, where: str) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port(where), timeout=30)

    def port(self, where: str) -> int:
        return self.ports.get(f"{where}.port") or self.ports[f"functions.{where}.port"]

    def admin(self, target: str, *, method: str = "GET") -> Any:
        answer = self.ask("admin", target, method=method, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status == 200, answer
        return answer.json()

    def instances(self, function: str, *, state: str = "") -> list[dict[str, Any]]:
        every = self.admin("/instances")["instances"]
        return [each for each in every if each["function"] == function and state in ("", each["state"])]

    def events(self, message: str) -> list[dict[str, Any]]:
        """The events of the log with this message."""
        lines = self.log.read_bytes().splitlines()
        events = [json.loads(line) for line in lines if line.startswith(b"{")]
        return [event for event in events if event["message"] == message]

    def scratch(self) -> Path:
        return (self.state / "run" / "scratch").readlink()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def eventually(condition: Callable[[], Any], *, within_s: float = 20) -> Any:
    """What *condition* gives as soon as that is true."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)
    return value


def processes_below(scratch: Path) -> list[int]:
    """The living processes of instances whose private folders are in *scratch*."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and str(scratch).encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def checkout(folder: Path) -> Path:
    """A source with the sample functions as its main.py."""
    (folder / "functions").mkdir(parents=True)
    (folder / "functions" / "__init__.py").touch()
    (folder / "requirements.txt").touch()
    (folder / "main.py").write_text(SAMPLE.read_text())
    (folder / "config.yaml").write_text("greeting: hello\n")
    (folder / "url_map.yaml").write_text(json.dumps(URL_MAP))
    (folder / "token").write_text(TOKEN)
    return folder


def configure(folder: Path, functions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Write the configuration for a runtime of *folder*'s checkout; the command that starts it."""
    source = folder / "source"
    document = {
        "source": str(source),
        "config_file": str(source / "config.yaml"),
        "python": sys.executable,
        "admin": {"port": 0, "token_file": str(source / "token")},
        "gateway": {"port": 0, "url_map": str(source / "url_map.yaml")},
        "functions": {name: {"port": 0, **settings} for name, settings in functions.items()},
    }
    config = folder / "run.json"
    config.write_text(json.dumps(document))
    return [sys.executable, "-m", "emulator.run", "--config", str(config), "--state", str(folder / "state")]


def start(folder: Path, functions: Mapping[str, Mapping[str, Any]], *, path: str | None = None) -> Runtime:
    """Start a runtime of *folder*'s checkout and wait until it is ready; *path* is its PATH."""
    environment = {**os.environ, "PATH": os.environ["PATH"] if path is None else path}
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(configure(folder, functions), stderr=stderr, env=environment)
    runtime = Runtime(process, folder / "state", log)
    try:
        ready = eventually(lambda: runtime.events("ready") or process.poll() is not None)
        assert ready is not True, log.read_text()
    except BaseException:
        process.kill()
        process.wait()
        raise
    runtime.ports = ready[0]["ports"]
    return runtime
