"""Who containers are, and what that opens and closes to them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from emulator.kubelet.environment import ConfigError
from emulator.kubelet.identity import ACCOUNT, JOVYAN, User, group_file, passwd_file, refused, user_of
from emulator.kubelet.ownership import adopt, closed_to, give, make_inside
from emulator.kubelet.sandbox import Mount
from emulator.kubelet.stage import open_source
from emulator.kubelet.volumes import make_mount_points
from tests.emulator.kubelet.cluster import Cluster, Namespace, passable_folder

isolated = pytest.mark.usefixtures("bubblewrap")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can start containers as somebody else")

NESTED = "bwrap --ro-bind / / --dev /dev --proc /proc --unshare-pid --unshare-ipc --die-with-parent --bind ~ ~ --"


@isolated
def test_a_container_is_jovyan(namespace: Namespace) -> None:
    said = namespace.said("id -u; id -g; id -G; whoami; id -gn; echo ~jovyan; stat -c %U ~ ~/README /tmp")
    assert said.split() == ["1000", "1000", "1000", "jovyan", "jovyan", "/home/jovyan", *["jovyan"] * 3]


@isolated
def test_what_belongs_to_root_cannot_be_read(namespace: Namespace) -> None:
    said = namespace.said(
        "cat /etc/shadow; test -r /etc/shadow || echo unreadable; su -c 'cat /etc/shadow' < /dev/null"
    )
    assert "unreadable" in said.splitlines()
    assert "root:" not in said


@isolated
@as_root
def test_on_the_machine_a_container_is_an_account_of_nobody(namespace: Namespace, cluster: Cluster) -> None:
    uid = namespace.run("touch made; sleep 600")["metadata"]["uid"]
    made = cluster.state / "pods" / uid / "containers" / "main" / "home" / "made"
    namespace.wait(lambda _: made.exists())
    assert (made.stat().st_uid, made.stat().st_gid) == (ACCOUNT.uid, ACCOUNT.gid)
    namespace.delete(grace_s=0)


@isolated
def test_a_sandbox_works_inside_of_a_container(namespace: Namespace) -> None:
    said = namespace.said(f"bwrap --unshare-user --ro-bind / / true && {NESTED} touch inside && ls")
    assert said == "README\ninside\n"


@isolated
def test_no_descriptor_leaks_into_a_container(namespace: Namespace) -> None:
    """The command has its three, the process above it nothing that has a name."""
    command, first = namespace.said("ls /proc/$$$$/fd; echo -; readlink /proc/1/fd/*").split("-\n")
    assert command.split() == ["0", "1", "2"]
    assert not [each for each in first.split() if not each.startswith(("/dev/null", "pipe:", "anon_inode:[eventfd]"))]


@isolated
def test_the_outputs_can_be_opened_by_name(namespace: Namespace) -> None:
    assert sorted(namespace.said("echo out > /dev/stdout; echo err > /dev/stderr").split()) == ["err", "out"]


@isolated
def test_all_that_is_to_be_written_can_be(namespace: Namespace) -> None:
    said = namespace.said(
        "for each in ~ /tmp /var/tmp /dev/shm /e /e/deep /sub ~/mounted /srv/work; do touch $each/x || echo $each; done"
        "; echo word > /dev/termination-log; echo $(pwd)",
        workingDir="/srv/work",
        volumes=[{"name": "e", "emptyDir": {}}, {"name": "f", "emptyDir": {}}],
        volumeMounts=[
            {"name": "e", "mountPath": "/e"},
            {"name": "f", "mountPath": "/e/deep"},
            {"name": "e", "mountPath": "/sub", "subPath": "one/two"},
            {"name": "e", "mountPath": "/home/jovyan/mounted"},
        ],
    )
    assert said == "/srv/work\n"


@isolated
def test_a_folder_of_the_machine_can_be_written_where_that_is_allowed(namespace: Namespace, cluster: Cluster) -> None:
    place = cluster.state.parent / "allowed" / namespace.name
    place.mkdir(parents=True)
    (place / "older").write_text("x")
    volumes = [{"name": "h", "hostPath": {"path": str(place), "type": "DirectoryOrCreate"}}]
    mounts = [{"name": "h", "mountPath": str(place)}]
    assert namespace.said(f"touch {place}/new {place}/older && echo ok", volumes=volumes, volumeMounts=mounts) == "ok\n"
    assert (place / "new").exists()


@isolated
def test_another_user_can_be_asked_for_but_not_root(namespace: Namespace) -> None:
    asked = {"runAsUser": 1234, "runAsGroup": 0}
    assert namespace.said("id -u; id -g; touch ~/x && whoami", securityContext=asked).split() == [
        *("1234", "1000", "jovyan")
    ]
    assert "runAsGroup is 0" in namespace.event("RootRefused")


@isolated
@as_root
def test_a_mount_below_a_folder_that_only_root_may_enter_is_made(namespace: Namespace) -> None:
    """And where the container has a folder of its own, that of the machine does not count."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as var, tempfile.TemporaryDirectory(dir="/tmp") as tmp:
        Path(var, "secret").touch()
        said = namespace.said(
            f"ls {var} {tmp}; touch {var}/e/x {tmp}/e/x {tmp}/y && echo ok",
            volumes=[{"name": "e", "emptyDir": {}}],
            volumeMounts=[{"name": "e", "mountPath": f"{var}/e"}, {"name": "e", "mountPath": f"{tmp}/e"}],
        )
    assert said.split() == [f"{tmp}:", "e", f"{var}:", "e", "ok"]


@isolated
def test_a_probe_is_the_same_user(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["sh", "-c", "id -u > /home/jovyan/user; touch /home/jovyan/probed"]}}
    said = namespace.said("until test -e ~/probed; do sleep 0.05; done; cat ~/user", readinessProbe=probe)
    assert said == "1000\n"


CONTAINER: dict[str, Any] = {"securityContext": {"runAsUser": 5}}


@pytest.mark.parametrize(
    ("pod", "container", "user"),
    [
        ({}, {}, JOVYAN),
        ({"runAsUser": 7, "runAsGroup": 8}, {}, User(7, 8)),
        ({"runAsUser": 7, "runAsGroup": 8}, CONTAINER, User(5, 8)),
        ({"runAsUser": 0, "runAsGroup": 0}, {}, JOVYAN),
        ({"fsGroup": 100}, {"securityContext": None}, JOVYAN),
    ],
    ids=["nothing", "pod", "container", "root", "others"],
)
def test_the_user_is_the_containers_or_the_pods_and_never_root(pod: Any, container: Any, user: User) -> None:
    assert user_of({"spec": {"securityContext": pod}}, container) == user
    assert bool(refused({"spec": {"securityContext": pod}}, container)) == (pod.get("runAsUser") == 0)


@pytest.mark.parametrize("number", [-1, 2**32, 2**32 - 1, "0", True, 1.0, [0]])
def test_a_number_that_may_come_out_as_root_is_refused(number: object) -> None:
    with pytest.raises(ConfigError, match="runAsUser"):
        user_of({"spec": {"securityContext": {"runAsUser": number}}}, {})


def test_the_machines_accounts_are_kept_but_for_those_that_clash() -> None:
    machine = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\njovyan:x:7:7::/:/bin/sh\nbroken\n"
    jovyan = "jovyan:x:1000:1000::/home/jovyan:/bin/sh\n"
    assert passwd_file(machine, JOVYAN, shell="/bin/sh") == f"root:x:0:0:root:/root:/bin/bash\n{jovyan}"
    assert (
        group_file("root:x:0:\nme:x:1000:\nusers:x:100:me\n", JOVYAN) == "root:x:0:\nusers:x:100:me\njovyan:x:1000:\n"
    )


def test_a_source_that_leads_over_a_link_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    os.close(open_source(str(tmp_path / "real")))
    for path in ("link", "link/.."):
        with pytest.raises(OSError, match="symbolic link|Not a directory"):
            open_source(str(tmp_path / path))


def test_folders_are_not_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "volume" / "a").symlink_to("../outside")
    make_inside(tmp_path / "volume", ["a", "b"], is_file=True, owner=None)
    assert (tmp_path / "volume" / "a" / "b").is_file()
    assert not (tmp_path / "outside" / "b").exists()
    (tmp_path / "link").symlink_to("outside")
    with pytest.raises(NotADirectoryError):
        make_inside(tmp_path / "link", ["b"], owner=None)


def test_a_mount_point_of_the_wrong_kind_gives_way(tmp_path: Path) -> None:
    for name in ("outer/place/full", "inner"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    outer = Mount(str(tmp_path / "outer"), "/o", read_only=False)
    make_mount_points([outer, Mount(str(tmp_path / "file"), "/o/place")], None)
    assert (tmp_path / "outer" / "place").is_file()
    make_mount_points([outer, Mount(str(tmp_path / "inner"), "/o/place")], None)
    assert (tmp_path / "outer" / "place").is_dir()


@as_root
def test_giving_a_folder_away_follows_no_link(tmp_path: Path) -> None:
    outside, given = tmp_path / "outside", tmp_path / "given"
    (given / "deep").mkdir(parents=True)
    outside.mkdir()
    (given / "deep" / "link").symlink_to(outside)
    give(given, ACCOUNT)
    assert outside.stat().st_uid == 0
    assert (given / "deep" / "link").lstat().st_uid == ACCOUNT.uid
    (given / "ours").touch()
    adopt(given, ACCOUNT)
    assert (given / "ours").stat().st_uid == 0


def test_a_folder_that_others_may_not_enter_is_found() -> None:
    other = User(os.getuid() + 1, os.getgid() + 1)
    with passable_folder() as folder:
        shut = folder / "shut"
        shut.mkdir(mode=0o700)
        (inside := shut / "open").mkdir()
        assert closed_to(inside / "file", other) == shut
        assert closed_to(shut, other) is None
        assert closed_to(inside, User(os.getuid(), os.getgid())) is None
