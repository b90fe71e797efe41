"""Environment, arguments and volumes as a container sees them."""

from __future__ import annotations

import base64

import pytest

from tests.emulator.kubelet.cluster import Namespace


def field(path: str) -> dict[str, object]:
    return {"fieldRef": {"fieldPath": path}}


def test_the_environment_is_that_of_kubernetes(namespace: Namespace) -> None:
    namespace.create("configmaps", {"metadata": {"name": "c"}, "data": {"k": "from-configmap", "ALL": "yes"}})
    secret = base64.b64encode(b"from-secret").decode()
    namespace.create("secrets", {"metadata": {"name": "s"}, "data": {"k": secret}})
    env = [
        {"name": "NAME", "valueFrom": field("metadata.name")},
        {"name": "LABEL", "valueFrom": field("metadata.labels['app']")},
        {"name": "CMK", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "SEC", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "JOINED", "value": "$(NAME)-$(CMK)"},
        {"name": "LATE", "value": "$(AFTER)"},
        {"name": "AFTER", "value": "after"},
        {"name": "ESC", "value": "$$(NAME)"},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "DUP", "value": "one"},
        {"name": "DUP", "value": "two"},
    ]
    said = namespace.said(
        'echo "$NAME|$LABEL|$CMK|$SEC|$JOINED|$LATE|$ESC|$ALL|$P_ALL|$LIMIT|$DUP|$HOSTNAME|$FROM_IMAGE|$HOME"',
        env=env,
        envFrom=[{"configMapRef": {"name": "c"}}, {"prefix": "P_", "configMapRef": {"name": "c"}}],
        resources={"limits": {"memory": "64Mi"}},
    )
    assert said.strip().split("|") == [
        *("a", "x", "from-configmap", "from-secret", "a-from-configmap", "$(AFTER)", "$(NAME)"),
        *("yes", "yes", "67108864", "two", "a", "yes", "/home/jovyan"),
    ]


def test_arguments_are_expanded_before_the_container_starts(namespace: Namespace) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "IP", "valueFrom": field("status.podIP")}]
    said = namespace.said("", command=["echo", "$(A)"], args=["x$(A)", "$$(A)", "$(C)", "$(IP)"], env=env)
    assert said.startswith("1 x1 $(A) $(C) 127.77.")


def test_a_missing_config_map_is_waited_for(namespace: Namespace) -> None:
    namespace.run("echo $K", env=[{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}])
    pod = namespace.wait(lambda pod: "CreateContainerConfigError" in str(pod["status"]))
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"] == 'configmap "c" not found'
    namespace.create("configmaps", {"metadata": {"name": "c"}, "data": {"k": "now"}})
    namespace.phase("Succeeded")
    assert namespace.output() == "now\n"


def test_volumes_are_mounted_where_the_machine_has_no_folder(namespace: Namespace, bubblewrap: None) -> None:
    namespace.create("configmaps", {"metadata": {"name": "c"}, "data": {"f.txt": "hello"}})
    said = namespace.said(
        "cat /c/f.txt /s.txt /etc/nowhere/f.txt /home/jovyan/data/f.txt; touch /e/x /c/x 2>&1; ls /e",
        volumes=[{"name": "c", "configMap": {"name": "c"}}, {"name": "e", "emptyDir": {}}],
        volumeMounts=[
            {"name": "c", "mountPath": "/c"},
            {"name": "c", "mountPath": "/s.txt", "subPath": "f.txt"},
            {"name": "c", "mountPath": "/etc/nowhere"},
            {"name": "c", "mountPath": "/home/jovyan/data"},
            {"name": "e", "mountPath": "/e"},
        ],
    )
    assert said.startswith("hello" * 4)
    assert said.endswith("x\n")
    assert "Read-only file system" in said


def test_a_missing_secret_volume_keeps_the_pod_creating(namespace: Namespace) -> None:
    namespace.run(
        "true",
        volumes=[{"name": "s", "secret": {"secretName": "none"}}],
        volumeMounts=[{"name": "s", "mountPath": "/s"}],
    )
    assert namespace.event("FailedMount") == 'MountVolume.SetUp failed for volume "s" : secret "none" not found'
    assert "ContainerCreating" in str(namespace.pod()["status"])


def test_volumes_of_other_kinds_are_empty_and_said_to_be(namespace: Namespace, bubblewrap: None) -> None:
    said = namespace.said(
        "ls /n | wc -l",
        volumes=[{"name": "n", "nfs": {"server": "s", "path": "/"}}],
        volumeMounts=[{"name": "n", "mountPath": "/n"}],
    )
    assert said == "0\n"
    assert "nfs" in namespace.event("FailedMount")


def test_the_working_folder_is_made(namespace: Namespace, bubblewrap: None) -> None:
    assert namespace.said("pwd; touch x && echo made", workingDir="/srv/deep/in") == "/srv/deep/in\nmade\n"


def test_a_pod_finds_itself_by_name(namespace: Namespace, bubblewrap: None) -> None:
    said = namespace.said("hostname; getent hosts a")
    assert said.startswith("a\n127.77.")


def test_the_termination_message_is_told(namespace: Namespace, bubblewrap: None) -> None:
    namespace.run("echo because > /dev/termination-log; exit 1")
    pod = namespace.phase("Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "because\n"


def message(namespace: Namespace) -> str | None:
    """What the only container of the pod had to say when it ended."""
    ended = namespace.phase("Failed", "Succeeded")["status"]["containerStatuses"][0]["state"]["terminated"]
    return str(ended["message"]) if "message" in ended else None


@pytest.mark.parametrize("path", ["/tmp/message", "/home/jovyan/deep/message", "/message", "/v/message", "/v/../tmp/x"])
def test_the_termination_message_is_read_where_the_container_says(
    namespace: Namespace, bubblewrap: None, path: str
) -> None:
    namespace.run(
        f"echo because > {path}; exit 1",
        terminationMessagePath=path,
        volumes=[{"name": "v", "emptyDir": {}}],
        volumeMounts=[{"name": "v", "mountPath": "/v"}],
    )
    if ".." in path:
        assert "may not contain '..'" in namespace.event("Failed")
    else:
        assert message(namespace) == "because\n"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("seq 1 200; exit 1", "".join(f"{n}\n" for n in range(121, 201))),
        (f"echo {'x' * 5000}; exit 1", "x" * 2047 + "\n"),
        ("echo log; echo own > /dev/termination-log; exit 1", "own\n"),
        ("echo log", None),
    ],
    ids=["lines", "bytes", "own", "success"],
)
def test_a_log_stands_in_for_the_message_of_a_container_that_failed_without_one(
    namespace: Namespace, bubblewrap: None, script: str, expected: str | None
) -> None:
    namespace.run(script, terminationMessagePolicy="FallbackToLogsOnError")
    assert message(namespace) == expected
