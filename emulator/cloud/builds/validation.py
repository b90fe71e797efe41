"""What Cloud Build refuses when a build is created. Pure.

The figures are those of the worker that Google published, github.com/GoogleCloudPlatform/cloud-build-local
(validate/validate.go); the hosted service may allow more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.cloud.builds.errors import ApiError, invalid
from emulator.cloud.builds.messages import Build, duration_s
from emulator.cloud.builds.substitutions import USER_KEY

MAX_STEPS = 100
MAX_ARGS, MAX_ARG_LENGTH = 100, 4000
MAX_ENV, MAX_ENV_LENGTH = 100, 1000
MAX_SUBSTITUTIONS, MAX_SUBSTITUTION_LENGTH = 100, 4000
MAX_TAGS, MAX_IMAGES = 64, 100
MAX_TIMEOUT_S = 24 * 3600

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# https://cloud.google.com/storage/docs/buckets#naming
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_ENV = re.compile(r"[^=\0]+=.*", re.DOTALL)
_IMAGE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_ACCOUNT = re.compile(r"projects/[a-z0-9:.-]+/serviceAccounts/[A-Za-z0-9@._-]+|projects/-/serviceAccounts/[\w@.-]+")
_POOL = re.compile(r"projects/[^/]+/locations/(?P<location>[^/]+)/workerPools/[^/]+")
_WITHOUT = ("source", "artifacts", "secrets", "availableSecrets", "dependencies")

NO_LOGGING = (
    "if 'build.service_account' is specified, the build must either (a) specify 'build.logs_bucket', (b) use the "
    "REGIONAL_USER_OWNED_BUCKET build.options.default_logs_bucket_behavior option, or (c) use either "
    "CLOUD_LOGGING_ONLY / NONE logging options"
)


def check_request(build: Build) -> None:
    """Raise ApiError for what can be seen before variables are replaced."""
    for name in _WITHOUT:
        if build.get(name):
            raise ApiError("UNIMPLEMENTED", f"The emulator of Cloud Build does not know build.{name}.")
    given: Mapping[str, str] = build.get("substitutions", {})
    _count("substitutions", given, MAX_SUBSTITUTIONS)
    for key, value in given.items():
        if not USER_KEY.fullmatch(key):
            raise invalid(f'substitution key "{key[:100]}" does not respect format "^_[A-Z0-9_]+$"')
        if len(value) > MAX_SUBSTITUTION_LENGTH:
            raise invalid(f"the value of substitution {key} is longer than {MAX_SUBSTITUTION_LENGTH} characters")


def check_build(build: Build, *, location: str, buckets: Sequence[str] = ()) -> None:
    """Raise ApiError for a build that cannot run; its variables have been replaced. Any of *buckets* exists, and if
    there are none, every bucket does."""
    timeout_s = _timeout("timeout", build.get("timeout", ""), MAX_TIMEOUT_S)
    _timeout("queueTtl", build.get("queueTtl", ""), float("inf"))
    _check_steps(build.get("steps", []), timeout_s)
    _count("tags", build.get("tags", ()), MAX_TAGS)
    for tag in build.get("tags", ()):
        if not TAG.fullmatch(tag):
            raise invalid(f"invalid build tag {tag[:200]!r}: must match format {TAG.pattern!r}", field="build.tags")
    _count("images", build.get("images", ()), MAX_IMAGES)
    for image in build.get("images", ()):
        if not _IMAGE.fullmatch(image):
            raise invalid(f"invalid image name {image[:200]!r}", field="build.images")
    _check_logs(build, buckets)
    pool = build.get("options", {}).get("pool", {}).get("name", "")
    if pool:
        _check_pool(pool, location)


def _check_steps(steps: Sequence[Mapping[str, Any]], timeout_s: float) -> None:
    if not steps:
        raise invalid("invalid build: no build steps are specified", field="build.steps")
    _count("steps", steps, MAX_STEPS)
    seen: set[str] = set()
    for number, step in enumerate(steps):
        _check_step(number, step, timeout_s)
        if unknown := set(step.get("waitFor", ())) - seen - {"-"}:
            raise invalid(f"invalid build step {number}: waitFor names no earlier step: {min(unknown)!r}")
        if step.get("id") in seen:
            raise invalid(f"invalid build step {number}: the id {step['id']!r} is not unique")
        seen |= {step["id"]} if step.get("id") else set()


def _check_step(number: int, step: Mapping[str, Any], timeout_s: float) -> None:
    where = f"build step {number}"
    if not step.get("name"):
        raise invalid(f"invalid {where}: no name is specified", field="build.steps.name")
    if not _IMAGE.fullmatch(step["name"]):
        raise invalid(f"invalid {where}: {step['name'][:200]!r} is not the name of an image")
    for name in ("secretEnv", "volumes", "script"):
        if step.get(name):
            raise ApiError("UNIMPLEMENTED", f"The emulator of Cloud Build does not know {name} of a step.")
    if ".." in step.get("dir", "").split("/"):
        raise invalid(f"invalid {where}: the path in the 'dir' field must not contain '..'")
    _check_words(where, step)
    _timeout(f"{where}: timeout", step.get("timeout", ""), timeout_s or MAX_TIMEOUT_S)


def _check_words(where: str, step: Mapping[str, Any]) -> None:
    _count(f"{where}: args", step.get("args", ()), MAX_ARGS)
    _count(f"{where}: env", step.get("env", ()), MAX_ENV)
    for arg in step.get("args", ()):
        if len(arg) > MAX_ARG_LENGTH:
            raise invalid(f"invalid {where}: an argument is longer than {MAX_ARG_LENGTH} characters")
    for entry in step.get("env", ()):
        if not _ENV.fullmatch(entry) or len(entry) > MAX_ENV_LENGTH:
            raise invalid(f"invalid {where}: env entries are KEY=VALUE of up to {MAX_ENV_LENGTH} characters")


def _check_logs(build: Build, buckets: Sequence[str]) -> None:
    options = build.get("options", {})
    logging = options.get("logging", "LOGGING_UNSPECIFIED")
    account, named = build.get("serviceAccount", ""), build.get("logsBucket", "")
    if account and not _ACCOUNT.fullmatch(account):
        field = "build.service_account"
        raise invalid(f"invalid value for '{field}': expected projects/*/serviceAccounts/*", field=field)
    elsewhere = logging in ("CLOUD_LOGGING_ONLY", "STACKDRIVER_ONLY", "NONE")
    regional = options.get("defaultLogsBucketBehavior") == "REGIONAL_USER_OWNED_BUCKET"
    if account and not (named or elsewhere or regional):
        raise invalid(NO_LOGGING)
    if named and elsewhere:
        raise invalid("'build.logs_bucket' cannot be used with the logging options CLOUD_LOGGING_ONLY and NONE")
    if not named:
        return
    bucket = bucket_of(build)
    if not BUCKET.fullmatch(bucket):
        raise invalid(f"invalid bucket {named[:200]!r}", field="build.logs_bucket")
    if buckets and bucket not in buckets:
        raise invalid(f'invalid bucket "{bucket}": the bucket does not exist', field="build.logs_bucket")


def bucket_of(build: Build) -> str:
    """The bucket in which a build wants its log; empty if it names none."""
    named: str = build.get("logsBucket", "")
    return named.removeprefix("gs://").removesuffix("/")


def _check_pool(pool: str, location: str) -> None:
    match = _POOL.fullmatch(pool)
    if match is None:
        raise invalid("options.pool.name must be projects/*/locations/*/workerPools/*")
    if match["location"] != location:
        raise invalid(f"the worker pool is in {match['location']}, the build in {location}")


def _count(what: str, found: Sequence[Any] | Mapping[str, Any], most: int) -> None:
    if len(found) > most:
        raise invalid(f"invalid build: number of {what} {len(found)} exceeds the limit of {most}")


def _timeout(name: str, text: str, most_s: float) -> float:
    seconds = duration_s(text)
    if not 0 <= seconds <= most_s:
        raise invalid(f"invalid {name}: {text} is not between 0s and {most_s:.0f}s")
    return seconds
