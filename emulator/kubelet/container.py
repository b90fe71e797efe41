"""One container of a pod: its image, its runs, and the pauses between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emulator.kubelet.cgroups import Cgroup
from emulator.kubelet.hooks import Ending, post_start
from emulator.kubelet.preparing import Surroundings
from emulator.kubelet.probes import Target
from emulator.kubelet.probing import Prober
from emulator.kubelet.runs import Run
from emulator.kubelet.services import BackOff, Services, Stopped, shown_delay
from emulator.kubelet.spawning import ContainerProcess, Exit, Launch, StartError
from emulator.kubelet.starting import Changed, Starter
from emulator.kubelet.states import ContainerRecord, Running, State, Terminated, Waiting

log = logging.getLogger(__name__)


class Container:
    """A container that lives as its pod's restart policy says. `record` tells how it is now."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        record: ContainerRecord,
        around: Surroundings,
        services: Services,
        *,
        left: Run | None = None,
    ) -> None:
        """*record* is how the API server knows it, *left* the run that a kubelet before this one began, if any."""
        self.record = record
        self.process: ContainerProcess | None = None
        self.ended: asyncio.Event | None = None
        self._spec, self._around, self._services = spec, around, services
        kind = "initContainers" if around.is_init else "containers"
        self._field_path = f"spec.{kind}{{{spec['name']}}}"
        self._starter = Starter(spec, around, services, tell=self._tell, wait=self._wait_because)
        self._ending = Ending(spec, self._tell)
        self._pauses = BackOff(services.timing)
        self._last = record.last
        # A container met again while it waited to be restarted is on its way to the next run.
        self.number = record.restarts + (record.last is not None and isinstance(record.state, Waiting))
        self._met(left)

    def _met(self, left: Run | None) -> None:
        """Go on from what a kubelet before this one left; what has been reported of it already counts more."""
        state = self.record.state
        reported = isinstance(state, Terminated) and left is not None and left.number <= self.record.restarts
        if left is not None and left.told and left.number >= self.number and not reported:
            self._take(left)
        elif isinstance(state, Running):
            self._finish(Exit(137, lost=True), "Nothing is known of the container any more")

    def _take(self, left: Run) -> None:
        state = self.record.state
        if left.number > self.record.restarts and isinstance(state, Terminated):
            self._last = state
        ran = isinstance(state, Running) and left.number == self.record.restarts
        self.number = left.number
        prepared = self._starter.preparation
        self.process = ContainerProcess(prepared.record, left, cgroup=prepared.cgroup(left.number))
        self.ended = asyncio.Event()
        self._is_made(left.container_id, left.image_id)
        if left.started_at is not None:
            running = Running(left.started_at)
            # Whether it is ready and has started is as it was, if that is known.
            self.record = replace(self.record, state=running) if ran else self._as_new(running)

    async def live(self) -> Terminated:
        """Run, again and again as the policy says; return how it ended for good. Raises Stopped."""
        try:
            return await self._runs()
        except Stopped:
            if isinstance(self.record.state, Running) and self._last:
                self._set(self._last)
            raise

    async def _runs(self) -> Terminated:
        if self.process:
            await self._go_on(self.process)
        while True:
            ended = self.record.state
            if isinstance(ended, Terminated):
                if not self._again(ended):
                    return ended
                await self._back_off(ended)
            await self._one_run()

    def change(self, spec: Mapping[str, Any]) -> None:
        """Go on with another image: what runs is started again, whatever the policy says; not so an init container."""
        if spec["image"] == self._spec["image"]:
            return
        self._spec = spec
        self._starter.change(spec)
        if self.process:
            self._renew(self.process)

    def stop(self, *, grace_s: float) -> None:
        """Ask the process to end, if there is one; after *grace_s* somebody is to `kill` it."""
        if self.process:
            self._tell("Normal", "Killing", f"Stopping container {self.record.name}")
            self._ending.begin(self._target(self.process), grace_s=grace_s)

    def kill(self, *, now: bool = False) -> None:
        """Kill the process, if there is one; *now* also if its preStop hook needs more time."""
        if self.process:
            self._ending.kill(self.process, now=now)

    async def _go_on(self, process: ContainerProcess) -> None:
        """See a run to its end that a kubelet before this one began."""
        failed = process.run and process.run.error
        try:
            await self._end(await self._watch(process) if failed is None else StartError(failed))
        finally:
            await self._clean_up(process.cgroup)

    async def _one_run(self) -> None:
        if self._around.stop.is_set():
            raise Stopped
        await self._around.mounted()
        launch = await self._starter.launch(self.number)
        self._tell("Normal", "Created", f"Created container {self.record.name}")
        self.ended = asyncio.Event()
        self._is_made(launch.container_id, launch.image_id)
        try:
            await self._end(await self._run(launch))
        finally:
            await self._clean_up(launch.cgroup)

    def _is_made(self, container_id: str, image_id: str) -> None:
        made = replace(self.record, restarts=self.number, last=self._last, image=self._spec["image"])
        self.record = replace(made, container_id=container_id, image_id=image_id)

    async def _run(self, launch: Launch) -> Exit | StartError:
        try:
            process = await self._services.runtime.start(launch)
        except StartError as error:
            return error
        self.process = process
        self._tell("Normal", "Started", f"Started container {self.record.name}")
        started_at = process.run and process.run.started_at or self._services.now()
        hook = (self._spec.get("lifecycle") or {}).get("postStart")
        if hook and not self._around.stop.is_set() and await post_start(hook, self._target(process)):
            self._tell("Warning", "FailedPostStartHook", "PostStartHook failed")
            self._end_early(process, "FailedPostStartHook", grace_s=self._grace_s())
        self._set(Running(started_at))
        return await self._watch(process)

    async def _watch(self, process: ContainerProcess) -> Exit:
        if self._around.stop.is_set():
            self._ending.begin(self._target(process), grace_s=self._grace_s())
        if self._around.killed.is_set():
            self._ending.kill(process, now=True)
        if self._starter.outdated:
            self._renew(process)
        probing = asyncio.ensure_future(self._probe(process))
        try:
            return await process.wait()
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _clean_up(self, cgroup: Cgroup | None) -> None:
        self.process = None
        self._ending.over()
        if self.ended:
            self.ended.set()
        if cgroup:
            cgroup.remove()
        await asyncio.to_thread(self._starter.preparation.folder.remove)

    async def _probe(self, process: ContainerProcess) -> None:
        if not process.alive:
            return
        target = self._target(process)
        await Prober(
            spec=self._spec,
            target=target,
            has_started=self.record.started,
            tell=lambda text: self._tell("Warning", "Unhealthy", text),
            started=lambda: self._note(replace(self.record, started=True)),
            ready=lambda passes: self._note(replace(self.record, passes_probe=passes)),
            failed=self._give_up,
        ).run()

    def _target(self, process: ContainerProcess) -> Target:
        running = self.record.state
        since = running.started_at if isinstance(running, Running) else self._services.now()
        return Target(
            address=self._around.pod_ip,
            spec=self._spec,
            process=process,
            runtime=self._services.runtime,
            age_s=(self._services.now() - since).total_seconds(),
        )

    def _note(self, noted: ContainerRecord) -> None:
        if noted != self.record:
            self.record = noted
            self._around.changed()

    def _give_up(self, kind: str) -> None:
        """End a container that failed a probe; its policy says whether it comes back."""
        if self.process is not None:
            why = f"Container {self.record.name} failed {kind} probe, will be restarted"
            self._end_early(self.process, why, grace_s=self._grace_s(f"{kind}Probe"))

    @property
    def _is_renewed(self) -> bool:
        """Whether it is run again for another image, whatever its policy says."""
        return self._starter.outdated and not self._around.is_init and not self._around.stop.is_set()

    def _renew(self, process: ContainerProcess) -> None:
        if self._is_renewed:
            why = f"Container {self.record.name} definition changed, will be restarted"
            self._end_early(process, why, grace_s=self._grace_s())

    def _end_early(self, process: ContainerProcess, why: str, *, grace_s: float) -> None:
        self._tell("Normal", "Killing", why)
        self._ending.begin(self._target(process), grace_s=grace_s)
        asyncio.get_running_loop().call_later(grace_s, self._ending.kill, process)

    def _grace_s(self, probe: str = "") -> float:
        """How long it has to end; a probe that it fails may say so itself."""
        pod = self._around.pod
        asked = pod["metadata"].get("deletionGracePeriodSeconds")
        asked = self._spec.get(probe, {}).get("terminationGracePeriodSeconds") if asked is None else asked
        return float(asked if asked is not None else pod["spec"].get("terminationGracePeriodSeconds") or 0)

    def _again(self, ended: Terminated) -> bool:
        if self._around.stop.is_set():
            return False
        policy = self._around.pod["spec"].get("restartPolicy", "Always")
        if self._around.is_init and policy == "Always":
            policy = "OnFailure"
        return bool(policy == "Always" or (policy == "OnFailure" and not ended.succeeded))

    async def _back_off(self, ended: Terminated) -> None:
        """Wait before the next run, except before the second of all, and no longer than for another image."""
        self._last = ended
        self.number += 1
        pause_s, metadata = self._pauses.after(ended), self._around.pod["metadata"]
        if not pause_s:
            return
        pod = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        why = f"restarting failed container={self.record.name} pod={pod}"
        self._wait_because("CrashLoopBackOff", f"back-off {shown_delay(pause_s)} {why}")
        self._tell("Warning", "BackOff", f"Back-off restarting failed container {self.record.name} in pod {pod}")
        try:
            await self._starter.pause(pause_s)
        except Changed:
            self._pauses = BackOff(self._services.timing)

    async def _end(self, how: Exit | StartError) -> None:
        if isinstance(how, Exit):
            self._finish(how, await self._starter.preparation.message(self.number, failed=how.code != 0))
            return
        message = f"failed to start container process: {how}"
        self._tell("Warning", "Failed", f"Error: {message}")
        self._finish(Exit(128, reason="StartError"), message)

    def _finish(self, how: Exit, message: str) -> None:
        running = self.record.state
        ended = Terminated(
            exit_code=how.code,
            reason=how.told_reason,
            message=message,
            started_at=running.started_at if isinstance(running, Running) else None,
            finished_at=how.finished_at or self._services.now(),
            container_id=self.record.container_id,
        )
        if not self._is_renewed:
            self._set(ended)
            return
        # Nobody learns of an end that is none of the pod's: with a policy of Never, it would have failed.
        self._last = ended
        self.number += 1
        self._pauses = BackOff(self._services.timing)

    def _set(self, state: State) -> None:
        self.record = self._as_new(state)
        self._around.changed()

    def _as_new(self, state: State) -> ContainerRecord:
        ready, started = "readinessProbe" not in self._spec, "startupProbe" not in self._spec
        return replace(self.record, state=state, passes_probe=ready, started=started)

    def _wait_because(self, reason: str, message: str) -> None:
        self.record = replace(self.record, last=self._last, image=self._spec["image"])
        self._set(Waiting(reason, message))

    def _tell(self, kind: str, reason: str, message: str) -> None:
        self._services.events.tell(self._around.pod, kind, reason, message, field_path=self._field_path)
