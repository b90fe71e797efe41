"""All recorded cases, played at once against one API server and one kubelet."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from emulator.kube.authentication import parse_tokens
from emulator.kube.process import Running, Settings, running
from emulator.kubelet.process import find_runtime
from emulator.kubelet.services import Timing
from tests.emulator.kube.replay.comparing import Mismatch
from tests.emulator.kube.replay.player import Api, Player
from tests.emulator.kube.replay.recorded import Case, all_cases
from tests.emulator.kubelet.cluster import SHELL, TOKEN, Cluster, eventually, loop_thread

AT_ONCE = 16
Results = dict[str, list[Mismatch]]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Results]:
    """What differs, by case: only of those cases that were asked for."""
    names = {
        item.callspec.params["case"].name
        for item in request.session.items
        if "replay" in item.nodeid and hasattr(item, "callspec")
    }
    chosen = [case for case in all_cases() if case.name in names]
    # Those that wait longest begin first.
    chosen.sort(key=lambda case: -sum("stop" in step or "wait" in step for step in case.steps))
    alone = [case for case in chosen if any("hook" in step for step in case.steps)]
    together = [case for case in chosen if case not in alone]
    state = tmp_path_factory.mktemp("replay")
    settings = Settings(
        0, state / "kube", parse_tokens([f'{TOKEN},admin,1,"system:masters"']), None, timedelta(seconds=10)
    )
    with loop_thread() as loop, loop.entered(running(settings)) as server:
        url = f"http://127.0.0.1:{server.port}"
        cluster = Cluster(loop, url, state / "kubelet", find_runtime())
        with cluster.kubelet(timing=Timing()):
            warm = cluster.namespace()
            warm.run("true")
            warm.phase("Succeeded")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                played = [*pool.map(lambda case: _play(case, cluster, server), together)]
            played += [_play(case, cluster, server) for case in alone]
            yield {case.name: found for case, found in zip([*together, *alone], played, strict=True)}


def _play(case: Case, cluster: Cluster, server: Running) -> list[Mismatch]:
    api = Api(cluster.url, TOKEN)
    namespace = f"r-{uuid.uuid4().hex[:8]}"
    api.ask("POST", "/api/v1/namespaces", b'{"metadata":{"name":"%s"}}' % namespace.encode())
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    eventually(lambda: api.ask("GET", account).code == 200)
    values = {"ns": namespace, "image": SHELL, "node": cluster.node}
    player = Player(case, api, values, server.cluster.store.forget)
    try:
        return list(player.mismatches())
    finally:
        api.ask("DELETE", f"/api/v1/namespaces/{namespace}")
