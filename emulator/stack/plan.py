"""The stack itself: which parts there are, how each is started, and who waits for whom."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from emulator.stack import cloud_build, documents, steps
from emulator.stack.access import Access, prepare
from emulator.stack.cluster_parts import ClusterParts
from emulator.stack.commands import Plan
from emulator.stack.installation import BIN, PROXY, ROOT, builder_host_paths, network_variables, part_environment
from emulator.stack.parts import Part, Step
from emulator.stack.ports import HOST, choose, detours, remembered
from emulator.stack.state import StateFolder

CLOUD_BUILD = "cloud_build"


def make_plan(state: StateFolder, environ: Mapping[str, str], *, backend: str) -> Plan:
    """Choose ports, make secrets, write what the parts read, and return what to run. *backend* builds the images."""
    ports = choose(state, environ, random.Random())
    via = detours(environ)
    access = prepare(state, ports, via)
    surroundings = part_environment(environ)
    settings = _write_documents(state, ports, access, environ, backend)
    repositories = documents.repository_folders(state.path, environ)
    cluster = ClusterParts(state.path, ports, surroundings)
    stack = _Stack(state.path, ports, via, access, surroundings, settings, repositories, backend, cluster)
    return Plan(url=documents.public_url(ports), members=[*stack.parts(), *stack.steps()])


def facts(state: StateFolder) -> dict[str, str]:
    """What `status` says beside the parts."""
    ports = remembered(state)
    # There is none where only a cluster runs.
    hub = {"hub_url": documents.hub_url(ports)} if "hub" in ports else {}
    return {**hub, "kubeconfig": str(state.path / "kubeconfig"), "build_backend": state.backend()}


def _write_documents(
    state: StateFolder, ports: Mapping[str, int], access: Access, environ: Mapping[str, str], backend: str
) -> dict[str, str]:
    """Returns the person's own settings of the functions."""
    via = detours(environ)
    for name in ("functions", "hub", "git", "run", "kube", "kubelet/uv-cache", "builds"):
        state.folder(*name.split("/"))
    repositories = documents.repository_folders(state.path, environ)
    network = network_variables(environ)
    config = documents.functions_config(ports, state=state.path, network=network, repositories=repositories, via=via)
    secrets = documents.functions_environment(access, user="functions")
    if backend == CLOUD_BUILD:
        config = cloud_build.functions_config(config, {**ports, **via})
        secrets = cloud_build.functions_environment(secrets, ports, access)
        builds = cloud_build.emulator_settings(ports, access=access, state=state.path, network=network)
        state.write("secrets/builds.yaml", yaml.safe_dump(builds, sort_keys=False))
    settings = documents.chosen_settings(environ, config, secrets)
    # What is published there is for everybody; containers of root's stack are another user.
    state.folder("git").chmod(0o755)
    state.write("git/.gitconfig", "[safe]\n\tdirectory = *\n").chmod(0o644)
    state.write("functions/config.yaml", yaml.safe_dump(config, sort_keys=False))
    state.write("schedule.yaml", yaml.safe_dump(documents.schedule(ports, via), sort_keys=False))
    run = documents.run_config(
        ports,
        root=ROOT,
        state=state.path,
        python=Path(sys.executable),
        token_file=access.run_admin_token_file,
        environment={**settings, **secrets},
    )
    state.write("secrets/run.yaml", yaml.safe_dump(run, sort_keys=False))
    return settings


@dataclass(frozen=True, slots=True)
class _Stack:
    state: Path
    ports: Mapping[str, int]
    via: Mapping[str, int]
    access: Access
    surroundings: Mapping[str, str]
    settings: Mapping[str, str]
    repositories: Sequence[Path]
    backend: str
    cluster: ClusterParts

    def parts(self) -> Sequence[Part]:
        # Cloud Build itself says what becomes of a build; of jobs somebody has to.
        watch = [] if self.backend == CLOUD_BUILD else [self._watch_builds()]
        return [
            self.cluster.kube(token_file=self.access.token_file),
            self._kubelet(),
            self._cloud(),
            self._proxy(),
            self._hub(),
            self._run(),
            *watch,
        ]

    def _kubelet(self) -> Part:
        return self.cluster.kubelet(
            token_file=self.access.kubelet_token_file,
            registry_login=self.access.registry_files["kubelet"],
            host_paths=(documents.package_cache(self.state), cloud_build.builds_folder(self.state)),
            visible=self.repositories,
        )

    def _cloud(self) -> Part:
        flags = (
            *("--state", str(self.state), "--credentials", str(self.access.cloud_credentials)),
            *("--pubsub-port", self._port("pubsub"), "--registry-port", self._port("registry")),
            *("--http-port", self._port("cloud"), "--schedule", str(self.state / "schedule.yaml")),
            *(("--builds", str(self.state / "secrets" / "builds.yaml")) if self.backend == CLOUD_BUILD else ()),
        )
        return self.cluster.python_part("cloud", *flags, address=self._url("cloud"))

    def _run(self) -> Part:
        flags = ("--config", str(self.state / "secrets" / "run.yaml"), "--state", str(self.state))
        health = f"{self._url('run_admin')}/healthz"
        return self.cluster.python_part("run", *flags, address=documents.public_url(self.ports), health=health)

    def _proxy(self) -> Part:
        return Part(
            name="proxy",
            command=(
                *(str(PROXY / "node"), str(PROXY / "node_modules/configurable-http-proxy/bin/configurable-http-proxy")),
                *("--ip", HOST, "--port", self._port("hub"), "--api-ip", HOST, "--api-port", self._port("proxy_api")),
                *("--error-target", f"{self._url('hub_api')}/hub/error"),
            ),
            environment={**self.surroundings, "CONFIGPROXY_AUTH_TOKEN": self.access.secrets["proxy"]},
            folder=ROOT,
            address=documents.hub_url(self.ports),
            health=f"{self._url('hub')}/_chp_healthz",
        )

    def _hub(self) -> Part:
        folder = self.state / "hub"
        environment = {
            **self.surroundings,
            "CONFIGPROXY_AUTH_TOKEN": self.access.secrets["proxy"],
            "PROXY_API_URL": self._url("proxy_api"),
            "HUB_SERVICE_TOKEN": self.access.secrets["hub-service"],
            "HUB_BIND_URL": f"{self._url('hub')}/",
            "HUB_PUBLIC_URL": documents.hub_url(self.ports),
            "HUB_API_BIND_URL": self._url("hub_api"),
            "HUB_NAMESPACE": documents.SERVERS_NAMESPACE,
            "HUB_STATE": str(folder),
            "KUBECONFIG": str(self.access.kubeconfigs["hub"]),
        }
        return Part(
            name="hub",
            command=(str(BIN / "jupyterhub"), "--config", str(ROOT / "emulator" / "hub" / "jupyterhub_config.py")),
            environment=environment,
            folder=folder,
            needs=frozenset({"proxy", "kube"}),
            address=self._url("hub_api"),
            health=f"{documents.hub_api_url(self.ports)}/",
        )

    def _watch_builds(self) -> Part:
        secrets = documents.functions_environment(self.access, user="watch-builds")
        config = str(self.state / "functions" / "config.yaml")
        return Part(
            name="watch-builds",
            command=(sys.executable, "-m", "functions", "watch-builds"),
            environment={**self.surroundings, **self.settings, **secrets, "BINDERLESS_CONFIG": config},
            folder=ROOT,
            needs=frozenset({"namespaces", "topics"}),
            ready_line="watching builds",
        )

    def steps(self) -> Sequence[Step]:
        cluster = steps.Cluster(self._url("kube"), self.access.secrets["cluster-admin"])

        async def namespaces() -> None:
            await cluster.make_namespaces()
            await cluster.keep_secret(documents.push_credentials(self.ports, self.access))

        async def hub_answers() -> None:
            url = documents.hub_api_url(self.ports)
            await steps.await_hub(url, f"{self._url('hub')}/", self.access.secrets["hub-service"])

        async def gateway_answers() -> None:
            await steps.await_gateway(documents.public_url(self.ports))

        return [
            Step(name="namespaces", run=namespaces, needs=frozenset({"kube"})),
            Step(name="node", run=cluster.await_node, needs=frozenset({"kubelet"})),
            Step(name="images", run=self._push_images, needs=frozenset({"cloud"})),
            Step(name="topics", run=self._make_topics, needs=frozenset({"cloud"})),
            Step(name="hub-answers", run=hub_answers, needs=frozenset({"hub", "proxy"})),
            Step(name="gateway", run=gateway_answers, needs=frozenset({"run", "cloud", "hub-answers"})),
        ]

    async def _push_images(self) -> None:
        credentials = str(self.access.registry_files["stack"])
        to = ("--registry", documents.registry(self.ports), "--credentials", credentials)
        push = (sys.executable, "-m", "emulator.images")
        await steps.run_command((*push, "push-shell", *to), self._here())
        builder = ("push-builder", *to, "--path", str(BIN), "--host-paths", *builder_host_paths())
        await steps.run_command((*push, *builder), self._here())

    async def _make_topics(self) -> None:
        environment = {
            **self._here(),
            "PUBSUB_ENDPOINT": f"{HOST}:{self.ports['pubsub']}",
            "PUBSUB_TOKEN": self.access.secrets["pubsub"],
            "PUSH_ENDPOINT": documents.function_url({**self.ports, **self.via}, "on_build_complete"),
            "PUSH_AUDIENCE": documents.function_url(self.ports, "on_build_complete"),
        }
        await steps.run_command((sys.executable, "-m", "emulator.stack.topics"), environment)

    def _here(self) -> dict[str, str]:
        return {**self.surroundings, "PYTHONPATH": str(ROOT)}

    def _port(self, name: str) -> str:
        return str(self.ports[name])

    def _url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"
