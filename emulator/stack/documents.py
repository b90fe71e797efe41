"""What the parts of a stack are told, as documents: the functions' configuration, the runtime's, the schedule. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.stack.access import Access
from emulator.stack.ports import HOST, NO_DETOURS

SERVERS_NAMESPACE = "binderless"
BUILDS_NAMESPACE = "binderless-builds"
# The secret in BUILDS_NAMESPACE from which a build learns how to push, and its key.
PUSH_SECRET, PUSH_KEY = "registry-push", "credentials"
BUILDER_REPOSITORY = "binderless/repo2docker"
SHELL_REPOSITORY = "binderless/shell"

PROJECT = "local"
TOPIC = "cloud-builds"
DEAD_LETTER_TOPIC = "cloud-builds-dead-letter"
SUBSCRIPTION = "on-build-complete"
EVENTS_ACCOUNT = f"events@{PROJECT}.iam.gserviceaccount.com"
SCHEDULER_ACCOUNT = f"scheduler@{PROJECT}.iam.gserviceaccount.com"

Ports = Mapping[str, int]
# One of the functions' settings as a variable; the stack's own variables have a single underscore.
_SETTING = re.compile(r"BINDERLESS_([A-Z]+(?:_[A-Z]+)*)__([A-Z_]+)")


def public_url(ports: Ports) -> str:
    return f"http://{HOST}:{ports['public']}"


def hub_url(ports: Ports) -> str:
    """Another hostname than the functions': a user's server must not get their cookies."""
    return f"http://localhost:{ports['hub']}/"


def hub_api_url(ports: Ports) -> str:
    return f"http://{HOST}:{ports['hub_api']}/hub/api"


def registry(ports: Ports) -> str:
    return f"{HOST}:{ports['registry']}"


def git_url(ports: Ports, name: str) -> str:
    """Where the stack's git host serves what is called *name* (`NAME.git`)."""
    return f"http://{HOST}:{ports['cloud']}/git/{name}"


def function_url(ports: Ports, function: str) -> str:
    """The own address of a function that is not behind the gateway."""
    return f"http://{HOST}:{ports[function]}/"


def repository_folders(state: Path, environ: Mapping[str, str]) -> list[Path]:
    """Whose repositories may be launched as file://: the stack's own, and those that the person offers."""
    offered = environ.get("BINDERLESS_REPOSITORIES", "").split(":")
    return [state / "git", *(Path(folder).absolute() for folder in offered if folder)]


def functions_config(
    ports: Ports,
    *,
    state: Path,
    network: Mapping[str, str],
    repositories: Sequence[Path] = (),
    via: Ports = NO_DETOURS,
) -> dict[str, Any]:
    """The functions' config.yaml, without secrets. *network* is what builds need to know to install packages.

    The functions call services at the ports in *via* where there are some; names, and what others call, stay.
    """
    reached = {**ports, **via}
    return {
        "hub": {"url": hub_url(ports), "api_url": hub_api_url(reached)},
        "registry": {
            "url": f"http://{registry(reached)}",
            "image_prefix": f"{registry(ports)}/binder-",
            "username": "functions",
        },
        "builds": {
            "backend": "kubernetes",
            "image": f"{registry(ports)}/{BUILDER_REPOSITORY}:latest",
            "namespace": BUILDS_NAMESPACE,
            "extra_args": ["--engine=process"],
            "pod_template": pod_template(state, network),
            "timeout_s": 1800,
            "retry_pause_s": 5,
        },
        "store": {"backend": "sqlite", "path": str(state / "functions" / "store.sqlite")},
        "events": {
            "project": PROJECT,
            "topic": TOPIC,
            "endpoint": f"{HOST}:{reached['pubsub']}",
            "service_account": EVENTS_ACCOUNT,
            "audience": function_url(ports, "on_build_complete"),
            "certs_url": f"http://{HOST}:{reached['cloud']}/oauth2/v1/certs",
        },
        "cull": {"pods_namespace": SERVERS_NAMESPACE},
        "scheduler": {"service_account": SCHEDULER_ACCOUNT, "audience": function_url(ports, "cull")},
        "providers": {"allow_http": True, "allow_private_addresses": True},
        "git": {"file_folders": list(map(str, repositories))},
        # What is pushed to the stack's git host is prebuilt.
        "webhooks": {"forges": [git_url(ports, "")], "repositories": [f"git/{git_url(ports, '*')}"], "debounce_s": 0},
        # As at mybinder.org: pages of any site may launch, and talk to what they have launched.
        "web": {"cors_allow_origins": ["*"]},
    }


def functions_environment(access: Access, *, user: str) -> dict[str, str]:
    """The secrets of functions_config, and the cluster's address for *user*."""
    return {
        "BINDERLESS_HUB__TOKEN": access.secrets["hub-service"],
        "BINDERLESS_REGISTRY__PASSWORD": access.registry_password("functions"),
        "BINDERLESS_EVENTS__TOKEN": access.secrets["pubsub"],
        "BINDERLESS_LAUNCHES__SECRET": access.secrets["launches"],
        "BINDERLESS_WEBHOOKS__GITHUB_SECRETS": access.secrets["webhooks"],
        "BINDERLESS_WEB__OPERATOR_TOKENS": access.secrets["operator"],
        "KUBECONFIG": str(access.kubeconfigs[user]),
    }


def chosen_settings(
    environ: Mapping[str, str], config: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, str]:
    """Settings of the functions that the person has chosen, but for those that the stack itself must set.

    A shell that is set up for another hub does not lead this stack's functions there.
    """
    found: dict[str, str] = {}
    for name, value in environ.items():
        match = _SETTING.fullmatch(name)
        if match and name not in secrets and match[2].lower() not in config.get(match[1].lower(), {}):
            found[name] = value
    return found


def git_config(state: Path) -> Path:
    """Where builds find that they may clone file:// repositories, which belong to another user than theirs."""
    return state / "git" / ".gitconfig"


def pod_template(state: Path, network: Mapping[str, str]) -> dict[str, Any]:
    """What the embedded engine needs of a build's pod: a cache of packages, and leave to push."""
    cache = str(package_cache(state))
    variables: list[dict[str, Any]] = [
        {"name": "BINDERLESS_ENVIRONMENTS", "value": str(state / "kubelet" / "environments")},
        {"name": "UV_CACHE_DIR", "value": cache},
        {"name": "GIT_CONFIG_GLOBAL", "value": str(git_config(state))},
        {
            "name": "CONTAINER_ENGINE_REGISTRY_CREDENTIALS",
            "valueFrom": {"secretKeyRef": {"name": PUSH_SECRET, "key": PUSH_KEY}},
        },
        # Kubernetes would expand $(NAME).
        *({"name": name, "value": value.replace("$", "$$")} for name, value in sorted(network.items())),
    ]
    container = {
        "name": "repo2docker",
        "env": variables,
        "volumeMounts": [{"name": "uv-cache", "mountPath": cache}],
        "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "4Gi"}},
    }
    volume = {"name": "uv-cache", "hostPath": {"path": cache, "type": "DirectoryOrCreate"}}
    return {"spec": {"containers": [container], "volumes": [volume]}}


def pod_network(ports: Ports) -> str:
    """The loopback addresses of this stack's pods; another stack has others, as it has other ports."""
    number = ports["kubelet"] % 2**14
    return f"127.{64 + number // 256}.{number % 256}.0/24"


def package_cache(state: Path) -> Path:
    """Where builds share packages that were downloaded once."""
    return state / "kubelet" / "uv-cache"


def push_credentials(ports: Ports, access: Access) -> dict[str, str]:
    """What repo2docker hands to its engine.

    https://repo2docker.readthedocs.io/en/latest/howto/push_images.html
    """
    password = access.registry_password("builder")
    return {"registry": f"http://{registry(ports)}", "username": "builder", "password": password}


def run_config(
    ports: Ports, *, root: Path, state: Path, python: Path, token_file: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """How the serverless runtime runs the five functions; figures as in production (terraform/)."""

    def function(name: str, **settings: Any) -> dict[str, Any]:
        return {"entry_point": name, "port": ports.get(name, 0), "environment": dict(environment), **settings}

    return {
        "source": str(root),
        "config_file": str(state / "functions" / "config.yaml"),
        "python": str(python),
        "admin": {"port": ports["run_admin"], "token_file": str(token_file)},
        "gateway": {"port": ports["public"], "url_map": str(root / "terraform" / "url_map.yaml")},
        "functions": {
            "pages": function("pages", concurrency=80, timeout_s=60),
            "build": function("build", concurrency=250, timeout_s=3600),
            "on_build_complete": function("on_build_complete", concurrency=20, timeout_s=120),
            "cull": function("cull", concurrency=1, timeout_s=300, max_instances=2),
            "webhook": function("webhook", concurrency=80, timeout_s=60),
        },
    }


def schedule(ports: Ports, via: Ports = NO_DETOURS) -> dict[str, Any]:
    """What the scheduler calls: the cull, every minute."""
    cull = {
        "name": "cull",
        "cron": "* * * * *",
        "uri": function_url({**ports, **via}, "cull"),
        "service_account_email": SCHEDULER_ACCOUNT,
        "audience": function_url(ports, "cull"),
        "attempt_deadline_s": 300,
    }
    return {"jobs": [cull]}
