"""The server as a process: start, stop, restart, and what it keeps."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.kube import certificate
from emulator.kube.authentication import TokenFileError, parse_tokens
from emulator.kube.process import Settings, running
from tests.emulator.kube.serving import TOKEN, TOKEN_FILE, eventually, job_body, serving
from tests.ports import free_port


@contextmanager
def process(state: Path, *, end: signal.Signals = signal.SIGTERM) -> Iterator[int]:
    """Run the command within the context; yield its port."""
    tokens = state.parent / "tokens"
    tokens.write_text(TOKEN_FILE)
    command = [sys.executable, "-m", "emulator.kube", "--port", "0", "--state", str(state), "--token-file", str(tokens)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        line = child.stderr.readline()
        try:
            yield int(line.rpartition(":")[2])
        finally:
            child.send_signal(end)
            child.stderr.read()
    assert child.returncode == (0 if end is signal.SIGTERM else -end)


def call(port: int, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
    """Return the code and the JSON of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {token}"}
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else text.decode()
    finally:
        connection.close()


def test_objects_and_versions_survive_a_restart(tmp_path: Path) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    with process(tmp_path / "state") as port:
        _code, made = call(port, "POST", path, {"metadata": {"name": "a"}, "data": {"k": "v"}})
        call(port, "DELETE", f"{path}/kube-root-ca.crt")
    with process(tmp_path / "state") as port:
        assert call(port, "GET", f"{path}/a") == (200, made)
        _code, listed = call(port, "GET", path)
        assert int(listed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        _code, event = call(port, "GET", f"{path}?watch=1&resourceVersion={made['metadata']['resourceVersion']}")
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_a_job_goes_on_after_a_crash_and_has_one_pod(tmp_path: Path) -> None:
    jobs, pods = "/apis/batch/v1/namespaces/default/jobs", "/api/v1/namespaces/default/pods"
    with process(tmp_path / "state", end=signal.SIGKILL) as port:
        assert call(port, "POST", jobs, job_body("a"))[0] == 201
        eventually(lambda: call(port, "GET", pods)[1]["items"])
        # What is on disk is a little behind what was answered.
        eventually(lambda: b'"Job"' in b"".join(path.read_bytes() for path in (tmp_path / "state").glob("objects*")))
    with process(tmp_path / "state") as port:
        eventually(lambda: call(port, "GET", f"{jobs}/a")[1]["status"].get("active") == 1)
        assert len(call(port, "GET", pods)[1]["items"]) == 1


def test_a_server_that_is_killed_can_start_again(tmp_path: Path) -> None:
    with process(tmp_path / "state", end=signal.SIGKILL) as port:
        assert call(port, "GET", "/healthz") == (200, "ok")
    with process(tmp_path / "state") as port:
        assert call(port, "GET", "/api/v1/namespaces/default")[0] == 200


def test_a_state_folder_has_one_server(tmp_path: Path) -> None:
    with process(tmp_path / "state"):
        command = [sys.executable, "-m", "emulator.kube", "--port", "0", "--state", str(tmp_path / "state")]
        second = subprocess.run(
            [*command, "--token-file", str(tmp_path / "tokens")], capture_output=True, text=True, timeout=30
        )
    assert second.returncode == 1
    assert "database is locked" in second.stderr


def test_a_port_that_is_taken_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKEN_FILE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "emulator.kube", "--port", str(taken.getsockname()[1])]
        folders = ["--state", str(tmp_path / "state"), "--token-file", str(tmp_path / "tokens")]
        second = subprocess.run([*command, *folders], capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert "address already in use" in second.stderr
    assert "Traceback" not in second.stderr


def test_an_open_watch_does_not_delay_the_end(tmp_path: Path) -> None:
    with process(tmp_path / "state") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/api/v1/pods?watch=1", headers={"Authorization": f"Bearer {TOKEN}"})
        assert connection.getresponse().status == 200
    connection.close()


def test_secrets_on_disk_are_for_the_owner_only(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as server:
        modes = {path.name: path.stat().st_mode & 0o077 for path in server.state.iterdir()}
        assert server.state.stat().st_mode & 0o077 == 0
    assert modes["objects.sqlite"] == modes["server.key"] == 0


@pytest.mark.parametrize(
    "lines", [[], ["token"], ["t,u,1,people"], [',admin,1,"system:masters"']], ids=["empty", "short", "weak", "blank"]
)
def test_a_token_file_without_a_master_is_refused(lines: list[str]) -> None:
    with pytest.raises(TokenFileError):
        parse_tokens(lines)


def test_the_plain_port_answers_while_the_certificate_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[object] = []
    make = certificate.context

    def context(state: Path) -> ssl.SSLContext:
        answers.append(call(port, "GET", "/readyz"))
        return make(state)

    async def serve() -> None:
        async with running(Settings(port, tmp_path, parse_tokens(TOKEN_FILE.splitlines()), 0)):
            answers.append("TLS")

    port = free_port()
    monkeypatch.setattr(certificate, "context", context)
    asyncio.run(serve())
    assert answers == [(200, "ok"), "TLS"]


def test_servers_that_start_together_have_a_certificate_and_the_key_to_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as together:
        made = list(together.map(certificate.context, [tmp_path / "state"] * 4))
    assert len(made) == 4
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"server.crt", "server.key", "server.lock"}


def test_the_server_imports_nothing_that_its_first_answer_does_not_need() -> None:
    look = "import sys, emulator.kube.__main__, emulator.kube.process; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert not {"cryptography", "kubernetes", "google.protobuf", "yaml"} & set(imported.stdout.split())
