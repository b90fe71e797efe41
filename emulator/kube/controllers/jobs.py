"""Jobs: pods until enough have succeeded, or too many failed, or the time is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from emulator.kube.cluster import Cluster
from emulator.kube.controllers.events import record
from emulator.kube.controllers.job_indexes import give_index
from emulator.kube.controllers.job_plan import TRACKING, Plan, is_ended, plan
from emulator.kube.deletion import DeleteOptions, delete
from emulator.kube.errors import ApiError
from emulator.kube.kinds import JOBS, PODS
from emulator.kube.objects import (
    Object,
    clone,
    controller_of,
    dig,
    is_deleting,
    labels_of,
    metadata,
    moment_of,
    name_of,
    namespace_of,
    uid_of,
)
from emulator.kube.selectors import selects
from emulator.kube.store import Change, Key
from emulator.kube.writes import create, modify

SOURCE = "job-controller"
REFUSED_RETRY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Jobs:
    """Keeps jobs supplied with pods. *backoff* is the pause after the first failure."""

    cluster: Cluster
    backoff: timedelta = timedelta(seconds=10)

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.key.resource == JOBS.id:
            return (change.key,)
        if change.key.resource != PODS.id:
            return ()
        if not _is_tracked(change.object) and change.type != "DELETED":
            return ()
        owner = controller_of(change.object)
        job = (Key(JOBS.id, change.key.namespace, str(owner["name"])),) if owner and owner["kind"] == "Job" else ()
        return (*job, change.key)

    def start(self) -> Iterable[Key]:
        return [
            Key(resource.id, namespace_of(obj), name_of(obj))
            for resource in (JOBS, PODS)
            for obj in self.cluster.store.objects(resource.id)
        ]

    def reconcile(self, key: Key) -> datetime | None:
        obj = self.cluster.store.get(key)
        if obj is None:
            return None
        if key.resource == PODS.id:
            self._release_orphan(obj)
            return None
        if is_deleting(obj):
            return None
        if is_ended(obj):
            return self._expire(key, obj)
        return self._work(key, obj)

    def _release_orphan(self, pod: Object) -> None:
        """A pod whose job is gone, or done, is not counted any more."""
        owner = controller_of(pod)
        job = self.cluster.store.get(Key(JOBS.id, namespace_of(pod), str(owner["name"]))) if owner else None
        counts = job is not None and owner is not None and uid_of(job) == owner["uid"]
        if _is_tracked(pod) and (job is None or not counts or is_ended(job) or is_deleting(job)):
            self._release(pod)

    def _expire(self, key: Key, job: Object) -> datetime | None:
        ttl_s = job["spec"].get("ttlSecondsAfterFinished")
        if ttl_s is None:
            return None
        ended = dig(job, "status", "completionTime") or next(
            c["lastTransitionTime"] for c in job["status"]["conditions"] if c["type"] in ("Complete", "Failed")
        )
        expires_at = (moment_of(ended) or self.cluster.now()) + timedelta(seconds=ttl_s)
        if self.cluster.now() < expires_at:
            return expires_at
        delete(self.cluster, JOBS, key.namespace, key.name, DeleteOptions(propagation="Background"))
        return None

    def _pods(self, job: Object) -> list[Object]:
        selector = job["spec"]["selector"]
        return [
            pod
            for pod in self.cluster.store.objects(PODS.id, namespace_of(job))
            if (controller_of(pod) or {}).get("uid") == uid_of(job) and selects(selector, labels_of(pod))
        ]

    def _work(self, key: Key, job: Object) -> datetime | None:
        plan_ = plan(job, self._pods(job), now=self.cluster.now(), backoff=self.backoff)
        refused = not all(self._create_pod(job, index) for index in plan_.create)
        if refused:
            # Those that were created come to this controller as changes, and are counted then.
            return self.cluster.now() + REFUSED_RETRY
        self._write_status(key, plan_)
        for pod in plan_.release:
            self._release(pod)
        for pod in plan_.delete:
            delete(self.cluster, PODS, key.namespace, name_of(pod), DeleteOptions(propagation="Background"))
            record(self.cluster, job, reason="SuccessfulDelete", message=f"Deleted pod: {name_of(pod)}", source=SOURCE)
        if plan_.news:
            record(self.cluster, job, reason=plan_.news.reason, message=plan_.news.message, source=SOURCE)
        self._tell_end(job, plan_)
        return plan_.again_at

    def _write_status(self, key: Key, plan_: Plan) -> None:
        def write(job: Object) -> None:
            job["status"] = plan_.status

        modify(self.cluster, JOBS, key.namespace, key.name, write, part="status")

    def _tell_end(self, job: Object, plan_: Plan) -> None:
        if plan_.ended is None:
            return
        kind, reason, message = plan_.ended
        if kind == "Complete":
            record(self.cluster, job, reason="Completed", message="Job completed", source=SOURCE)
        else:
            record(self.cluster, job, reason=reason, message=message, source=SOURCE, kind="Warning")

    def _create_pod(self, job: Object, index: int | None) -> bool:
        template = clone(job["spec"]["template"])
        owner = {"apiVersion": JOBS.api_version, "kind": "Job", "name": name_of(job), "uid": uid_of(job)}
        meta = {
            "generateName": f"{name_of(job)}-",
            "labels": labels_of(template),
            "annotations": metadata(template).get("annotations") or {},
            "finalizers": [TRACKING],
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        }
        body = {"metadata": meta, "spec": template["spec"]}
        if index is not None:
            give_index(body, name_of(job), index)
        try:
            pod = create(self.cluster, PODS, namespace_of(job), body)
        except ApiError as error:
            message = f"Error creating: {error.message}"
            record(self.cluster, job, reason="FailedCreate", message=message, source=SOURCE, kind="Warning")
            return False
        record(self.cluster, job, reason="SuccessfulCreate", message=f"Created pod: {name_of(pod)}", source=SOURCE)
        return True

    def _release(self, pod: Object) -> None:
        def drop(new: Object) -> None:
            kept = [name for name in metadata(new).get("finalizers") or [] if name != TRACKING]
            new["metadata"]["finalizers"] = kept

        if _is_tracked(pod):
            modify(self.cluster, PODS, namespace_of(pod), name_of(pod), drop)


def _is_tracked(pod: Object) -> bool:
    return TRACKING in (metadata(pod).get("finalizers") or [])
