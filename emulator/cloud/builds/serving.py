"""Composes Cloud Build: its routes, and the builds that go on in the background as long as the context lasts."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from google.pubsub_v1.types import pubsub as proto

from emulator.cloud.builds.api import BuildsApi
from emulator.cloud.builds.cluster import Cluster
from emulator.cloud.builds.execution import Worker
from emulator.cloud.builds.logs import Buckets
from emulator.cloud.builds.messages import Build
from emulator.cloud.builds.push import Pusher
from emulator.cloud.builds.queue import Queue
from emulator.cloud.builds.service import Builds, Notify, default_bucket
from emulator.cloud.builds.settings import BuildSettings
from emulator.cloud.builds.storage_api import StorageApi
from emulator.cloud.builds.store import Store
from emulator.cloud.builds.switches import BuildFaults
from emulator.cloud.builds.token import Guard
from emulator.cloud.pubsub.broker import Broker
from emulator.cloud.pubsub.errors import NotFound

log = logging.getLogger(__name__)

TOPIC = "cloud-builds"


@asynccontextmanager
async def building(
    folder: Path, settings: BuildSettings, faults: BuildFaults, broker: Broker, http: aiohttp.ClientSession
) -> AsyncIterator[Sequence[web.RouteDef]]:
    """Build until the context ends, and yield what is to be served; what has not ended by then goes on in the next
    context over the same *folder*."""
    store = Store(folder / "builds.sqlite")
    buckets = Buckets(folder / "buckets", default_bucket(settings.project_number))
    builds = Builds(store, buckets, settings, notifier(broker, settings.project))
    worker = Worker(
        cluster=Cluster(http, url=settings.cluster_url, token=settings.cluster_token, namespace=settings.namespace),
        pusher=Pusher(http, settings.registry, settings.registry_login),
        folder=settings.folder,
        extra=settings.pod,
    )
    queue = Queue(builds, buckets, worker, concurrent=settings.concurrent)
    guard = Guard(settings.token)
    api = BuildsApi(builds, queue, faults, guard, project=settings.project)
    queue.start()
    try:
        yield [*api.routes(), *StorageApi(buckets, guard).routes()]
    finally:
        await queue.close()
        store.close()


def notifier(broker: Broker, project: str) -> Notify:
    """Publishes a build to the topic of builds, if somebody has made that.

    https://cloud.google.com/build/docs/subscribe-build-notifications
    """
    topic = f"projects/{project}/topics/{TOPIC}"

    def notify(build: Build) -> None:
        attributes = {"buildId": build["id"], "status": build["status"]}
        message = proto.PubsubMessage(data=json.dumps(build).encode(), attributes=attributes)
        try:
            broker.publish(topic, [message])
        except NotFound:
            log.debug("build %s: no topic %s", build["id"], topic)

    return notify
