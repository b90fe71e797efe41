"""Volumes that outlive pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.emulator.kubelet.cluster import Cluster, Namespace, eventually

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
MOUNTED: dict[str, Any] = {
    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
    "volumeMounts": [{"name": "v", "mountPath": "/data"}],
}


def claim(namespace: Namespace, **spec: Any) -> None:
    namespace.create("persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": CLAIM | spec})


def test_what_one_pod_writes_the_next_one_reads(namespace: Namespace, bubblewrap: None) -> None:
    claim(namespace, storageClassName="local")
    namespace.said("echo kept > /data/file", name="a", **MOUNTED)
    namespace.delete("a")
    namespace.gone("a")
    assert namespace.said("cat /data/file", name="b", **MOUNTED) == "kept\n"


def folder_in_use(cluster: Cluster, namespace: Namespace) -> Path:
    """The folder of a volume, called as it is, in which a pod that runs has written `file`."""
    claim(namespace, storageClassName="local")
    namespace.run("echo kept > /data/file; sleep 600", terminationGracePeriodSeconds=1, **MOUNTED)
    namespace.phase("Running")
    [found] = namespace.find("persistentvolumeclaims")
    folder: Path = cluster.state / "claims" / found["spec"]["volumeName"]
    eventually((folder / "file").exists)
    return folder


def test_a_claim_goes_after_its_pods_and_its_files_with_it(
    cluster: Cluster, namespace: Namespace, bubblewrap: None
) -> None:
    folder = folder_in_use(cluster, namespace)
    cluster.call("DELETE", f"/api/v1/namespaces/{namespace.name}/persistentvolumeclaims/c")
    assert namespace.find("persistentvolumeclaims")
    namespace.delete("a")
    eventually(lambda: not namespace.find("persistentvolumeclaims"))
    # The folders of volumes that are gone are removed when a pod ends.
    namespace.said("true", name="b")
    namespace.delete("b")
    eventually(lambda: not folder.exists())


def test_the_name_of_a_volume_cannot_lead_elsewhere(cluster: Cluster, namespace: Namespace) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Mi"},
        "storageClassName": namespace.name,
        "csi": {"driver": "binderless.local/folder", "volumeHandle": "../../etc"},
    }
    body = {"metadata": {"name": namespace.name}, "spec": spec}
    cluster.call("POST", "/api/v1/persistentvolumes", body)
    claim(namespace, storageClassName=namespace.name)
    namespace.run("true", **MOUNTED)
    assert "cannot mount" in namespace.event("FailedMount")


def test_files_stay_while_a_pod_has_them_though_their_volume_is_deleted(
    cluster: Cluster, namespace: Namespace, bubblewrap: None
) -> None:
    folder = folder_in_use(cluster, namespace)
    cluster.call("DELETE", f"/api/v1/persistentvolumes/{folder.name}")
    # The folders of volumes that are gone are removed when a pod ends.
    namespace.said("true", name="b")
    namespace.delete("b")
    namespace.gone("b")
    namespace.said("true", name="c")
    assert (folder / "file").read_text() == "kept\n"
