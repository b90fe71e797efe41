"""From the description of a sandbox to bubblewrap's options, on imaginary machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulator.kubelet.sandbox import Kind, Mount, Sandbox, bubblewrap_options


class FakeMachine:
    """Folders are paths with a trailing slash, links are pairs, the rest are files."""

    def __init__(self, *paths: str, links: dict[str, str] | None = None) -> None:
        self._links = links or {}
        self._kinds = {path.rstrip("/") or "/": Kind.FOLDER if path.endswith("/") else Kind.FILE for path in paths}
        self._kinds |= dict.fromkeys(self._links, Kind.LINK)

    def kind(self, path: str) -> Kind:
        return self._kinds.get(path, Kind.NOTHING)

    def entries(self, path: str) -> Sequence[str]:
        start = path.rstrip("/") + "/"
        below = (each.removeprefix(start) for each in self._kinds if each.startswith(start) and each != "/")
        return sorted({each for each in below if each and "/" not in each})

    def link(self, path: str) -> str:
        return self._links[path]


MACHINE = FakeMachine(
    *("/", "/usr/", "/usr/bin/", "/etc/", "/etc/hosts", "/home/", "/home/me/", "/run/", "/tmp/", "/proc/", "/dev/"),
    *("/var/", "/stack/", "/stack/state/", "/stack/state/env/", "/stack/secret"),
    links={"/bin": "usr/bin", "/var/run": "/run"},
)


def mounts_of(machine: FakeMachine = MACHINE, **changes: Any) -> list[tuple[str, ...]]:
    """The options that mount, as tuples in their order."""
    made: dict[str, Any] = {"hostname": "h", "working_dir": "/", "environment": {}, "mounts": ()} | changes
    options = bubblewrap_options(Sandbox(**made), machine)
    kinds = ("--ro-bind", "--bind", "--symlink", "--tmpfs", "--remount-ro")
    sizes = {"--tmpfs": 2, "--remount-ro": 2}
    return [tuple(options[i : i + sizes.get(each, 3)]) for i, each in enumerate(options) if each in kinds]


def test_the_machine_is_read_only_but_for_what_is_replaced() -> None:
    mounts = mounts_of()
    assert mounts[0] == ("--tmpfs", "/")
    assert ("--ro-bind", "/usr", "/usr") in mounts
    assert ("--symlink", "usr/bin", "/bin") in mounts
    assert ("--tmpfs", "/home") in mounts
    assert not [each for each in mounts if each[0] == "--bind"]
    assert not [each for each in mounts if each[1] in ("/tmp", "/run", "/home") and each[0] == "--ro-bind"]
    assert mounts[-1] == ("--remount-ro", "/")


def test_what_is_visible_below_a_hidden_folder_is_mounted_after_it() -> None:
    mounts = mounts_of(hidden=("/stack",), mounts=(Mount("/stack/state/env", "/stack/state/env"),))
    hidden, shown = mounts.index(("--tmpfs", "/stack")), mounts.index(("--ro-bind",) + ("/stack/state/env",) * 2)
    assert hidden < shown < mounts.index(("--remount-ro", "/stack"))


def test_what_is_hidden_below_a_visible_folder_stays_hidden() -> None:
    mounts = mounts_of(hidden=("/stack/state",), masked=("/stack/secret",), mounts=(Mount("/stack", "/stack"),))
    assert mounts.index(("--ro-bind", "/stack", "/stack")) < mounts.index(("--tmpfs", "/stack/state"))
    assert ("--ro-bind", "/dev/null", "/stack/secret") in mounts


def test_a_mount_point_that_is_not_there_is_made_without_touching_the_machine() -> None:
    mounts = mounts_of(mounts=(Mount("/src", "/etc/jupyter/deep"),))
    assert ("--tmpfs", "/etc") in mounts
    assert ("--ro-bind", "/etc", "/etc") not in mounts
    assert ("--ro-bind", "/etc/hosts", "/etc/hosts") in mounts
    assert ("--remount-ro", "/etc") in mounts


def test_the_machines_links_are_followed_here_and_not_in_the_sandbox() -> None:
    mounts = mounts_of(mounts=(Mount("/src", "/var/run/x"),))
    assert ("--ro-bind", "/src", "/run/x") in mounts


def test_the_environment_is_cleared_first() -> None:
    sandbox = Sandbox(hostname="h", working_dir="/w", environment={"A": "--bind"}, mounts=())
    options = bubblewrap_options(sandbox, MACHINE)
    assert options.index("--clearenv") < options.index("--setenv")
    assert options[options.index("--setenv") + 1 :][:2] == ["A", "--bind"]
    assert options[-2:] == ["--chdir", "/w"]
    assert {"--die-with-parent", "--unshare-pid", "--unshare-ipc", "--cap-drop"} <= set(options)
