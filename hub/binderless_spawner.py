"""What JupyterHub runs of ours: a KubeSpawner that starts the image a launch names.

It imports nothing of this project, so that it works as well in zero-to-jupyterhub's `hub.extraConfig`:

    from binderless_spawner import configure, let_functions_in
    configure(c)
    let_functions_in(c, token=os.environ["HUB_SERVICE_TOKEN"])

The options come through the Hub's API from whoever holds its token; they are checked like any other input. The server's
token goes into its environment (`JUPYTER_TOKEN`: jupyter_server reads it, and so does notebook from 5.3 on), never onto
its command line, where every process of the machine could read it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner
from tornado.web import HTTPError
from traitlets import Float, Unicode

# Option -> variable in the server's environment: BinderHub's names, which tools inside servers read.
VARIABLE_OF_OPTION = {
    "repo_url": "BINDER_REPO_URL",
    "binder_ref_url": "BINDER_REF_URL",
    "binder_launch_host": "BINDER_LAUNCH_HOST",
    "binder_persistent_request": "BINDER_PERSISTENT_REQUEST",
    "binder_request": "BINDER_REQUEST",
    "binder_client_ip": "BINDER_CLIENT_IP",
}
# What KubeSpawner lets through when an API server is out, or has trouble of its own.
UNREACHABLE = (ApiException, ClientError, OSError, TimeoutError)
REQUIRED = ("image", "token")
LONGEST_OPTION = 4096

# The address as the pod itself sees it. Servers listen on it instead of 0.0.0.0: pods that share a machine's loopback
# interface can then all use the same port, and nothing changes for pods that have a network of their own.
# https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}

# As BinderHub's chart has it: JupyterLab where the image has it, the classic notebook elsewhere.
LAB_OR_NOTEBOOK = """\
import os, sys
for command in ("jupyter-lab", "jupyter-notebook"):
    try:
        os.execvp(command, [command] + sys.argv[1:])
    except FileNotFoundError:
        print("no", command, file=sys.stderr)
sys.exit("this image has neither JupyterLab nor the classic notebook")
"""


def checked_options(options: Mapping[str, Any]) -> dict[str, str]:
    """The options that are ours, as text. Raises HTTPError 400 for what cannot be meant."""
    for name in REQUIRED:
        if not options.get(name):
            raise HTTPError(400, f"{name} is required")
    ours = {name: options[name] for name in (*REQUIRED, *VARIABLE_OF_OPTION) if options.get(name) is not None}
    for name, value in ours.items():
        if not isinstance(value, str) or len(value) > LONGEST_OPTION or not value.isprintable():
            raise HTTPError(400, f"{name} must be a line of text, {LONGEST_OPTION} characters at most")
    return ours


def literal(value: str) -> str:
    """*value* as it must be written where Kubernetes would expand `$(NAME)`."""
    return value.replace("$", "$$")


class BinderlessSpawner(KubeSpawner):  # type: ignore[misc]
    """Starts the image of `user_options`, as a notebook server that asks for the launch's own token."""

    cors_allow_origin = Unicode("", config=True, help="Origins that may talk to the servers; * for all.")

    ask_again_s = Float(1.0, config=True, help="After how many seconds a cluster that did not answer is asked again.")

    async def start(self) -> Any:
        """Start the server; HTTP 400 when the options do not name an image and a token."""
        self.image = checked_options(self.user_options)["image"]
        self.forget_failed_reflectors()
        return await super().start()

    async def poll(self) -> int | None:
        """As KubeSpawner has it, once the cluster can be asked.

        A Hub that starts while the API server is out would take the error for the end of every server, and remove them
        all. Until it answers, nobody knows, and the Hub does not wait for it (`init_spawners_timeout`).
        """
        while True:
            try:
                status: int | None = await super().poll()
            except UNREACHABLE as error:
                self.log.warning("The cluster does not tell of %s yet: %r", self.pod_name, error)
            else:
                return status
            self.forget_failed_reflectors()
            await asyncio.sleep(self.ask_again_s)

    @classmethod
    def forget_failed_reflectors(cls) -> None:
        """Have those made anew that could not begin: KubeSpawner goes on with them, and they never see a pod."""
        for key, reflector in [*cls.reflectors.items()]:
            begun = reflector.first_load_future
            if begun.done() and not begun.cancelled() and begun.exception() is not None:
                del cls.reflectors[key]

    def get_args(self) -> list[str]:
        """Options of ServerApp, and the same of NotebookApp for images from before notebook 7."""
        options = {"base_url": literal(self.server.base_url), "trust_xheaders": "True"}
        if self.default_url:
            options["default_url"] = literal(self.default_url)
        if self.cors_allow_origin == "*":
            options["allow_origin_pat"] = ".*"
        elif self.cors_allow_origin:
            options["allow_origin"] = literal(self.cors_allow_origin)
        twice = [f"--{app}.{name}={value}" for app in ("ServerApp", "NotebookApp") for name, value in options.items()]
        return ["--ip=$(POD_IP)", f"--port={self.port}", *twice, *self.args]

    def get_env(self) -> dict[str, Any]:
        """The Hub's environment and BinderHub's variables."""
        options = checked_options(self.user_options)
        binder = {variable: literal(options.get(name, "")) for name, variable in VARIABLE_OF_OPTION.items()}
        token = {"JUPYTER_TOKEN": literal(options["token"])}
        return {**super().get_env(), **binder, **token, "POD_IP": copy.deepcopy(POD_IP)}


def configure(c: Any) -> None:
    """Make *c*, the configuration of a JupyterHub, use this spawner as Binderless needs it."""
    c.JupyterHub.spawner_class = BinderlessSpawner
    # One broken image must not take the Hub down for everybody.
    c.Spawner.consecutive_failure_limit = 0
    # Starting a server answers at once; the launch follows its progress.
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    # JupyterHub warns of options that nobody declares to handle; `start` does.
    c.Spawner.apply_user_options = lambda spawner, options: None
    c.Spawner.cmd = ["python3", "-c", LAB_OR_NOTEBOOK]
    c.KubeSpawner.events_enabled = True
    # zero-to-jupyterhub's number too. Who comes while so many start is told to come again, and waits in the queue.
    c.JupyterHub.concurrent_spawn_limit = 64


def let_functions_in(c: Any, *, token: str) -> None:
    """Make the functions, which hold *token*, the only ones to start anything on the JupyterHub that *c* configures."""
    # Nobody logs in: servers are started by the functions, for people who are known by the launch's own token.
    c.JupyterHub.authenticator_class = "null"
    c.JupyterHub.services = [{"name": "binder", "api_token": token}]
    c.JupyterHub.load_roles = [{"name": "binder", "services": ["binder"], "scopes": ["servers", "admin:users"]}]
    # Who holds a server's token may use it from the pages of any site.
    c.BinderlessSpawner.cors_allow_origin = "*"
