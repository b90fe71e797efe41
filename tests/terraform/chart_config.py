"""What the zero-to-jupyterhub chart makes of its values inside the Hub, as far as ours use it, for a test's JupyterHub.

Facts of the chart 4.3.2, files/hub/jupyterhub_config.py: https://github.com/jupyterhub/zero-to-jupyterhub-k8s. Here the
Hub listens on loopback, has no proxy, and a second service that may look at it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from jupyterhub.proxy import Proxy


class NoProxy(Proxy):  # type: ignore[misc]
    """Serves no routes: the test talks to the Hub itself."""

    should_start = False

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        return None

    async def delete_route(self, routespec: str) -> None:
        return None

    async def get_all_routes(self) -> dict[str, Any]:
        return {}


# The chart's own configuration and hub.extraFiles are in one folder, which is on the path.
here = Path(os.environ["TEST_CHART_FOLDER"])
sys.path.insert(0, str(here))
values = json.loads((here / "values.json").read_text())

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.services = []
c.JupyterHub.load_roles = []
c.JupyterHub.concurrent_spawn_limit = values["hub"]["concurrentSpawnLimit"]
c.JupyterHub.active_server_limit = values["hub"]["activeServerLimit"]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
c.Spawner.consecutive_failure_limit = values["hub"]["consecutiveFailureLimit"]
c.Spawner.cmd = "jupyterhub-singleuser"
c.KubeSpawner.namespace = os.environ["POD_NAMESPACE"]
c.KubeSpawner.start_timeout = values["singleuser"]["startTimeout"]
c.KubeSpawner.cpu_guarantee = values["singleuser"]["cpu"]["guarantee"]
c.KubeSpawner.cpu_limit = values["singleuser"]["cpu"]["limit"]
c.KubeSpawner.mem_guarantee = values["singleuser"]["memory"]["guarantee"]
c.KubeSpawner.mem_limit = values["singleuser"]["memory"]["limit"]
c.KubeSpawner.extra_pod_config = values["singleuser"]["extraPodConfig"]


def hidden(key: str, default: Any = None) -> Any:
    """The chart has a `get_config` of its own; who takes it for JupyterHub's gets this."""
    raise LookupError(f"The chart's own get_config was asked for {key!r} (else {default!r}) instead of JupyterHub's.")


globals()["get_config"] = hidden
for _, text in sorted(values["hub"]["extraConfig"].items()):
    exec(text)

c.JupyterHub.hub_bind_url = os.environ["TEST_HUB_URL"]
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.services.append({"name": "looker", "api_token": os.environ["TEST_LOOKER_TOKEN"]})
c.JupyterHub.load_roles.append({"name": "looker", "services": ["looker"], "scopes": ["read:hub"]})
