"""The schedule file: which jobs there are and when they run. Pure but for reading it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_EVERY_N_MINUTES = re.compile(r"\*(?:/([1-9][0-9]?))? \* \* \* \*")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,500}")


class InvalidSchedule(ValueError):
    """The schedule file cannot be used; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An HTTP target with its schedule: `cron` (`* * * * *` or `*/n * * * *`), or `every_s` seconds.

    The token is sent when `service_account_email` is given; its audience is `uri` unless `audience` says otherwise.
    """

    name: str
    uri: str
    cron: str = ""
    every_s: float = 0
    http_method: str = "POST"
    service_account_email: str = ""
    audience: str = ""
    attempt_deadline_s: float = 180
    retry_count: int = 0
    min_backoff_s: float = 5

    def next_run(self, now: float) -> float:
        """The first moment after *now* at which the job runs."""
        if self.every_s:
            return now + self.every_s
        step_s = 60 * _minutes(self.cron)
        hour = math.floor(now / 3600) * 3600
        # As in cron, the steps begin anew with every hour.
        return min(hour + (math.floor((now - hour) / step_s) + 1) * step_s, hour + 3600)


def read(path: Path) -> list[Job]:
    """Read the schedule file. Raises InvalidSchedule."""
    # Only a process with a schedule needs it.
    import yaml

    try:
        return parse(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidSchedule(f"{path}: {error}") from error


def parse(document: Any) -> list[Job]:
    """Read the content of a schedule file (`jobs:`, a list). Raises InvalidSchedule."""
    if not isinstance(document, Mapping) or set(document) != {"jobs"} or not isinstance(document["jobs"], list):
        raise InvalidSchedule("expected one key, jobs, with a list")
    jobs = [_job(entry) for entry in document["jobs"]]
    if len({job.name for job in jobs}) != len(jobs):
        raise InvalidSchedule("two jobs have the same name")
    return jobs


def _job(entry: Any) -> Job:
    if not isinstance(entry, Mapping) or not _NAME.fullmatch(str(entry.get("name", ""))):
        raise InvalidSchedule("every job has a name of letters, digits, hyphens and underscores")
    name = entry["name"]
    if unknown := set(entry) - {field.name for field in fields(Job)}:
        raise InvalidSchedule(f"job {name}: no such setting: {', '.join(sorted(map(str, unknown)))}")
    try:
        job = Job(**{"uri": "", **entry})
        _check(job)
    except (TypeError, ValueError) as error:
        raise InvalidSchedule(f"job {name}: {error}") from error
    return job


def _check(job: Job) -> None:
    _check_types(job)
    if urlsplit(job.uri).scheme not in ("http", "https"):
        raise ValueError("uri must start with http:// or https://")
    if job.http_method not in ("GET", "POST", "PUT", "DELETE"):
        raise ValueError("http_method must be GET, POST, PUT or DELETE")
    if not isinstance(job.retry_count, int) or not 0 <= job.retry_count <= 5:
        raise ValueError("retry_count is between 0 and 5")
    if not 0 < job.attempt_deadline_s <= 1800 or not 0 <= job.min_backoff_s <= 3600:
        raise ValueError("attempt_deadline_s is up to 1800, min_backoff_s up to 3600")
    _check_times(job)


def _check_types(job: Job) -> None:
    for field in fields(Job):
        value = getattr(job, field.name)
        if not isinstance(value, str if field.type == "str" else int | float):
            raise ValueError(f"{field.name} cannot be {value!r}")


def _check_times(job: Job) -> None:
    if bool(job.cron) == bool(job.every_s):
        raise ValueError("give either cron or every_s")
    if job.cron:
        _minutes(job.cron)
    elif not job.every_s >= 0.1:
        raise ValueError("every_s must be at least 0.1")


def _minutes(cron: str) -> int:
    match = _EVERY_N_MINUTES.fullmatch(cron)
    if match is None or int(match[1] or 1) > 59:
        raise ValueError(f"cannot run {cron!r}: only '* * * * *' and '*/n * * * *' are understood")
    return int(match[1] or 1)
