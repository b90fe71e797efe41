"""`python -m emulator kube`, from a folder where nothing else is."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from emulator.stack.processes import identify
from tests.emulator.alone.conftest import Clusters
from tests.emulator.kube.serving import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_well_and_nothing_is_left(clusters: Clusters, number: signal.Signals) -> None:
    process = clusters.start()
    image = clusters.ask("image", "sleeper", "--command", "sleep 1000").strip()
    clusters.kubectl("run", "sleeper", f"--image={image}")
    clusters.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=50s")
    said = clusters.stop(process, number)
    assert said.endswith("Stopping ...\nStopped.\n")
    assert clusters.left() == []


def test_nothing_is_left_of_one_that_is_killed_and_it_starts_again(clusters: Clusters) -> None:
    process = clusters.start()
    image = clusters.ask("image", "sleeper", "--command", "sleep 1000").strip()
    clusters.kubectl("run", "sleeper", f"--image={image}")
    clusters.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=50s")
    clusters.look(process.pid)
    process.kill()
    process.communicate(timeout=30)
    eventually(lambda: not clusters.left(), what="the end of all parts and pods")
    clusters.start()


def test_what_it_says_can_be_tried(clusters: Clusters) -> None:
    process = clusters.start()
    nodes, run, logs = (line.split() for line in clusters.stop(process).splitlines() if "kubectl" in line)
    clusters.start()
    kubeconfig = ("kubectl", "--kubeconfig", str(clusters.state.path / "kubeconfig"))
    assert tuple(nodes[:3]) == tuple(run[:3]) == tuple(logs[:3]) == kubeconfig
    assert "local   Ready" in clusters.kubectl(*nodes[3:])
    clusters.kubectl(*run[3:-1][:-1], "echo hi")
    clusters.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/hello", "--timeout=50s")
    assert clusters.kubectl(*logs[3:]) == "hi\n"


def test_objects_addresses_and_tokens_survive_and_a_pod_runs_again(clusters: Clusters) -> None:
    first = clusters.start()
    clusters.kubectl("create", "configmap", "kept", "--from-literal=k=v")
    image = clusters.ask("image", "sleeper", "--command", "sleep 1000").strip()
    clusters.kubectl("run", "sleeper", f"--image={image}")
    clusters.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=50s")
    kubeconfig = (clusters.state.path / "kubeconfig").read_text()
    clusters.stop(first)
    clusters.start()
    assert (clusters.state.path / "kubeconfig").read_text() == kubeconfig
    assert clusters.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.k}") == "v"
    restarts = ("get", "pod", "sleeper", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
    eventually(lambda: clusters.kubectl(*restarts) == "1", what="the pod's new start")


def test_a_second_one_in_the_same_folder_is_refused_with_a_sentence(clusters: Clusters) -> None:
    process = clusters.start("--api-only")
    said = clusters.ask("--api-only", code=1)
    assert said.startswith(f"Kubernetes runs already: process {process.pid}, since ")
    assert clusters.ask("--detach", code=1) == said
    assert json.loads(clusters.ask("status", "--json"))["healthy"]


def test_a_second_one_in_another_folder_runs_beside_it(clusters: Clusters, tmp_path: Path) -> None:
    clusters.start("--api-only")
    said = clusters.ask("--api-only", "--detach", "--state", str(tmp_path / "other"))
    assert "Kubernetes is ready at https://127.0.0.1:" in said
    status = json.loads(clusters.ask("status", "--json", "--state", str(tmp_path / "other")))
    clusters.look(status["pid"])
    assert status["kubeconfig"] == str(tmp_path / "other" / "kubeconfig")
    assert status["url"] != json.loads(clusters.ask("status", "--json"))["url"]
    supervisor = identify(status["pid"])
    assert clusters.ask("down", "--state", str(tmp_path / "other")) == "Stopped.\n"
    # It says so with its last breath.
    eventually(lambda: supervisor not in clusters.left())


def test_the_commands_of_the_whole_stack_tell_and_stop_it_too_where_they_are_led_there(clusters: Clusters) -> None:
    process = clusters.start("--api-only")
    environment = {**clusters.environment, "BINDERLESS_STATE": str(clusters.state.path)}
    for name, said in (("status", '"healthy": true'), ("down", "Stopped.")):
        command = [sys.executable, "-m", "emulator", name, *(["--json"] if name == "status" else [])]
        assert said in subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_where_nothing_runs_the_commands_say_so(clusters: Clusters) -> None:
    assert clusters.ask("status", code=3) == clusters.ask("down") == "Nothing runs here.\n"
    assert (
        clusters.ask("--state", "other", "down") == clusters.ask("down", "--state", "other") == "Nothing runs here.\n"
    )
    assert "start one: python -m emulator kube" in clusters.ask("image", "x", code=1)


def test_a_port_that_is_taken_is_refused_with_a_sentence(clusters: Clusters) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = clusters.ask("--port", str(port), code=1)
    assert said.startswith(f"Kubernetes cannot start: port {port} on 127.0.0.1 is taken by another process; ")
    clusters.start("--port", str(port), "--api-only")
    assert json.loads(clusters.ask("status", "--json"))["url"] == f"https://127.0.0.1:{port}"


def test_the_api_alone_keeps_pods_pending(clusters: Clusters) -> None:
    clusters.start("--api-only")
    clusters.kubectl("run", "waiting", "--image=example.org/x")
    assert clusters.kubectl("get", "pod", "waiting", "-o", "jsonpath={.status.phase}") == "Pending"
    assert "No cluster with a registry runs" in clusters.ask("image", "x", code=1)


def test_an_image_of_ones_own_has_files_variables_and_folders_of_the_machine(
    clusters: Clusters, tmp_path: Path
) -> None:
    clusters.start()
    (files := clusters.folder / "files").mkdir()
    (files / "go.sh").write_text('echo "$WORD from $PWD"; cat "$SHOWN/note"\n')
    (shown := clusters.folder / "shown").mkdir(mode=0o755)
    (shown / "note").write_text("of the machine\n")
    variables = ("--env", "WORD=hello", "--env", f"SHOWN={shown}")
    image = clusters.ask(
        *("image", "own:2", "--folder", "files", "--visible", "shown", *variables, "--command", "sh go.sh")
    ).strip()
    assert image.endswith("/binderless/own:2")
    clusters.kubectl("run", "own", f"--image={image}", "--restart=Never")
    clusters.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/own", "--timeout=50s")
    assert clusters.kubectl("logs", "own") == "hello from /home/jovyan\nof the machine\n"


@pytest.mark.parametrize(
    "arguments",
    [("../../up",), ("x", "--folder", "nowhere"), ("x", "--env", "A"), ("x", "--command", "'")],
    ids=["name", "folder", "variable", "quotes"],
)
def test_an_image_that_cannot_be_is_refused_with_a_sentence(clusters: Clusters, arguments: tuple[str, ...]) -> None:
    clusters.start()
    said = clusters.ask("image", *arguments, code=1)
    assert said.startswith("There is no image: ")
    assert "Traceback" not in said


def test_nobody_gets_in_without_a_secret_that_only_the_owner_can_read(clusters: Clusters) -> None:
    clusters.start()
    status = json.loads(clusters.ask("status", "--json"))
    for url in ("v2/", "v2/binderless/shell/manifests/latest"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{status['registry']}/{url}", timeout=10)
        assert refused.value.code == 401
        refused.value.close()
    secrets = [clusters.state.path / "kubeconfig", *(clusters.state.path / "secrets").iterdir()]
    assert {path.stat().st_mode & 0o077 for path in secrets} == {0}
