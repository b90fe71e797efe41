"""Jobs whose pods have an index each: which indexes are done, which pod has which, and which come next. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from emulator.kube.objects import Object, metadata

# The name of an annotation and of a label.
INDEX = "batch.kubernetes.io/job-completion-index"
VARIABLE = "JOB_COMPLETION_INDEX"
# Generated names leave room for their random end.
LONGEST_BEGINNING = 58
# The largest of an int32 has ten.
MOST_DIGITS = 10


def is_indexed(spec: Object) -> bool:
    """Tell whether the pods of a job with this *spec* have indexes."""
    return spec.get("completionMode") == "Indexed"


def index_of(pod: Object) -> int | None:
    """Return the index of *pod*; None when it has none."""
    text = str((metadata(pod).get("annotations") or {}).get(INDEX, ""))
    return int(text) if _is_number(text) else None


def read(text: str, *, below: int) -> list[range]:
    """Return the indexes of a status (`1,3-5,7`). What is none, or not *below*, is left out."""
    found = []
    for item in text.split(","):
        first, _, last = item.partition("-")
        if _is_number(first) and _is_number(last or first):
            found.append(range(int(first), min(int(last or first) + 1, below)))
    return merged(found)


def merged(ranges: Iterable[range]) -> list[range]:
    """Return the same indexes in order, in as few ranges as possible."""
    result: list[range] = []
    for each in sorted(filter(None, ranges), key=lambda each: each.start):
        if result and each.start <= result[-1].stop:
            result[-1] = range(result[-1].start, max(result[-1].stop, each.stop))
        else:
            result.append(each)
    return result


def text_of(ranges: Iterable[range]) -> str:
    """Return indexes as a status has them: three or more in a row are a range."""
    return ",".join(f"{each[0]}-{each[-1]}" if len(each) > 2 else ",".join(map(str, each)) for each in ranges)


def free(done: Sequence[range], taken: Collection[int], *, below: int) -> Iterator[int]:
    """The indexes that are neither *done*, which are merged, nor *taken*, the lowest first."""
    start = 0
    for each in (*done, range(below, below)):
        yield from (number for number in range(start, each.start) if number not in taken)
        start = each.stop


def first_of_each(pods: Sequence[Object], done: Sequence[range], *, below: int) -> dict[int, Object]:
    """Return the pods that have something to do, by index: one for each index that is not done, the oldest."""
    chosen: dict[int, Object] = {}
    for pod in sorted(pods, key=lambda pod: str(metadata(pod).get("creationTimestamp", ""))):
        index = index_of(pod)
        if index is not None and index < below and not any(index in each for each in done):
            chosen.setdefault(index, pod)
    return dict(sorted(chosen.items()))


def give_index(pod: Object, job_name: str, index: int) -> None:
    """Make a pod that a job creates the one of *index*: by annotation, label, name, host name and variable."""
    meta, spec = pod["metadata"], pod["spec"]
    meta["annotations"] = {**meta["annotations"], INDEX: str(index)}
    meta["labels"] = {**meta["labels"], INDEX: str(index)}
    end = f"-{index}-"
    meta["generateName"] = job_name[: LONGEST_BEGINNING - len(end)] + end
    spec["hostname"] = f"{job_name}-{index}"
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    for container in (*(spec.get("initContainers") or []), *spec["containers"]):
        env = container.get("env") or []
        if all(variable.get("name") != VARIABLE for variable in env):
            container["env"] = [*env, {"name": VARIABLE, "valueFrom": source}]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
