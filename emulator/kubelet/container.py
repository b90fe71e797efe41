"""One container of a pod: its image, its runs, and the pauses between them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from emulator.images import PulledImage
from emulator.kubelet.cgroups import Cgroup, Limits
from emulator.kubelet.environment import (
    ConfigError,
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
    environment_of,
    fitted,
    hosts_file,
    limits_of,
    sandbox_of,
)
from emulator.kubelet.logs import LogWriter
from emulator.kubelet.probes import Target
from emulator.kubelet.probing import Prober
from emulator.kubelet.process import ContainerProcess, Exit
from emulator.kubelet.pulling import Puller
from emulator.kubelet.services import Services, Stopped, delays, shown_delay, unless_stopped
from emulator.kubelet.spawning import Launch, StartError
from emulator.kubelet.states import ContainerRecord, Running, State, Terminated, Waiting
from emulator.kubelet.volumes import Volume, VolumeError, container_mounts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a container gets from its pod."""

    pod: Mapping[str, Any]
    volumes: Mapping[str, Volume]
    pod_ip: str
    is_init: bool
    stop: asyncio.Event
    fetch: Callable[[Iterable[Source]], Awaitable[Sources]]
    changed: Callable[[], None]


class Container:
    """A container that lives as its pod's restart policy says. `record` tells how it is now."""

    def __init__(
        self, spec: Mapping[str, Any], record: ContainerRecord, around: Surroundings, services: Services
    ) -> None:
        self.record = record
        self.process: ContainerProcess | None = None
        self.launch: Launch | None = None
        self.writer: LogWriter | None = None
        self._spec, self._around, self._services = spec, around, services
        kind = "initContainers" if around.is_init else "containers"
        self._field_path = f"spec.{kind}{{{spec['name']}}}"
        self._pauses = delays(services.timing)
        self._runs = 0
        self._last = record.last
        # A container met again while it waited to be restarted is on its way to the next run.
        self.number = record.restarts + (record.last is not None and isinstance(record.state, Waiting))

    async def live(self) -> Terminated:
        """Run, again and again as the policy says; return how it ended for good. Raises Stopped."""
        while True:
            ended = self.record.state
            if isinstance(ended, Terminated):
                if not self._again(ended):
                    return ended
                await self._back_off(ended)
            await self._one_run()

    def stop(self) -> None:
        """Ask the process to end, if there is one."""
        if self.process:
            self._tell("Normal", "Killing", f"Stopping container {self.record.name}")
            self.process.terminate()

    async def _one_run(self) -> None:
        if self._around.stop.is_set():
            raise Stopped
        folder = ContainerFolder.of(self._around.pod, self.record.name, self._services.layout)
        image = await self._image(folder)
        while True:
            try:
                launch = await self._prepare(image, folder)
                break
            except (ConfigError, VolumeError, ValueError, OSError) as error:
                self._wait_because("CreateContainerConfigError", str(error))
                self._tell("Warning", "Failed", f"Error: {error}")
                await self._pause(self._services.timing.retry_s)
        self._tell("Normal", "Created", f"Created container {self.record.name}")
        try:
            self._end(await self._run(launch, image), message=folder.termination_message())
        finally:
            self.process = None
            launch.log.close()
            if launch.cgroup:
                launch.cgroup.remove()
            await asyncio.to_thread(folder.remove)

    async def _run(self, launch: Launch, image: PulledImage) -> Exit | StartError:
        identity = f"{self._around.pod['metadata']['uid']}/{self.record.name}/{self.number}"
        self.record = replace(
            self.record,
            restarts=self.number,
            last=self._last,
            image_id=image_id(image),
            container_id=f"process://{hashlib.sha256(identity.encode()).hexdigest()}",
        )
        try:
            process = await self._services.runtime.start(launch)
        except StartError as error:
            return error
        self._set(Running(self._services.now()))
        self._tell("Normal", "Started", f"Started container {self.record.name}")
        self.process, self.launch = process, launch
        if self._around.stop.is_set():
            process.terminate()
        probing = asyncio.ensure_future(self._probe(launch))
        try:
            return await process.wait()
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _image(self, folder: ContainerFolder) -> PulledImage:
        return await Puller(
            spec=self._spec,
            services=self._services,
            stop=self._around.stop,
            tell=self._tell,
            wait=self._wait_because,
            pause=self._pause,
            apart=lambda image: self._apart(image, folder),
        ).image()

    async def _apart(self, image: PulledImage, folder: ContainerFolder) -> PulledImage:
        """The image as a container may use it that neither a sandbox nor its account keeps from changing it."""
        if self._services.runtime.isolated or self._services.runtime.account:
            return image
        await asyncio.to_thread(folder.remove)
        return await self._services.images.with_own_environment(image, folder.environment)

    async def _prepare(self, image: PulledImage, folder: ContainerFolder) -> Launch:
        around, services = self._around, self._services
        limits = limits_of(self._spec)
        sources = await unless_stopped(around.stop, around.fetch(referenced(self._spec)))
        downward = Downward(
            pod=around.pod, pod_ip=around.pod_ip, host_ip=services.host_ip, allocatable=services.allocatable
        )
        own = container_environment(self._spec, sources=sources, downward=downward)
        argv = command_line(self._spec, own, entrypoint=image.entrypoint, command=image.command)
        user, owner = user_of(around.pod, self._spec), services.runtime.account
        for each in refused(around.pod, self._spec):
            self._tell("Warning", "RootRefused", each)
        hosts = hosts_file(around.pod, around.pod_ip)
        await asyncio.to_thread(folder.make, image, hosts=hosts, user=user, owner=owner)
        sandbox = sandbox_of(
            self._spec,
            image=image,
            pod=around.pod,
            environment=environment_of(image, around.pod, own),
            folder=folder,
            layout=services.layout,
            operator_paths=host_paths(image, registry=services.registry),
            volumes=tuple(container_mounts(self._spec, around.volumes, own, owner)),
        )
        sandbox, argv, undone = fitted(sandbox, argv, folder, isolated=services.runtime.isolated, owner=owner)
        for each in undone:
            self._tell("Warning", "FailedMount", each)
        path = services.layout.log(around.pod, self.record.name, self.number)
        self.writer = LogWriter(path, limit_bytes=services.log_limit_bytes, now=services.now)
        return Launch(argv=argv, sandbox=sandbox, cgroup=self._cgroup(limits), log=self.writer)

    def _cgroup(self, limits: Limits) -> Cgroup | None:
        if self._services.cgroups is None:
            return None
        name = f"{self._around.pod['metadata']['uid']}-{self.record.name}-{self.number}"
        return self._services.cgroups.create(name, limits)

    async def _probe(self, launch: Launch) -> None:
        if self.process is None:
            return
        target = Target(
            address=self._around.pod_ip,
            spec=self._spec,
            process=self.process,
            launch=launch,
            runtime=self._services.runtime,
        )
        await Prober(
            spec=self._spec,
            target=target,
            tell=lambda text: self._tell("Warning", "Unhealthy", text),
            started=lambda: self._note(replace(self.record, started=True)),
            ready=lambda passes: self._note(replace(self.record, passes_probe=passes)),
            failed=self._give_up,
        ).run()

    def _note(self, noted: ContainerRecord) -> None:
        if noted != self.record:
            self.record = noted
            self._around.changed()

    def _give_up(self, kind: str) -> None:
        """End a container that failed a probe; its policy says whether it comes back."""
        if self.process is None:
            return
        message = f"Container {self.record.name} failed {kind} probe, will be restarted"
        self._tell("Normal", "Killing", message)
        self.process.terminate()
        grace_s = self._around.pod["spec"].get("terminationGracePeriodSeconds") or 0
        asyncio.get_running_loop().call_later(grace_s, self.process.kill)

    def _again(self, ended: Terminated) -> bool:
        if self._around.stop.is_set():
            return False
        policy = self._around.pod["spec"].get("restartPolicy", "Always")
        if self._around.is_init and policy == "Always":
            policy = "OnFailure"
        return bool(policy == "Always" or (policy == "OnFailure" and not ended.succeeded))

    async def _back_off(self, ended: Terminated) -> None:
        """Wait before the next run, except before the second of all."""
        self._last = ended
        self.number += 1
        self._runs += 1
        if ended.started_at and (ended.finished_at - ended.started_at).total_seconds() >= self._settled_s:
            self._pauses, self._runs = delays(self._services.timing), 1
        if self._runs == 1:
            return
        pause_s, metadata = next(self._pauses), self._around.pod["metadata"]
        pod = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        self._wait_because(
            "CrashLoopBackOff",
            f"back-off {shown_delay(pause_s)} restarting failed container={self.record.name} pod={pod}",
        )
        self._tell("Warning", "BackOff", f"Back-off restarting failed container {self.record.name} in pod {pod}")
        await self._pause(pause_s)

    @property
    def _settled_s(self) -> float:
        return self._services.timing.settled_after_s

    def _end(self, how: Exit | StartError, *, message: str) -> None:
        running = self.record.state
        started_at = running.started_at if isinstance(running, Running) else None
        code, reason = 128, "StartError"
        if isinstance(how, Exit):
            code, reason = how.code, "Error" if how.code else "Completed"
            reason = "OOMKilled" if how.out_of_memory else reason
        else:
            message = f"failed to start container process: {how}"
            self._tell("Warning", "Failed", f"Error: {message}")
        self._set(
            Terminated(
                exit_code=code,
                reason=reason,
                message=message,
                started_at=started_at,
                finished_at=self._services.now(),
                container_id=self.record.container_id,
            )
        )

    def _set(self, state: State) -> None:
        ready, started = "readinessProbe" not in self._spec, "startupProbe" not in self._spec
        self.record = replace(self.record, state=state, passes_probe=ready, started=started)
        self._around.changed()

    def _wait_because(self, reason: str, message: str) -> None:
        self.record = replace(self.record, last=self._last)
        self._set(Waiting(reason, message))

    async def _pause(self, seconds: float) -> None:
        await unless_stopped(self._around.stop, asyncio.sleep(seconds))

    def _tell(self, kind: str, reason: str, message: str) -> None:
        self._services.events.tell(self._around.pod, kind, reason, message, field_path=self._field_path)
