"""A real JupyterHub for one machine. Everything that differs between two stacks comes from the environment.

The proxy is a process of its own, so that a Hub that is started again finds its users' servers still reachable.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "hub"))

from binderless_spawner import configure, let_functions_in

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (JupyterHub puts it here)
configure(c)
let_functions_in(c, token=os.environ["HUB_SERVICE_TOKEN"])

state = Path(os.environ["HUB_STATE"])

c.JupyterHub.bind_url = os.environ["HUB_BIND_URL"]
c.JupyterHub.public_url = os.environ["HUB_PUBLIC_URL"]
c.JupyterHub.hub_bind_url = os.environ["HUB_API_BIND_URL"]
c.JupyterHub.db_url = f"sqlite:///{state / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
# As zero-to-jupyterhub sets 64 for a cluster: whoever comes when it is reached is queued.
c.JupyterHub.concurrent_spawn_limit = 8
c.JupyterHub.last_activity_interval = 60

c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = os.environ["PROXY_API_URL"]
c.ConfigurableHTTPProxy.auth_token = os.environ["CONFIGPROXY_AUTH_TOKEN"]

c.KubeSpawner.namespace = os.environ["HUB_NAMESPACE"]
c.KubeSpawner.extra_pod_config = {"restartPolicy": "Never", "enableServiceLinks": False}
# A pod that cannot start is only noticed when this is over.
c.KubeSpawner.start_timeout = 60
c.KubeSpawner.http_timeout = 60
# Enforced where the machine lets the kubelet make cgroups.
c.KubeSpawner.mem_guarantee = "128M"
c.KubeSpawner.mem_limit = "2G"
