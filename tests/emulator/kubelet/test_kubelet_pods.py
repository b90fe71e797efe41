"""Pods run by the real kubelet, seen through the real API server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from emulator.kubelet.cgroups import find_cgroups
from tests.emulator.kubelet.cluster import PYTHON, SHELL, Cluster, Namespace, eventually


def container(pod: Any) -> Any:
    """The status of the pod's container; before the kubelet met it, an empty one."""
    return pod["status"].get("containerStatuses", [{"state": {}, "ready": False}])[0]


def state(pod: Any) -> Any:
    return container(pod)["state"]


def conditions(pod: Any) -> dict[str, str]:
    return {each["type"]: each["status"] for each in pod["status"]["conditions"]}


def test_a_pod_that_ends_well_succeeds(namespace: Namespace) -> None:
    namespace.run("echo hello; echo oops >&2")
    pod = namespace.phase("Succeeded")
    assert state(pod)["terminated"]["exitCode"] == 0
    assert state(pod)["terminated"]["reason"] == "Completed"
    assert sorted(namespace.output().splitlines()) == ["hello", "oops"]


def test_an_exit_code_is_told(namespace: Namespace) -> None:
    namespace.run("exit 3")
    ended = state(namespace.phase("Failed"))["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")


def test_a_running_pod_is_as_kubespawner_wants_it(namespace: Namespace) -> None:
    namespace.run("sleep 600", ports=[{"name": "notebook-port", "containerPort": 8888}])
    pod = namespace.phase("Running")
    status = pod["status"]
    assert status["podIP"].startswith("127.77.")
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIP"] == "127.0.0.1"
    assert list(state(pod)) == ["running"]
    assert (container(pod)["ready"], container(pod)["lastState"]) == (True, {})
    assert container(pod)["imageID"].startswith("127.0.0.1:5000/binderless/shell@sha256:")
    assert conditions(pod)["Ready"] == conditions(pod)["ContainersReady"] == conditions(pod)["Initialized"] == "True"


def test_events_are_those_of_kubernetes(namespace: Namespace) -> None:
    namespace.run("exit 0", imagePullPolicy="Always")
    namespace.phase("Succeeded")
    namespace.event("Started")
    reasons = [reason for reason, _ in namespace.events() if reason != "Scheduled"]
    assert sorted(reasons) == ["Created", "Pulled", "Pulling", "Started"]


def test_a_pod_without_a_command_runs_the_images(namespace: Namespace) -> None:
    assert namespace.said("", command=[]) == "from the image\n"


def test_an_unknown_command_is_a_start_error(namespace: Namespace) -> None:
    namespace.run(command=["/none"])
    ended = state(namespace.phase("Failed"))["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "/none" in ended["message"]


def test_two_pods_never_share_an_address(namespace: Namespace) -> None:
    for name in ("a", "b"):
        namespace.run("sleep 600", name=name)
    first, second = (namespace.phase("Running", name=name)["status"]["podIP"] for name in ("a", "b"))
    assert first != second


def test_an_image_that_cannot_be_had_says_why(namespace: Namespace) -> None:
    namespace.run("true", image="docker.io/library/debian:12")
    pod = namespace.wait(lambda pod: state(pod).get("waiting", {}).get("reason") == "ImagePullBackOff")
    assert "is an image for containers" in state(pod)["waiting"]["message"]
    assert pod["status"]["phase"] == "Pending"
    namespace.event("BackOff")
    assert "Failed to pull image" in str(namespace.events())
    namespace.delete()
    namespace.gone()


def test_an_image_that_may_not_be_pulled_is_not(namespace: Namespace) -> None:
    namespace.run("true", image="127.0.0.1:5000/other:1", imagePullPolicy="Never")
    namespace.wait(lambda pod: state(pod).get("waiting", {}).get("reason") == "ErrImageNeverPull")
    assert "127.0.0.1:5000/other:1" not in namespace.cluster.images.pulled


def test_init_containers_run_one_after_the_other(namespace: Namespace) -> None:
    mounts = [{"name": "shared", "mountPath": "/shared"}]

    def init(name: str) -> dict[str, Any]:
        command = ["sh", "-c", f"echo {name} >> /shared/order"]
        return {"name": name, "image": SHELL, "command": command, "volumeMounts": mounts}

    said = namespace.said(
        "cat /shared/order",
        initContainers=[init("one"), init("two")],
        volumes=[{"name": "shared", "emptyDir": {}}],
        volumeMounts=mounts,
    )
    assert said == "one\ntwo\n"


def test_a_failed_init_container_fails_the_pod(namespace: Namespace) -> None:
    namespace.run("true", initContainers=[{"name": "one", "image": SHELL, "command": ["false"]}])
    pod = namespace.phase("Failed")
    assert state(pod) == {"waiting": {"reason": "PodInitializing"}}
    assert conditions(pod)["Initialized"] == "False"


def test_a_pod_is_restarted_until_it_succeeds(namespace: Namespace) -> None:
    namespace.run(
        "echo run; test -e /d/2 && exit 0; test -e /d/1 && touch /d/2; touch /d/1; exit 1",
        restart="OnFailure",
        volumes=[{"name": "d", "emptyDir": {}}],
        volumeMounts=[{"name": "d", "mountPath": "/d"}],
    )
    pod = namespace.phase("Succeeded")
    assert container(pod)["restartCount"] == 2
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 1
    assert namespace.output() == namespace.output(previous="true") == "run\n"


def test_a_crashing_pod_has_the_log_of_the_run_that_ended_until_the_next_begins(namespace: Namespace) -> None:
    namespace.run("echo run; exit 3", restart="Always")
    reasons, ended = set(), ""

    def has_waited() -> bool:
        nonlocal ended
        status = container(namespace.pod())
        restarts = status.get("restartCount", 0)
        reasons.add((status["state"].get("waiting") or {}).get("reason"))
        if restarts >= 2:
            # Not a refusal, whatever it does meanwhile.
            ended = namespace.output() or ended
            assert namespace.output(previous="true") == "run\n"
        return "CrashLoopBackOff" in reasons and restarts >= 5

    eventually(has_waited)
    assert ended == "run\n"


def test_a_crashing_pod_backs_off(namespace: Namespace) -> None:
    namespace.run("exit 1", restart="Always")
    pod = namespace.wait(lambda pod: state(pod).get("waiting", {}).get("reason") == "CrashLoopBackOff")
    assert pod["status"]["phase"] == "Running"
    assert "restarting failed container=main" in state(pod)["waiting"]["message"]
    namespace.delete(grace_s=0)


def test_a_pod_that_takes_too_long_fails(namespace: Namespace) -> None:
    namespace.run("sleep 600", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1)
    assert namespace.phase("Failed")["status"]["reason"] == "DeadlineExceeded"


def test_a_pod_that_heeds_sigterm_goes_at_once(namespace: Namespace) -> None:
    namespace.run("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", terminationGracePeriodSeconds=60)
    eventually(lambda: namespace.phase("Running") and namespace.output() == "up\n")
    namespace.delete()
    namespace.gone()
    assert namespace.event("Killing") == "Stopping container main"


def test_a_deaf_pod_and_its_daemons_are_killed_after_the_grace_period(namespace: Namespace) -> None:
    mark = f"7{abs(hash(namespace.name)) % 10**6}"
    namespace.run(f"trap '' TERM; (setsid sleep {mark} &); echo up; while :; do sleep 0.05; done")
    eventually(lambda: namespace.phase("Running") and namespace.output() == "up\n")
    eventually(lambda: running(mark))
    namespace.delete(grace_s=1)
    namespace.gone()
    assert not running(mark)


def test_daemons_do_not_outlive_the_command(namespace: Namespace) -> None:
    mark = f"8{abs(hash(namespace.name)) % 10**6}"
    namespace.run(f"(setsid sleep {mark} &); exit 0")
    namespace.phase("Succeeded")
    assert not running(mark)


def test_a_deleted_pod_leaves_nothing_on_disk(namespace: Namespace, cluster: Cluster) -> None:
    uid = namespace.run("echo hello; sleep 600")["metadata"]["uid"]
    namespace.phase("Running")
    assert (cluster.state / "pods" / uid).exists()
    namespace.delete(grace_s=0)
    namespace.gone()
    eventually(lambda: not (cluster.state / "pods" / uid).exists())
    eventually(lambda: not list((cluster.state / "logs").glob(f"*{uid}")))


def test_a_log_is_followed_to_its_end(namespace: Namespace) -> None:
    namespace.run(
        "echo first; until test -e /d/go; do sleep 0.02; done; echo last",
        volumes=[{"name": "d", "hostPath": {"path": str(allowed(namespace)), "type": "DirectoryOrCreate"}}],
        volumeMounts=[{"name": "d", "mountPath": "/d"}],
    )
    namespace.phase("Running")
    followed: list[str] = []
    reader = threading.Thread(target=lambda: followed.append(namespace.output(follow="true")))
    reader.start()
    (allowed(namespace) / "go").touch()
    reader.join(20)
    assert followed == ["first\nlast\n"]


def allowed(namespace: Namespace) -> Path:
    return namespace.cluster.state.parent / "allowed" / namespace.name


def test_log_options_cut_the_log(namespace: Namespace) -> None:
    namespace.said("for i in 1 2 3 4 5; do echo line $i; done")
    assert namespace.output(tailLines=2) == "line 4\nline 5\n"
    assert namespace.output(limitBytes=8) == "line 1\nl"
    assert namespace.output(sinceTime="2999-01-01T00:00:00Z") == ""
    assert namespace.output(sinceSeconds=3600, tailLines=1) == "line 5\n"
    time, _, text = namespace.output(timestamps="true", tailLines=1).partition(" ")
    assert (time[10], time[-1], text) == ("T", "Z", "line 5\n")


def test_a_log_without_a_last_newline_has_none(namespace: Namespace) -> None:
    assert namespace.said("printf 'a\\nxxx'") == "a\nxxx"


def test_a_pod_is_ready_when_its_probe_passes(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["test", "-e", "/d/ready"]}, "periodSeconds": 1}
    namespace.run(
        "sleep 600",
        readinessProbe=probe,
        volumes=[{"name": "d", "hostPath": {"path": str(allowed(namespace)), "type": "DirectoryOrCreate"}}],
        volumeMounts=[{"name": "d", "mountPath": "/d"}],
    )
    assert not container(namespace.phase("Running"))["ready"]
    (allowed(namespace) / "ready").touch()
    namespace.wait(lambda pod: container(pod)["ready"])


@pytest.mark.parametrize(
    "probe", [{"tcpSocket": {"port": "web"}}, {"httpGet": {"path": "/", "port": 8080}}], ids=["tcp", "http"]
)
def test_a_probe_may_ask_the_pods_address(namespace: Namespace, probe: Any) -> None:
    serve = [PYTHON, "-m", "http.server", "8080", "--bind", "$(IP)"]
    ip = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    ports = [{"name": "web", "containerPort": 8080}]
    probe = probe | {"periodSeconds": 1}
    namespace.run(command=serve, env=[ip], ports=ports, readinessProbe=probe, workingDir="/tmp")
    namespace.wait(lambda pod: container(pod)["ready"])
    namespace.delete(grace_s=0)


def test_memory_beyond_the_limit_is_out_of_memory(namespace: Namespace) -> None:
    limit = {"limits": {"memory": "64Mi"}}
    groups = find_cgroups("binderless-test")
    if groups is None:
        pytest.skip("needs control groups that may be written")
    groups.close()
    namespace.run(f"{PYTHON} -c 'x = bytearray(500 << 20); x[::4096] = x[::4096]'", resources=limit)
    ended = state(namespace.phase("Failed"))["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def running(mark: str) -> bool:
    lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return any(line == f"sleep\0{mark}\0".encode() for line in lines)


def test_a_command_whose_reader_goes_ends_quietly(namespace: Namespace) -> None:
    assert namespace.said("yes | head -n 1") == "y\n"
