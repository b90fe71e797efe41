"""Who may talk to whom in one stack: tokens made once, and the files in which each part finds its own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emulator.stack.ports import HOST, NO_DETOURS
from emulator.stack.state import StateFolder

# Everybody of this stack may do everything in its cluster: Kubernetes' own group for that.
CLUSTER_USERS = ("admin", "hub", "functions", "watch-builds", "kubelet", "cloud-build")
OF_THE_FUNCTIONS = ("functions", "watch-builds")
CLUSTER_GROUP = "system:masters"
# The registry's users, and where they may push: a build must not replace the image that builds run in.
REGISTRY_USERS: Mapping[str, Sequence[str]] = {
    "stack": ("*",),
    "builder": ("binder-*", "binderless/environments"),
    "functions": (),
    "kubelet": (),
}
# Free text to the rest of the stack, and secrets to nobody else.
PLAIN_SECRETS = (
    *("hub-service", "proxy", "cloud-admin", "pubsub", "run-admin", "launches", "webhooks", "operator"),
    *("cloud-build", "functions-machine"),
)


@dataclass(frozen=True, slots=True)
class Access:
    """The secrets of a stack by name, and the files made of them."""

    secrets: Mapping[str, str]
    token_file: Path
    kubelet_token_file: Path
    cloud_credentials: Path
    run_admin_token_file: Path
    registry_files: Mapping[str, Path]
    kubeconfigs: Mapping[str, Path]

    def registry_password(self, user: str) -> str:
        return self.secrets[f"registry-{user}"]


def prepare(state: StateFolder, ports: Mapping[str, int], via: Mapping[str, int] = NO_DETOURS) -> Access:
    """Make what is missing of the secrets, and write all files anew. What is of the functions finds the cluster at the
    port in *via*, if there is one."""
    reached = {**ports, **via}
    names = [
        *PLAIN_SECRETS,
        *(f"cluster-{user}" for user in CLUSTER_USERS),
        *(f"registry-{user}" for user in REGISTRY_USERS),
    ]
    secrets = {name: state.secret(name) for name in names}
    return Access(
        secrets=secrets,
        token_file=state.write("secrets/cluster-tokens.csv", token_lines(secrets, CLUSTER_USERS)),
        kubelet_token_file=state.path / "secrets" / "cluster-kubelet",
        cloud_credentials=state.write("secrets/cloud.json", json.dumps(_cloud_credentials(secrets))),
        run_admin_token_file=state.path / "secrets" / "run-admin",
        registry_files={
            user: state.write(f"secrets/registry-login-{user}", f"{user}:{secrets[f'registry-{user}']}")
            for user in REGISTRY_USERS
        },
        kubeconfigs={
            user: state.write(
                "kubeconfig" if user == "admin" else f"secrets/kubeconfig-{user}",
                kubeconfig(
                    user, secrets[f"cluster-{user}"], state.path, reached if user in OF_THE_FUNCTIONS else ports
                ),
            )
            for user in CLUSTER_USERS
        },
    )


def token_lines(secrets: Mapping[str, str], users: Sequence[str]) -> str:
    """The API server's file of who is who, all of whom may do everything.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for user in users:
        writer.writerow([secrets[f"cluster-{user}"], user, user, CLUSTER_GROUP])
    return lines.getvalue()


def _cloud_credentials(secrets: Mapping[str, str]) -> dict[str, Any]:
    users = {
        user: {"password": secrets[f"registry-{user}"], "push": list(push)} for user, push in REGISTRY_USERS.items()
    }
    # The registry knows the service account of the functions' machine by the name of their user.
    machines = {secrets["functions-machine"]: "functions"}
    return {
        "admin_token": secrets["cloud-admin"],
        "pubsub_token": secrets["pubsub"],
        "registry": users,
        "machines": machines,
    }


def kubeconfig(
    user: str, token: str, state: Path, ports: Mapping[str, int], *, name: str = "binderless", namespace: str = ""
) -> str:
    """How clients of *user* find the cluster, which they call *name*; they are in *namespace* (its name if not given).

    https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
    """
    cluster = {"server": f"http://{HOST}:{ports['kube']}"}
    if user == "admin":
        # For kubectl, which sends a token over TLS only. The others are spared its cost.
        authority = str(state / "kube" / "server.crt")
        cluster = {"server": f"https://{HOST}:{ports['kube_tls']}", "certificate-authority": authority}
    context = {"cluster": name, "user": user, "namespace": namespace or name}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)
