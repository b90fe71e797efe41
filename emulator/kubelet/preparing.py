"""From a container's spec and what its pod gives it to what is started: folders, environment, sandbox, limits, log."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.images import PulledImage
from emulator.kubelet.cgroups import Cgroup, Limits
from emulator.kubelet.environment import (
    Downward,
    Source,
    Sources,
    command_line,
    container_environment,
    referenced,
)
from emulator.kubelet.identity import refused, user_of
from emulator.kubelet.images import host_paths, image_id
from emulator.kubelet.launching import (
    ContainerFolder,
    end_of_log,
    environment_of,
    fitted,
    hosts_file,
    limits_of,
    sandbox_of,
)
from emulator.kubelet.runs import Record, cgroup_name
from emulator.kubelet.sandbox import Sandbox
from emulator.kubelet.services import Services, unless_stopped
from emulator.kubelet.spawning import Launch
from emulator.kubelet.volumes import Volume, container_mounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a container gets from its pod."""

    pod: Mapping[str, Any]
    volumes: Mapping[str, Volume]
    pod_ip: str
    is_init: bool
    stop: asyncio.Event
    killed: asyncio.Event
    mounted: Callable[[], Awaitable[None]]
    fetch: Callable[[Iterable[Source]], Awaitable[Sources]]
    changed: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What is done for one container before each of its runs. *tell* hears of what it does not get."""

    spec: Mapping[str, Any]
    around: Surroundings
    services: Services
    tell: Callable[[str, str, str], None]

    @property
    def folder(self) -> ContainerFolder:
        return ContainerFolder.of(self.around.pod, self.spec["name"], self.services.layout)

    @property
    def record(self) -> Record:
        return self.services.runs.record(self._uid, self.spec["name"])

    def container_id(self, number: int) -> str:
        identity = f"{self._uid}/{self.spec['name']}/{number}"
        return f"process://{hashlib.sha256(identity.encode()).hexdigest()}"

    def cgroup(self, number: int) -> Cgroup | None:
        """The control group of a run that is there already."""
        name = cgroup_name(self._uid, self.spec["name"], number)
        return self.services.cgroups.find(name) if self.services.cgroups else None

    async def apart(self, image: PulledImage) -> PulledImage:
        """The image as a container may use it that neither a sandbox nor its account keeps from changing it."""
        if self.services.runtime.isolated or self.services.runtime.account:
            return image
        await asyncio.to_thread(self.folder.remove)
        return await self.services.images.with_own_environment(image, self.folder.environment)

    async def launch(self, image: PulledImage, number: int) -> Launch:
        """Make what the run needs, and say what to start. Raises ConfigError, VolumeError, ValueError, OSError,
        Stopped."""
        around, services = self.around, self.services
        limits = limits_of(self.spec)
        sources = await unless_stopped(around.stop, around.fetch(referenced(self.spec)))
        downward = Downward(
            pod=around.pod, pod_ip=around.pod_ip, host_ip=services.host_ip, allocatable=services.allocatable
        )
        own = container_environment(self.spec, sources=sources, downward=downward)
        argv = command_line(self.spec, own, entrypoint=image.entrypoint, command=image.command)
        for each in refused(around.pod, self.spec):
            self.tell("Warning", "RootRefused", each)
        folder, user, owner = self.folder, user_of(around.pod, self.spec), services.runtime.account
        hosts = hosts_file(around.pod, around.pod_ip)
        await asyncio.to_thread(folder.make, image, hosts=hosts, user=user, owner=owner)
        sandbox = sandbox_of(
            self.spec,
            image=image,
            pod=around.pod,
            environment=environment_of(image, around.pod, own, tty=bool(self.spec.get("tty"))),
            folder=folder,
            layout=services.layout,
            operator_paths=host_paths(image, registry=services.registry),
            volumes=tuple(container_mounts(self.spec, around.volumes, own, owner)),
        )
        sandbox, argv, undone = fitted(sandbox, argv, folder, isolated=services.runtime.isolated, owner=owner)
        for each in undone:
            self.tell("Warning", "FailedMount", each)
        return self._launch(argv, sandbox, limits, image_id(image), number)

    async def message(self, number: int, *, failed: bool) -> str:
        """What the run of that number had to say at its end."""
        said = self.folder.termination_message()
        if said or not failed or self.spec.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            return said
        return await end_of_log(self.services.layout.log(self.around.pod, self.spec["name"], number))

    def _launch(self, argv: tuple[str, ...], sandbox: Sandbox, limits: Limits, image: str, number: int) -> Launch:
        around, services = self.around, self.services
        log = services.layout.log(around.pod, self.spec["name"], number)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        name = cgroup_name(self._uid, self.spec["name"], number)
        return Launch(
            argv=argv,
            sandbox=sandbox,
            cgroup=services.cgroups.create(name, limits) if services.cgroups else None,
            log=log,
            log_limit_bytes=services.log_limit_bytes,
            record=self.record,
            number=number,
            container_id=self.container_id(number),
            image_id=image,
            end_with=services.end_with,
            claim=services.addresses.claim(self._uid),
            stdin=bool(self.spec.get("stdin")),
            stdin_once=bool(self.spec.get("stdinOnce")),
            tty=bool(self.spec.get("tty")),
        )

    @property
    def _uid(self) -> str:
        return str(self.around.pod["metadata"]["uid"])
