"""The real KubeSpawner, set as zero-to-jupyterhub sets it, starts and stops servers here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jupyterhub.objects import Hub, Server
from kubespawner import KubeSpawner
from kubespawner.clients import load_config
from traitlets.config import Config

from tests.emulator.kubelet.cluster import SHELL, TOKEN, Cluster, Namespace

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u, namespace: {namespace}}}}}]
current-context: x
"""
# As the chart's values of single-user servers become settings of the spawner.
SETTINGS: dict[str, Any] = {
    "image": SHELL,
    "cmd": ["sh", "-c", "echo $KEPT_BY; cat work/file; echo again > work/file; exec sleep 600"],
    "environment": {"KEPT_BY": "z2jh"},
    "start_timeout": 60,
    "storage_pvc_ensure": True,
    "storage_class": "local",
    "storage_capacity": "10Mi",
    "storage_access_modes": ["ReadWriteOnce"],
    "pvc_name_template": "claim-{username}",
    "volumes": [{"name": "volume-{username}", "persistentVolumeClaim": {"claimName": "claim-{username}"}}],
    "volume_mounts": [{"name": "volume-{username}", "mountPath": "/home/jovyan/work"}],
    "extra_labels": {"hub.jupyter.org/network-access-hub": "true"},
    "common_labels": {"app": "jupyterhub", "chart": "jupyterhub-4", "heritage": "jupyterhub"},
    "init_containers": [{"name": "block-cloud-metadata", "image": SHELL, "command": ["true"]}],
    "services_enabled": True,
    "automount_service_account_token": False,
    "scheduler_name": "r-user-scheduler",
    "tolerations": [{"key": "hub.jupyter.org/dedicated", "operator": "Equal", "value": "user", "effect": "NoSchedule"}],
    "cpu_guarantee": 0.01,
    "mem_guarantee": "16M",
    "uid": 1000,
    "fs_gid": 100,
    "allow_privilege_escalation": False,
    "delete_grace_period": 1,
    "extra_pod_config": {"terminationGracePeriodSeconds": 1},
}


class User:
    id = 1
    name = escaped_name = "ann"
    url = "/user/ann/"
    settings: Mapping[str, Any] = {}


def spawner() -> Any:
    config = Config()
    config.KubeSpawner.update(SETTINGS)
    made = KubeSpawner(hub=Hub(), user=User(), config=config, _mock=True)
    made._server = Server(ip="", port=8888, base_url="/user/ann/")
    made.api_token = "hub-token"
    return made


@pytest.fixture
def known_cluster(
    cluster: Cluster, namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The cluster and the namespace that a KubeSpawner finds, which otherwise keeps to the first one of a process."""
    config = tmp_path / "kubeconfig"
    config.write_text(KUBECONFIG.format(url=cluster.url, token=TOKEN, namespace=namespace.name))
    monkeypatch.setattr("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config))
    monkeypatch.setitem(SETTINGS, "namespace", namespace.name)
    monkeypatch.setitem(SETTINGS, "node_selector", {"kubernetes.io/hostname": cluster.node})
    # One spawner of a process starts what watches pods for all of them.
    monkeypatch.setattr(KubeSpawner, "reflectors", {})
    load_config.cache_clear()
    yield
    load_config.cache_clear()


async def _twice(namespace: Namespace) -> tuple[Any, Any, list[Any], list[str]]:
    """Start and stop a server two times; return what there was of the first, and the logs of both."""
    made = spawner()
    logs = []
    try:
        for _ in range(2):
            address = await made.start()
            # The Hub notes where the server said that it is.
            made._server = Server(ip=urlsplit(str(address)).hostname, port=8888, base_url="/user/ann/")
            pod = await asyncio.to_thread(namespace.pod, made.pod_name)
            claim, services = namespace.find("persistentvolumeclaims"), namespace.find("services")
            logs.append(await asyncio.to_thread(_log, namespace, made.pod_name))
            assert await made.poll() is None
            await made.stop(now=True)
            assert await made.poll() is not None
    finally:
        await made.stop(now=True)
        for reflector in KubeSpawner.reflectors.values():
            await reflector.stop()
        await made.api.api_client.close()
    return pod, claim[0], services, logs


def _log(namespace: Namespace, pod: str) -> str:
    return namespace.output(pod, container="notebook")


def test_a_server_of_zero_to_jupyterhub_starts_stops_and_keeps_its_files(
    cluster: Cluster, namespace: Namespace, known_cluster: None
) -> None:
    pod, claim, services, logs = asyncio.run(_twice(namespace))
    assert claim["status"]["phase"] == "Bound"
    assert claim["spec"]["storageClassName"] == "local"
    assert pod["metadata"]["labels"]["hub.jupyter.org/network-access-hub"] == "true"
    assert [each["state"]["terminated"]["exitCode"] for each in pod["status"]["initContainerStatuses"]] == [0]
    assert len(services) == 1
    assert "again" not in logs[0]
    assert logs[1].splitlines()[:2] == ["z2jh", "again"]
