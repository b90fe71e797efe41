"""What a container's code tries, and must not be able to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.kubelet.process import Bubblewrap
from emulator.kubelet.sandbox import Machine, Mount, Sandbox, bubblewrap_options
from tests.emulator.kubelet.cluster import REGISTRY, SHELL, Cluster, Namespace, eventually, passable_folder

pytestmark = pytest.mark.usefixtures("bubblewrap")


def test_the_state_folder_and_its_parent_are_hidden(namespace: Namespace, cluster: Cluster) -> None:
    secret = cluster.state.parent / "secrets" / "token"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text("secret")
    said = namespace.said(f"cat {secret} 2>&1; ls {cluster.state.parent} {cluster.state}/pods 2>&1; ls -A ~root")
    assert "secret\n" not in said.splitlines(keepends=True)
    assert "No such file" in said
    assert "pods\n" not in said.splitlines(keepends=True)


def test_only_the_pods_own_environment_is_seen(namespace: Namespace, cluster: Cluster) -> None:
    other = cluster.state / "environments" / ("b" * 64)
    other.mkdir(exist_ok=True)
    said = namespace.said(f"ls {cluster.state}/environments; tool")
    assert said == f"{cluster.images.environment.name}\nfrom the environment\n"


def test_the_environment_cannot_be_written(namespace: Namespace, cluster: Cluster) -> None:
    folder = cluster.images.environment
    said = namespace.said(
        f"cd {folder}; chmod -R u+w . ; echo bad >> bin/tool; touch new; rm -rf bin; mount -o remount,rw {folder}"
        "; unshare -Um sh -c 'mount --bind /tmp bin'"
    )
    assert "Read-only file system" in said
    assert sorted(each.name for each in folder.rglob("*")) == ["bin", "program", "tool"]
    assert "bad" not in (folder / "bin" / "tool").read_text()


def test_every_pod_has_its_own_home(namespace: Namespace, cluster: Cluster) -> None:
    assert namespace.said("cat README; echo mine > README; touch new", name="a") == "hello\n"
    assert namespace.said("cat README; ls", name="b") == "hello\nREADME\n"
    assert (cluster.images.home / "README").read_text() == "hello\n"


def test_every_pod_has_temporary_folders_of_its_own(namespace: Namespace) -> None:
    files = "/tmp/mine /var/tmp/mine /dev/shm/mine"
    assert namespace.said(f"touch {files} && ls {files} | wc -l", name="a") == "3\n"
    assert namespace.said(f"ls {files} 2> /dev/null; echo none", name="b") == "none\n"
    assert not any(Path(file).exists() for file in files.split())


def test_a_container_is_in_no_namespace_of_the_machine_but_the_network(namespace: Namespace) -> None:
    kinds = ("pid", "ipc", "uts", "mnt", "user", "net")
    said = namespace.said(f"for each in {' '.join(kinds)}; do readlink /proc/self/ns/$each; done").split()
    machines = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds]
    shared = [kind for kind, mine, theirs in zip(kinds, machines, said, strict=True) if mine == theirs]
    assert shared == ["net"]


def test_only_own_processes_are_seen(namespace: Namespace) -> None:
    said = namespace.said("ls -d /proc/[0-9]* | wc -l; kill -9 -1; kill -9 1; echo alive")
    assert int(said.split()[0]) < 8


def test_the_kernels_settings_cannot_be_written(namespace: Namespace) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    said = namespace.said(
        "cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern && echo WROTE;"
        "echo b > /proc/sysrq-trigger && echo WROTE; echo 0 > /sys/fs/cgroup/x && echo WROTE;"
        "mknod /tmp/disk b 8 0 && echo WROTE; umount /proc/sys && echo WROTE; true"
    )
    assert "WROTE" not in said
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_no_capability_is_left(namespace: Namespace) -> None:
    said = namespace.said("grep -E 'CapEff|CapPrm|NoNewPrivs' /proc/self/status")
    assert said.split() == ["CapPrm:", "0" * 16, "CapEff:", "0" * 16, "NoNewPrivs:", "1"]


def test_a_probe_has_no_more_powers_than_its_container(namespace: Namespace) -> None:
    """It is executed inside, and must not bring the kubelet's capabilities along."""
    check = "grep -q 'CapEff:.0*$' /proc/self/status && test $(ls -d /proc/[0-9]* | wc -l) -lt 12"
    probe = {"exec": {"command": ["sh", "-c", f"{check} && touch /home/jovyan/probed"]}, "periodSeconds": 1}
    namespace.run("until test -e ~/probed; do sleep 0.05; done", readinessProbe=probe)
    namespace.phase("Succeeded")


def test_sockets_of_the_machine_are_hidden(namespace: Namespace) -> None:
    assert namespace.said("ls -A /run /var/run") == "/run:\n\n/var/run:\n"


def test_a_variable_cannot_run_code_outside(namespace: Namespace, cluster: Cluster) -> None:
    """The loader of the programs around the container must not see the container's LD_PRELOAD."""
    library = cluster.images.environment / "bin" / "tool"
    env = [{"name": "LD_PRELOAD", "value": str(library)}, {"name": "BASH_ENV", "value": str(library)}]
    said = namespace.said("echo ran", env=env)
    assert "ran\n" in said
    assert "'/bin/sh'" not in said
    assert "bwrap" not in said


def test_a_nul_in_a_value_adds_no_options(namespace: Namespace) -> None:
    namespace.run("true", env=[{"name": "A", "value": "x\0--bind\0/\0/mnt"}])
    pod = namespace.wait(lambda pod: "CreateContainerConfigError" in str(pod["status"]))
    assert "NUL" in json.dumps(pod["status"])


@pytest.mark.parametrize("path", ["/etc", "/allowed/../../../etc", "relative", "{allowed}/link"])
def test_a_host_path_must_lie_below_an_allowed_folder(namespace: Namespace, cluster: Cluster, path: str) -> None:
    allowed = cluster.state.parent / "allowed"
    allowed.mkdir(exist_ok=True)
    if not (allowed / "link").is_symlink():
        (allowed / "link").symlink_to("/etc")
    namespace.run(
        "cat /h/passwd",
        volumes=[{"name": "h", "hostPath": {"path": path.format(allowed=allowed)}}],
        volumeMounts=[{"name": "h", "mountPath": "/h"}],
    )
    assert "hostPath" in namespace.event("FailedMount")
    assert namespace.pod()["status"]["phase"] == "Pending"
    namespace.delete(grace_s=0)


def test_a_link_in_a_volume_leads_nowhere(namespace: Namespace) -> None:
    """One container puts a link to the machine's root into a volume, the next has it mounted by subPath."""
    mount = {"name": "e", "mountPath": "/e"}
    link = {"name": "one", "image": SHELL, "command": ["ln", "-s", "/", "/e/link"], "volumeMounts": [mount]}
    namespace.run(
        "ls /x",
        initContainers=[link],
        volumes=[{"name": "e", "emptyDir": {}}],
        volumeMounts=[{"name": "e", "mountPath": "/x", "subPath": "link/root"}],
    )
    pod = namespace.wait(lambda pod: "CreateContainerConfigError" in str(pod["status"]))
    assert "symbolic link" in json.dumps(pod["status"])


def test_a_link_in_the_home_folder_moves_no_mount(namespace: Namespace, cluster: Cluster, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "data").symlink_to(f"/oldroot{tmp_path}/outside")
    reference = f"{REGISTRY}/user/links:1"
    cluster.images.images[reference] = cluster.images.image(reference, home=home)
    said = namespace.said(
        "touch data/new && ls -d data/new",
        image=reference,
        volumes=[{"name": "e", "emptyDir": {}}],
        volumeMounts=[{"name": "e", "mountPath": "/home/jovyan/data/deep"}],
    )
    assert said == "data/new\n"
    assert not (tmp_path / "outside").exists()


def test_only_the_operators_images_keep_folders_visible(namespace: Namespace, cluster: Cluster) -> None:
    shown = cluster.state.parent / "shown"
    shown.mkdir(exist_ok=True)
    (shown / "file").write_text("seen\n")
    for name, repository in (("ours", "binderless/builder:1"), ("theirs", "user/binderless:1")):
        reference = f"{REGISTRY}/{repository}"
        labels = {"binderless.host-paths": str(shown)}
        cluster.images.images[reference] = cluster.images.image(reference, labels=labels)
        namespace.run(f"cat {shown}/file", name=name, image=reference)
    namespace.phase("Succeeded", name="ours")
    assert namespace.output("ours") == "seen\n"
    namespace.phase("Failed", name="theirs")


def test_a_pod_that_fills_its_memory_ends_alone(namespace: Namespace) -> None:
    namespace.run("head -c 200M /dev/zero > /run/x; head -c 200M /dev/zero > /x; head -c 200M /dev/zero > /home/x")
    namespace.phase("Failed")
    assert namespace.output().count("Read-only file system") == 3


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_normal_user_is_isolated_as_well() -> None:
    script = "id -u; ls -A /var/lib | wc -l; echo hi > file; cat /srv/new/place/file; ls -d /proc/[0-9]* | wc -l"
    # Not subprocess's `user`: it forks, and what other tests have loaded (gRPC) speaks up in a fork.
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with passable_folder() as folder:
        (home := folder / "home").mkdir()
        home.chmod(0o777)
        sandbox = Sandbox(
            hostname="pod",
            working_dir="/home/jovyan",
            environment={"PATH": "/usr/bin:/bin"},
            mounts=(Mount(str(home), "/home/jovyan", read_only=False), Mount(str(home), "/srv/new/place")),
            hidden=("/var/lib",),
        )
        command = [*nobody, "bwrap", *bubblewrap_options(sandbox, Machine()), "--", "sh", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout.split()[:3], done.stderr) == (["1000", "0", "hi"], "")
    assert int(done.stdout.split()[3]) < 8


def test_nothing_is_left_of_the_sandbox_when_its_pod_is_gone(namespace: Namespace, cluster: Cluster) -> None:
    uid = namespace.run("sleep 600")["metadata"]["uid"]
    namespace.phase("Running")
    namespace.delete(grace_s=0)
    namespace.gone()
    eventually(lambda: not [each for each in Path("/sys/fs/cgroup").glob(f"*/**/{uid}*")])
    eventually(lambda: not (cluster.state / "pods" / uid).exists())


def test_a_sub_path_that_becomes_a_link_leads_nowhere_else_when_the_kubelet_is_a_normal_user(
    tmp_path: Path,
) -> None:
    (part := tmp_path / "volume" / "part").mkdir(parents=True)
    (part / "file").write_text("from the volume\n")
    (secrets := tmp_path / "secrets").mkdir()
    (secrets / "file").write_text("from elsewhere\n")
    runtime = Bubblewrap(shutil.which("bwrap") or "", None)
    sandbox = Sandbox(
        hostname="pod",
        working_dir="/",
        environment={"PATH": "/usr/bin:/bin"},
        mounts=(Mount(str(part), "/data"), Mount(str(part), "/again", read_only=False)),
    )
    with runtime.prepared(sandbox) as (command, fds):
        # After it was looked at, another container of the pod puts a link there.
        part.rename(part.with_name("moved"))
        part.symlink_to(secrets)
        script = "cat /data/file /again/file; touch /again/new; touch /data/new; readlink /proc/$$/fd/* /proc/1/fd/*"
        done = subprocess.run(
            [*command, "--", "sh", "-c", script],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    first, second, *open_files = done.stdout.splitlines()
    assert (first, second, os.listdir(secrets)) == (*["from the volume"] * 2, ["file"])
    assert sorted(os.listdir(part.with_name("moved"))) == ["file", "new"]
    # What was opened stays open for nobody.
    assert not [each for each in open_files if str(tmp_path) in each or each.startswith("/data")], done
    with pytest.raises(OSError, match="leads over a symbolic link"), runtime.prepared(sandbox):
        pass
