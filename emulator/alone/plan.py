"""What a cluster alone consists of: the API server and, where pods are to run, one node and a registry."""

from __future__ import annotations

import asyncio
import json
import random
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from emulator.stack import documents, steps
from emulator.stack.access import kubeconfig, token_lines
from emulator.stack.cluster_parts import ClusterParts
from emulator.stack.commands import Plan
from emulator.stack.installation import part_environment
from emulator.stack.parts import Part, StackFailed, Step
from emulator.stack.ports import HOST, PORTS, choose, is_free, remembered
from emulator.stack.requests import healthy, listens
from emulator.stack.state import StateFolder

NAME = "Kubernetes"
CONTEXT = "binderless-kube"
USERS = ("admin", "kubelet")
# The one who pushes images, and the one who pulls them.
PUSHER, PULLER = "stack", "kubelet"
SERVER_PORTS = ("kube", "kube_tls")
NODE_PORTS = ("kubelet", "registry")


@dataclass(frozen=True, slots=True)
class Access:
    """The files that tell who may do what."""

    token_file: Path
    kubelet_token_file: Path
    registry_users: Path
    pusher_login: Path
    puller_login: Path
    admin_token: str


def make_plan(state: StateFolder, environ: Mapping[str, str], *, port: int = 0, api_only: bool = False) -> Plan:
    """Choose ports, make secrets, write the kubeconfig, and return what to run.

    *port* is where clients find the API server; 0 is that of last time, or any free one. With *api_only* no pod runs.
    Raises StackFailed when *port* is taken.
    """
    ports = _choose(state, port, SERVER_PORTS if api_only else (*SERVER_PORTS, *NODE_PORTS))
    access = _prepare(state, ports)
    cluster = ClusterParts(state.path, ports, part_environment(environ))
    members: list[Part | Step] = [cluster.kube(token_file=access.token_file), _tls(ports["kube_tls"])]
    if not api_only:
        members += _node(state, cluster, access)
    url = f"https://{HOST}:{ports['kube_tls']}"
    return Plan(url=url, members=members, hints=hints(state, api_only=api_only))


def hints(state: StateFolder, *, api_only: bool) -> list[str]:
    """What to try, for the person at the terminal."""
    kubectl = f"  kubectl --kubeconfig {shlex.quote(str(state.path / 'kubeconfig'))}"
    if api_only:
        return [f"{kubectl} get namespaces"]
    run = f"run hello --image={shell_image(state)} --restart=Never -- sh -c 'echo hi'"
    return [f"{kubectl} get nodes", f"{kubectl} {run}", f"{kubectl} logs hello"]


def facts(state: StateFolder) -> dict[str, str]:
    """What `status` says beside the parts."""
    kubeconfig = {"kubeconfig": str(state.path / "kubeconfig")}
    return {**kubeconfig, "registry": registry_of(state)} if has_registry(state) else kubeconfig


def has_registry(state: StateFolder) -> bool:
    """Whether a cluster runs here that has a registry."""
    record = state.record() if state.running() else None
    return record is not None and any(part.name == "registry" for part in record.parts)


def registry_of(state: StateFolder) -> str:
    """HOST:PORT of the registry of a cluster that is, or was, started with one."""
    return documents.registry(remembered(state))


def shell_image(state: StateFolder) -> str:
    """The image that every cluster has."""
    return f"{registry_of(state)}/{documents.SHELL_REPOSITORY}"


def pusher_login(state: StateFolder) -> Path:
    """The file with which images are pushed."""
    return state.path / "secrets" / f"registry-login-{PUSHER}"


def _choose(state: StateFolder, port: int, names: tuple[str, ...]) -> dict[str, int]:
    if port and not is_free(port):
        raise StackFailed(f"port {port} on {HOST} is taken by another process; choose another one with --port.")
    wanted = [each for each in PORTS if each.name in names]
    # Not the variables of the environment: they are of the whole stack, which may run beside this.
    settings = {each.setting: str(port) for each in wanted if port and each.name == "kube_tls"}
    return choose(state, settings, random.Random(), wanted)


def _prepare(state: StateFolder, ports: Mapping[str, int]) -> Access:
    tokens = {f"cluster-{user}": state.secret(f"cluster-{user}") for user in USERS}
    passwords = {user: state.secret(f"registry-{user}") for user in (PUSHER, PULLER)}
    users = {user: {"password": password, "push": user == PUSHER} for user, password in passwords.items()}
    admin = tokens["cluster-admin"]
    state.write("kubeconfig", kubeconfig("admin", admin, state.path, ports, name=CONTEXT, namespace="default"))
    logins = {user: state.write(f"secrets/registry-login-{user}", f"{user}:{passwords[user]}") for user in passwords}
    return Access(
        token_file=state.write("secrets/cluster-tokens.csv", token_lines(tokens, USERS)),
        kubelet_token_file=state.path / "secrets" / "cluster-kubelet",
        registry_users=state.write("secrets/registry-users.json", json.dumps(users)),
        pusher_login=logins[PUSHER],
        puller_login=logins[PULLER],
        admin_token=admin,
    )


def _tls(port: int) -> Step:
    """Clients come by TLS, whose certificate is made while the API server is ready for its node already."""

    async def await_tls() -> None:
        await steps.until(partial(listens, HOST, port), what="the API server does not listen for TLS; see `logs kube`")

    return Step(name="tls", run=await_tls, needs=frozenset({"kube"}))


def _node(state: StateFolder, cluster: ClusterParts, access: Access) -> list[Part | Step]:
    client = steps.Cluster(cluster.url("kube"), access.admin_token)
    # The folder in which the whole stack has them too.
    images = ("--state", str(state.folder("cloud") / "registry"), "--users", str(access.registry_users))
    flags = ("--port", str(cluster.ports["registry"]), *images)
    registry = cluster.python_part("cloud.registry", *flags, address=cluster.url("registry"))

    async def push_shell() -> None:
        # Only now, since importing it takes a while, in which the parts can start.
        image = await asyncio.to_thread(import_module, "emulator.alone.image")
        await steps.until(partial(healthy, registry.health), what="no registry answers; see `logs registry`")
        await asyncio.to_thread(image.push_shell_image, documents.registry(cluster.ports), access.pusher_login)

    return [
        cluster.kubelet(token_file=access.kubelet_token_file, registry_login=access.puller_login),
        registry,
        Step(name="node", run=client.await_node, needs=frozenset({"kubelet"})),
        Step(name="images", run=push_shell),
    ]
