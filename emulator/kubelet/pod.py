"""One pod on this node, from its first container to its last trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.kubelet.addresses import NoAddress
from emulator.kubelet.container import Container
from emulator.kubelet.logs import has_log
from emulator.kubelet.mounting import Mounting
from emulator.kubelet.names import UnsafeName, check_pod
from emulator.kubelet.preparing import Surroundings
from emulator.kubelet.reporter import Reporter
from emulator.kubelet.runs import Run
from emulator.kubelet.services import Services, Stopped
from emulator.kubelet.states import ContainerRecord, PodRecord, Waiting, is_begun
from emulator.kubelet.status import parse_timestamp, records_of

log = logging.getLogger(__name__)

FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a log is, and, while it is written, what tells of its end."""

    path: Path
    ended: asyncio.Event | None


class Pod:
    """A pod that this node runs until it is deleted. `manifest` is the newest that the API server told."""

    def __init__(self, manifest: dict[str, Any], services: Services) -> None:
        self.manifest = manifest
        self._services = services
        self._stop = asyncio.Event()
        self._killed = asyncio.Event()
        self._left: dict[str, Run] = {}
        self._deleted = asyncio.Event()
        self._containers: dict[str, Container] = {}
        self._records = records_of(manifest, now=services.now())
        self._pod_ip = ""
        self._mounting = Mounting(
            services,
            self.manifest_now,
            pod_ip=lambda: self._pod_ip,
            stop=self._stop,
            in_use=lambda: any(each.process for each in self._containers.values()),
        )
        self._deadline: asyncio.TimerHandle | None = None
        self._living = False
        self._failure: tuple[str, str] | None = None
        self._ending = False
        self._killers: list[asyncio.TimerHandle] = []
        started = (manifest.get("status") or {}).get("startTime")
        self._started_at = parse_timestamp(started) if started else services.now()
        self._reporter = Reporter(services, self.manifest_now, self.record)

    async def run(self) -> None:
        """Live until the pod is deleted, and take it away: from this machine, then from the API server."""
        reporting = asyncio.ensure_future(self._reporter.run())
        try:
            if (self.manifest.get("status") or {}).get("phase") not in FINISHED:
                await self._live()
            else:
                await self._services.runs.end(self.manifest["metadata"]["uid"])
            await self._deleted.wait()
            await self._reporter.finish()
        finally:
            for timer in self._killers:
                timer.cancel()
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)

    def update(self, manifest: dict[str, Any]) -> None:
        """Learn what the API server says now: another image or deadline takes effect, a deletion begins the end."""
        self.manifest = manifest
        self._reporter.learned()
        for each in [*(manifest["spec"].get("initContainers") or ()), *manifest["spec"]["containers"]]:
            if known := self._containers.get(each["name"]):
                known.change(each)
        self._heed_deadline()
        if "deletionTimestamp" in manifest["metadata"]:
            self.end(grace_s=manifest["metadata"].get("deletionGracePeriodSeconds") or 0)

    def report_again(self) -> None:
        """Tell the API server once more how the pod is, in case that it has forgotten."""
        self._reporter.doubt()

    def end(self, *, grace_s: float) -> None:
        """Ask everything to end, and kill what is left after *grace_s*; a later call can only shorten that."""
        self._ending = True
        self._deleted.set()
        self._halt(grace_s=grace_s)

    def abandon(self, *, grace_s: float) -> None:
        """The same for a pod whose status is nobody's business any more."""
        self._reporter.close()
        self._services.runs.abandon(self.manifest["metadata"]["uid"])
        self.end(grace_s=grace_s)

    def log(self, container: str, *, previous: bool) -> LogPlace | None:
        """Where the log of the newest run is, or of the one before it; None when there is none.

        As long as the next run has not begun, the one that ended last is both: so it is in Kubernetes.
        """
        known = self._containers.get(container)
        number = known.number if known else self._number(container)
        if not previous and (path := self._log(container, number)):
            return LogPlace(path, known.ended if known else None)
        path = self._log(container, number - 1)
        return LogPlace(path, None) if path else None

    def _log(self, container: str, number: int) -> Path | None:
        path = self._services.layout.log(self.manifest, container, max(number, 0))
        return path if number >= 0 and has_log(path) else None

    def container(self, name: str) -> Container | None:
        """The container of that name, once it has been its turn."""
        return self._containers.get(name)

    def manifest_now(self) -> dict[str, Any]:
        return self.manifest

    def record(self) -> PodRecord:
        """How the pod is now."""
        init, containers = (tuple(map(self._record, group)) for group in self._records)
        return PodRecord(
            init=init,
            containers=containers,
            host_ip=self._services.host_ip,
            # A pod has no address before there is something of it.
            pod_ip=self._pod_ip if is_begun((*init, *containers)) else "",
            started_at=self._started_at,
            failure=self._failure,
            ending=self._ending,
        )

    def _record(self, first: ContainerRecord) -> ContainerRecord:
        known = self._containers.get(first.name)
        return known.record if known else first

    def _number(self, container: str) -> int:
        return next((each.restarts for group in self._records for each in group if each.name == container), -1)

    async def _live(self) -> None:
        try:
            check_pod(self.manifest)
        except UnsafeName as error:
            self._fail("InvalidPod", str(error))
            return
        self._living = True
        self._heed_deadline()
        try:
            await self._meet_again()
            self._reporter.changed()
            await self._run_containers()
        except NoAddress as error:
            self._fail("OutOfAddresses", str(error))
        except Stopped:
            log.debug("pod %s stopped", self.manifest["metadata"]["name"])
        except Exception as error:
            # A spec that neither the API server nor we understand ends its pod, not the kubelet.
            log.exception("pod %s cannot be run", self.manifest["metadata"]["name"])
            self._kill(True)
            self._fail("InvalidPod", f"{type(error).__name__}: {error}")
        finally:
            self._living = False
            self._heed_deadline()
            self._reporter.changed()

    async def _meet_again(self) -> None:
        """Take over what a kubelet before this one left running, and the pod's address with it."""
        uid, spec = self.manifest["metadata"]["uid"], self.manifest["spec"]
        for each in [*(spec.get("initContainers") or ()), *spec["containers"]]:
            if left := await self._services.runs.record(uid, each["name"]).settled():
                self._left[each["name"]] = left
        running = {name for name, left in self._left.items() if left.alive}
        self._pod_ip = self._services.addresses.of(uid, held=bool(running))
        for key in ("initContainers", "containers"):
            for each in spec.get(key) or ():
                if each["name"] in running:
                    self._container(each, is_init=key == "initContainers")

    async def _run_containers(self) -> None:
        for name in [each["name"] for each in self.manifest["spec"].get("initContainers") or ()]:
            # As it is by then: the image of one that waits for its turn may change.
            each = next(each for each in self.manifest["spec"]["initContainers"] if each["name"] == name)
            ended = await self._container(each, is_init=True).live()
            if not ended.succeeded:
                return
        self._initialized()
        containers = [self._container(each, is_init=False) for each in self.manifest["spec"]["containers"]]
        ends = await asyncio.gather(*(each.live() for each in containers), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    def _initialized(self) -> None:
        init, containers = self._records
        waiting = Waiting("ContainerCreating")
        pending = (isinstance(each.state, Waiting) and each.last is None for each in containers)
        self._records = (
            init,
            tuple(
                ContainerRecord(name=each.name, image=each.image, state=waiting) if is_pending else each
                for each, is_pending in zip(containers, pending, strict=True)
            ),
        )
        self._reporter.changed()

    def _container(self, spec: Mapping[str, Any], *, is_init: bool) -> Container:
        if spec["name"] in self._containers:
            return self._containers[spec["name"]]
        around = Surroundings(
            pod=self.manifest,
            volumes=self._mounting.volumes,
            pod_ip=self._pod_ip,
            is_init=is_init,
            stop=self._stop,
            killed=self._killed,
            mounted=self._mounting.mount,
            fetch=self._mounting.fetch,
            changed=self._reporter.changed,
        )
        first = next(each for group in self._records for each in group if each.name == spec["name"])
        container = Container(spec, first, around, self._services, left=self._left.pop(spec["name"], None))
        self._containers[spec["name"]] = container
        return container

    def _heed_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        seconds = self.manifest["spec"].get("activeDeadlineSeconds")
        if seconds and self._living and self._failure is None:
            left = seconds - (self._services.now() - self._started_at).total_seconds()
            self._deadline = asyncio.get_running_loop().call_later(max(0, left), self._too_long)

    def _too_long(self) -> None:
        message = "Pod was active on the node longer than the specified deadline"
        self._fail("DeadlineExceeded", message)
        self._halt(grace_s=self.manifest["spec"].get("terminationGracePeriodSeconds") or 0)

    def _fail(self, reason: str, message: str) -> None:
        self._failure = (reason, message)
        self._services.events.tell(self.manifest, "Warning", reason, message)
        self._reporter.changed()

    def _halt(self, *, grace_s: float) -> None:
        first, loop = not self._stop.is_set(), asyncio.get_running_loop()
        self._stop.set()
        self._killers.append(loop.call_later(grace_s, self._kill, grace_s <= 0))
        for container in self._containers.values() if first else ():
            container.stop(grace_s=grace_s)

    def _kill(self, now: bool) -> None:
        self._killed.set()
        for container in self._containers.values():
            container.kill(now=now)
