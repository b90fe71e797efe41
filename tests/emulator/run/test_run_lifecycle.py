"""From start to end of a runtime, with bubblewrap and without."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.emulator.run.harness import configure, eventually, processes_below, start

FUNCTIONS = {
    "background": {"entry_point": "background"},
    "events": {"entry_point": "events"},
    "echo": {"entry_point": "echo"},
    "broken": {"entry_point": "echo"},
}


def test_a_frozen_instance_does_nothing_until_the_next_request(folder: Path, path: str | None) -> None:
    runtime, count = start(folder, FUNCTIONS, path=path), folder / "count"
    try:
        first = runtime.ask("background", f"/?count={count}").body
        eventually(lambda: runtime.instances("background", state="frozen"))
        counted = int(count.read_text())
        # A cold start elsewhere takes long enough to count to twenty; stopping all threads may take one more step.
        runtime.ask("echo", "/")
        assert int(count.read_text()) <= counted + 1
        assert runtime.ask("background", "/").body == first
        eventually(lambda: runtime.ask("background", "/") and int(count.read_text()) > counted + 1)
    finally:
        runtime.end()


def test_sigterm_ends_every_process_in_ten_seconds(folder: Path, path: str | None) -> None:
    runtime = start(folder, FUNCTIONS, path=path)
    scratch = runtime.scratch()
    stream = runtime.connect("events")
    stream.request("GET", "/")
    runtime.ask("echo", "/")
    with stream.getresponse() as response:
        assert response.readline() == b"id: 0\n"
        eventually(lambda: runtime.instances("echo", state="frozen"))
        assert len(processes_below(scratch)) >= 4
        runtime.process.send_signal(signal.SIGTERM)
        assert runtime.process.wait(10) == 0
    stream.close()
    assert processes_below(scratch) == []
    assert not scratch.exists()


def test_nothing_survives_a_killed_runtime(folder: Path, path: str | None) -> None:
    runtime = start(folder, FUNCTIONS, path=path)
    scratch = runtime.scratch()
    stream = runtime.connect("events")
    stream.request("GET", "/")
    runtime.ask("echo", "/")
    with stream.getresponse() as response:
        assert response.readline() == b"id: 0\n"
        eventually(lambda: runtime.instances("echo", state="frozen"))
        assert processes_below(scratch)
        runtime.process.kill()
        runtime.process.wait()
        eventually(lambda: not processes_below(scratch), within_s=5)
    stream.close()
    again = start(folder, FUNCTIONS, path=path)
    assert not scratch.exists()
    assert again.ask("echo", "/").status == 200
    again.end()


def test_a_frozen_instance_killed_from_outside_is_replaced(folder: Path, path: str | None) -> None:
    runtime = start(folder, FUNCTIONS, path=path)
    try:
        first = runtime.ask("echo", "/").json()["me"]
        [instance] = eventually(lambda: runtime.instances("echo", state="frozen"))
        os.kill(instance["pid"], signal.SIGKILL)
        eventually(lambda: not runtime.instances("echo"))
        assert runtime.ask("echo", "/").json()["me"] != first
    finally:
        runtime.end()


def test_a_changed_source_is_a_new_revision_and_the_old_one_goes(folder: Path) -> None:
    revisions = folder / "state" / "run" / "revisions"
    start(folder, FUNCTIONS).end()
    [first] = revisions.iterdir()
    start(folder, FUNCTIONS).end()
    assert list(revisions.iterdir()) == [first]
    (folder / "source" / "functions" / "more.py").write_text("MORE = 1\n")
    start(folder, FUNCTIONS).end()
    [second] = revisions.iterdir()
    assert second != first
    assert list((second / "functions").glob("__pycache__/more*.pyc"))


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("source/functions/bad.py", "def", "SyntaxError"),
        ("source/url_map.yaml", "default: nobody\npaths: {}", "nobody: no such function"),
        ("source/token", "", "admin.token_file"),
        ("run.json", '{"colour": "red"}', "colour: no such setting"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(folder: Path, name: str, text: str, complaint: str) -> None:
    command = configure(folder, FUNCTIONS)
    (folder / name).write_text(text)
    output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert output.returncode == 1
    assert complaint in output.stderr
    assert "Traceback" not in output.stderr


def test_a_second_runtime_on_the_same_state_is_refused(folder: Path) -> None:
    runtime = start(folder, FUNCTIONS)
    command = configure(folder, FUNCTIONS)
    output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    runtime.end()
    assert output.returncode == 1
    assert "another runtime is using" in output.stderr
