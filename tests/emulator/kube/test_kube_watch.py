"""Watches through the official clients."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from emulator.kube import watching
from emulator.kube.kinds import CONFIG_MAPS
from emulator.kube.reads import ListOptions
from emulator.kube.store import Key, Store
from tests.emulator.kube.serving import TOKEN, ServerThread, eventually


def seen(core: Any, namespace: str, version: str, **options: Any) -> Iterator[tuple[str, str]]:
    """Yield (type, name) of the events of a watch on config maps."""
    events = watch.Watch().stream(
        core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=1, **options
    )
    return ((event["type"], event["object"].metadata.name) for event in events)


def config_map(core: Any, namespace: str, name: str, **labels: str) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": name, "labels": labels}})


def label(core: Any, namespace: str, name: str, **labels: str | None) -> None:
    core.patch_namespaced_config_map(name, namespace, {"metadata": {"labels": labels}})


def version(core: Any, namespace: str) -> str:
    return str(core.list_namespaced_config_map(namespace).metadata.resource_version)


def test_a_watch_tells_every_change_since_a_list(core: Any, namespace: str) -> None:
    start = version(core, namespace)
    config_map(core, namespace, "a")
    label(core, namespace, "a", x="y")
    core.delete_namespaced_config_map("a", namespace)
    assert list(seen(core, namespace, start)) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_without_a_version_begins_with_what_exists(core: Any, namespace: str) -> None:
    config_map(core, namespace, "a")
    assert next(seen(core, namespace, "0")) == ("ADDED", "a")


def test_an_object_enters_and_leaves_a_watch_with_its_labels(core: Any, namespace: str) -> None:
    start = version(core, namespace)
    config_map(core, namespace, "a")
    label(core, namespace, "a", app="x")
    label(core, namespace, "a", app="y")
    core.delete_namespaced_config_map("a", namespace)
    assert list(seen(core, namespace, start, label_selector="app=x")) == [("ADDED", "a"), ("DELETED", "a")]


def test_a_forgotten_version_is_told_as_expired(core: Any, namespace: str) -> None:
    with pytest.raises(ApiException) as error:
        list(seen(core, namespace, "1"))
    assert error.value.status == 410


def test_a_version_from_the_future_is_not_waited_for(core: Any, namespace: str) -> None:
    with pytest.raises(ApiException) as error:
        core.list_namespaced_config_map(namespace, resource_version=str(2**62))
    assert error.value.status == 504


def test_bookmarks_come_only_when_asked_for(core: Any, namespace: str) -> None:
    start = version(core, namespace)

    def types(**options: Any) -> list[str]:
        response = core.list_namespaced_config_map(
            namespace, resource_version=start, watch=True, timeout_seconds=1, _preload_content=False, **options
        )
        return [json.loads(line)["type"] for line in response.data.splitlines()]

    assert types() == []
    assert types(allow_watch_bookmarks=True) == ["BOOKMARK"]


def test_a_watcher_that_does_not_read_holds_nobody_up(server: ServerThread, core: Any, namespace: str) -> None:
    address = urlsplit(server.url)
    start = version(core, namespace)
    with socket.create_connection((address.hostname, address.port)) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"/api/v1/namespaces/{namespace}/configmaps?watch=1&resourceVersion={start}"
        lazy.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        large = {"metadata": {"name": "large"}, "data": {"k": "x" * 500_000}}
        core.create_namespaced_config_map(namespace, large)
        for number in range(20):
            core.patch_namespaced_config_map("large", namespace, {"data": {"n": str(number)}})
        events = [kind for kind, name in seen(core, namespace, start)]
    assert events == ["ADDED"] + ["MODIFIED"] * 20


def test_a_watch_of_pods_across_namespaces_sees_all(server: ServerThread, core: Any, namespace: str) -> None:
    start = core.list_config_map_for_all_namespaces().metadata.resource_version
    config_map(core, namespace, "mine", of=namespace)
    events = watch.Watch().stream(
        core.list_config_map_for_all_namespaces,
        resource_version=start,
        timeout_seconds=1,
        label_selector=f"of={namespace}",
    )
    assert [event["object"].metadata.namespace for event in events] == [namespace]


async def _reflect(url: str, namespace: str) -> list[str]:
    """List, then watch as KubeSpawner does, with the asynchronous client."""
    import kubernetes_asyncio.client as aio
    from kubernetes_asyncio.watch import Watch

    configuration = aio.Configuration(host=url)
    configuration.api_key = {"BearerToken": f"Bearer {TOKEN}"}
    async with aio.ApiClient(configuration) as api:
        core: Any = aio.CoreV1Api(api)
        options = {"label_selector": "app=x", "field_selector": ""}
        listed = await core.list_namespaced_config_map(namespace, **options)
        options |= {"resource_version": listed.metadata.resource_version, "resource_version_match": "NotOlderThan"}
        await core.list_namespaced_config_map(namespace, **options)
        options.pop("resource_version_match")
        await core.create_namespaced_config_map(namespace, {"metadata": {"name": "a", "labels": {"app": "x"}}})
        async with Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=1, **options) as events:
            return [event["object"].metadata.name async for event in events]


def test_the_asynchronous_client_lists_and_watches(server: ServerThread, namespace: str) -> None:
    import asyncio

    assert asyncio.run(_reflect(server.url, namespace)) == ["a"]


def test_the_default_account_of_a_namespace_comes_back(core: Any, namespace: str) -> None:
    core.delete_namespaced_service_account("default", namespace)
    eventually(lambda: core.list_namespaced_service_account(namespace).items)
    assert isinstance(core, client.CoreV1Api)


def test_what_happens_while_a_bookmark_is_written_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def told() -> list[str]:
        store, bell = Store(clock_us=lambda: 1), watching.Bell()
        store.listen(bell.ring)
        options = ListOptions(version=store.version, bookmarks=True, timeout_s=60, watch=True)
        types: list[str] = []
        async with asyncio.timeout(10):
            async for event in watching.Watch(store, bell, CONFIG_MAPS, "", options).events():
                types.append(event.type)
                if event.type == "ADDED":
                    return types
                monkeypatch.setattr(watching, "BOOKMARK_EVERY_S", 60.0)
                store.put(Key(CONFIG_MAPS.id, "d", "x"), {"metadata": {"name": "x", "namespace": "d", "uid": "u"}})
        return types

    monkeypatch.setattr(watching, "BOOKMARK_EVERY_S", 0.01)
    assert asyncio.run(told()) == ["BOOKMARK", "ADDED"]
