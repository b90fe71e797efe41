"""What a deployment must say of its Cloud Build, checked when the configuration is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator

from functions.core.settings import BuildSettings, CloudBuildSettings

_PINNED = re.compile(r"\S+@sha256:[0-9a-f]{64}")
_ACCOUNT = re.compile(r"(projects/[^/\s]+/serviceAccounts/)?[^/\s@]+@[^/\s@]+")
_POOL = re.compile(r"projects/[^/\s]+/locations/(?P<region>[^/\s]+)/workerPools/[^/\s]+")
# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


def service_account_name(project: str, account: str) -> str:
    """The name that Cloud Build knows *account* by, which may be given as an e-mail address."""
    return account if account.startswith("projects/") else f"projects/{project}/serviceAccounts/{account}"


def longest_build_s(builds: BuildSettings, cloud: CloudBuildSettings) -> int:
    """How long a build may be open: Cloud Build lets it wait for a machine before its own time begins."""
    return builds.timeout_s + (cloud.queue_ttl_s if builds.backend == "cloud_build" else 0)


def cloud_build_problems(builds: BuildSettings, cloud: CloudBuildSettings) -> Iterator[str]:
    """What keeps builds from running on Cloud Build, a sentence each; nothing when another backend builds."""
    if builds.backend != "cloud_build":
        return
    for name in ("project", "region", "service_account", "log_bucket"):
        if not getattr(cloud, name):
            yield f"cloud_build.{name}: required for builds on Cloud Build"
    if cloud.service_account and not _ACCOUNT.fullmatch(cloud.service_account):
        yield "cloud_build.service_account: must be an e-mail address or projects/<project>/serviceAccounts/<address>"
    if cloud.log_bucket and not _BUCKET.fullmatch(cloud.log_bucket):
        yield "cloud_build.log_bucket: must be the name of a bucket, without gs://"
    yield from _pool_problems(cloud)
    yield from _endpoint_problems(builds, cloud)


def _pool_problems(cloud: CloudBuildSettings) -> Iterator[str]:
    pool = _POOL.fullmatch(cloud.private_pool)
    if cloud.private_pool and not pool:
        yield "cloud_build.private_pool: must be projects/<project>/locations/<region>/workerPools/<name>"
    if pool and pool["region"] != cloud.region:
        yield f"cloud_build.region: must be {pool['region']}, where the private pool is"
    if pool and cloud.machine_type:
        yield "cloud_build.machine_type: must be empty with a private pool, which has its own"


def _endpoint_problems(builds: BuildSettings, cloud: CloudBuildSettings) -> Iterator[str]:
    for name in ("endpoint", "storage_endpoint"):
        address = getattr(cloud, name)
        if address and not address.startswith(("https://", "http://")):
            yield f"cloud_build.{name}: must start with https:// or http://"
    if cloud.token and not (cloud.endpoint and cloud.storage_endpoint):
        yield "cloud_build.token: Google takes none; it is for a cloud_build.endpoint and storage_endpoint of one's own"
    if not cloud.endpoint and not _PINNED.fullmatch(builds.image):
        yield "builds.image: must end with @sha256:<digest>, because it runs where the builder's account is used"
