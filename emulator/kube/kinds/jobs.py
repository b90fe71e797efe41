"""Jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from emulator.kube.ages import age, span
from emulator.kube.errors import Cause, invalid, required, unsupported
from emulator.kube.kinds.pod_template import default_pod_spec, pod_spec_causes
from emulator.kube.names import LABEL, label_causes
from emulator.kube.objects import Object, dig, labels_of, moment_of, name_of, uid_of
from emulator.kube.resource import STATUS, Column, Field, Resource
from emulator.kube.selectors import selects

COUNTS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
IMMUTABLE = ("completions", "selector", "template", "completionMode")
MODES = ("NonIndexed", "Indexed")
MOST_INDEXED_PODS = 100_000


def begin(job: Object) -> None:
    """Make a new job: labels that tie its pods to it, and a selector for them, unless the client manages its own."""
    spec = job.setdefault("spec", {})
    template = spec.setdefault("template", {})
    job["status"] = {}
    if spec.get("manualSelector"):
        return
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    uid = uid_of(job)
    # The labels without a prefix are the ones of old, which most clients still ask for.
    labels |= {"controller-uid": uid, "job-name": name_of(job)}
    labels |= {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name_of(job)}
    chosen = spec.setdefault("selector", {}).setdefault("matchLabels", {})
    chosen.setdefault("batch.kubernetes.io/controller-uid", uid)
    template["metadata"].setdefault("creationTimestamp", None)
    if not labels_of(job):
        job["metadata"]["labels"] = dict(labels)


def default(job: Object) -> None:
    spec = job.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    # A job without a restartPolicy is refused; the default of pods would hide that it was missing.
    pod_spec = spec.setdefault("template", {}).setdefault("spec", {})
    policy = pod_spec.get("restartPolicy")
    default_pod_spec(pod_spec)
    pod_spec["restartPolicy"] = policy or "Always"


def validate(job: Object) -> list[Cause]:
    return [*_host_name_causes(job), *_causes(job["spec"], _own_labels(job))]


def _host_name_causes(job: Object) -> Iterator[Cause]:
    """The pod of the highest index has the longest host name."""
    completions_ = job["spec"].get("completions", 0)
    longest = f"{name_of(job)}-{completions_ - 1}"
    if job["spec"]["completionMode"] == "Indexed" and completions_ > 0 and LABEL.problems(longest):
        yield invalid("metadata.name", name_of(job), f"will not able to create pod with invalid DNS label: {longest}")


def _mode_causes(spec: Object) -> Iterator[Cause]:
    mode = spec["completionMode"]
    if mode not in MODES:
        yield unsupported("spec.completionMode", mode, MODES)
    if mode != "Indexed":
        return
    if "completions" not in spec:
        yield required("spec.completions", "when completion mode is Indexed")
    if spec["parallelism"] > MOST_INDEXED_PODS:
        problem = f"must be less than or equal to {MOST_INDEXED_PODS} when completion mode is Indexed"
        yield invalid("spec.parallelism", spec["parallelism"], problem)


def _own_labels(job: Object) -> dict[str, str] | None:
    """The labels that this server gives the pods of a job, if it does."""
    if job["spec"].get("manualSelector"):
        return None
    uid, name = uid_of(job), name_of(job)
    old = {"controller-uid": uid, "job-name": name}
    return old | {f"batch.kubernetes.io/{key}": value for key, value in old.items()}


def _causes(spec: Object, own_labels: dict[str, str] | None) -> Iterator[Cause]:
    for name in COUNTS:
        if spec.get(name, 0) < 0:
            yield invalid(f"spec.{name}", spec[name], "must be greater than or equal to 0")
    yield from _mode_causes(spec)
    labels = labels_of(spec["template"])
    yield from label_causes(labels, "spec.template.metadata.labels")
    if not spec.get("selector"):
        yield required("spec.selector")
    elif own_labels is not None and not selects(spec["selector"], own_labels):
        yield invalid("spec.selector", spec["selector"], "`selector` not auto-generated")
    if not selects(spec.get("selector") or {}, labels):
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    pod_spec = spec["template"]["spec"]
    yield from pod_spec_causes(pod_spec, "spec.template.spec")
    if pod_spec["restartPolicy"] == "Always":
        yield required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def validate_update(new: Object, old: Object) -> list[Cause]:
    changed = [name for name in IMMUTABLE if new["spec"].get(name) != old["spec"].get(name)]
    return [
        invalid(f"spec.{name}", new["spec"].get(name), problem)
        for name in changed
        if (problem := _why_not(name, new["spec"]))
    ]


def _why_not(name: str, spec: Object) -> str:
    """Why a field may not become what it is in *spec*; empty when it may."""
    if name != "completions" or spec["completionMode"] != "Indexed":
        return "field is immutable"
    # https://kubernetes.io/docs/concepts/workloads/controllers/job/#elastic-indexed-jobs
    fits = spec.get("completions") in (None, spec["parallelism"])
    return "" if fits else "can only be modified in tandem with spec.parallelism"


def completions(job: Object, _now: datetime) -> str:
    succeeded, wanted = dig(job, "status", "succeeded") or 0, job["spec"].get("completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallelism = job["spec"].get("parallelism", 0)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def state(job: Object, _now: datetime) -> str:
    """Say in one word how a job is."""
    conditions = dig(job, "status", "conditions") or []
    ended = (c["type"] for c in conditions if c.get("type") in ("Complete", "Failed") and c.get("status") == "True")
    return next(ended, "Suspended" if job["spec"].get("suspend") else "Running")


def duration(job: Object, now: datetime) -> str:
    started = moment_of(dig(job, "status", "startTime"))
    ended = moment_of(dig(job, "status", "completionTime"))
    return span(((ended or now) - started).total_seconds()) if started else ""


def _each_container(job: Object, field: str) -> str:
    return ",".join(str(container.get(field, "")) for container in job["spec"]["template"]["spec"]["containers"])


def _selector(job: Object, _now: datetime) -> str:
    labels = dig(job, "spec", "selector", "matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


JOBS = Resource(
    kind="Job",
    plural="jobs",
    group="batch",
    categories=("all",),
    subresources=(STATUS,),
    selectable={"status.successful": Field(("status", "succeeded"), "0")},
    begin=begin,
    default=default,
    validate=validate,
    validate_update=validate_update,
    # Jobs of batch/v1 have always orphaned their pods unless told otherwise, and kubectl always tells.
    propagation="Orphan",
    has_generation=True,
    columns=(
        Column("Name", lambda job, _now: name_of(job), format="name"),
        Column("Status", state),
        Column("Completions", completions),
        Column("Duration", duration),
        Column("Age", age),
        Column("Containers", lambda job, _now: _each_container(job, "name"), priority=1),
        Column("Images", lambda job, _now: _each_container(job, "image"), priority=1),
        Column("Selector", _selector, priority=1),
    ),
)
