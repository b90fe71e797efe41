"""What the parts of a stack are told when Cloud Build builds: the functions' configuration, its emulator's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.stack import documents
from emulator.stack.access import Access
from emulator.stack.ports import HOST

REGION = "europe-west1"
BUCKET = f"{documents.PROJECT}-build-logs"
BUILDER_ACCOUNT = f"builder@{documents.PROJECT}.iam.gserviceaccount.com"
# Two cores build no faster when more do it at a time.
CONCURRENT = 4

Ports = Mapping[str, int]


def builds_folder(state: Path) -> Path:
    """What the steps of builds share."""
    return state / "builds"


def functions_config(base: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    """*base*, the configuration for builds as Kubernetes jobs, changed to Cloud Build; without secrets."""
    cloud = f"http://{HOST}:{ports['cloud']}"
    builds = {name: value for name, value in base["builds"].items() if name not in ("namespace", "pod_template")}
    registry = {name: value for name, value in base["registry"].items() if name != "username"}
    return {
        **base,
        "registry": {**registry, "credentials": "google"},
        "builds": {**builds, "backend": "cloud_build"},
        "cloud_build": {
            "project": documents.PROJECT,
            "region": REGION,
            "service_account": f"projects/{documents.PROJECT}/serviceAccounts/{BUILDER_ACCOUNT}",
            "log_bucket": BUCKET,
            "endpoint": cloud,
            "storage_endpoint": cloud,
        },
    }


def functions_environment(base: Mapping[str, str], ports: Ports, access: Access) -> dict[str, str]:
    """*base* with the secrets of functions_config: the registry is entered with the token of a metadata server."""
    kept = {name: value for name, value in base.items() if name != "BINDERLESS_REGISTRY__PASSWORD"}
    machine = f"http://{HOST}:{ports['cloud']}/machines/{access.secrets['functions-machine']}"
    return {
        **kept,
        "BINDERLESS_CLOUD_BUILD__TOKEN": access.secrets["cloud-build"],
        "BINDERLESS_REGISTRY__METADATA_URL": machine,
    }


def emulator_settings(ports: Ports, *, access: Access, state: Path, network: Mapping[str, str]) -> dict[str, Any]:
    """The emulator's file, with secrets."""
    (container,) = documents.pod_template(state, network)["spec"]["containers"]
    volumes = documents.pod_template(state, network)["spec"]["volumes"]
    pod = {name: container[name] for name in ("env", "volumeMounts", "resources")}
    return {
        "project": documents.PROJECT,
        "token": access.secrets["cloud-build"],
        "cluster_url": f"http://{HOST}:{ports['kube']}",
        "cluster_token": access.secrets["cluster-cloud-build"],
        "namespace": documents.BUILDS_NAMESPACE,
        "folder": str(builds_folder(state)),
        "registry": documents.registry(ports),
        "registry_login": f"builder:{access.registry_password('builder')}",
        "pod": {**pod, "volumes": volumes},
        "buckets": [BUCKET],
        "concurrent": CONCURRENT,
    }
