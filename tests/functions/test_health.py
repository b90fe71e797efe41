"""What `/health` says of the services behind us, in BinderHub's format."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from functions.core.errors import UpstreamError
from functions.core.limit_commands import changed
from functions.launching.building import ensure_build
from functions.reporting.health import Health
from tests.fakes.hub import FakeHub
from tests.fakes.world import Fakes

SSE = {"Accept": "text/event-stream"}


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def client(fakes: Fakes) -> FlaskClient:
    return make_application(fakes.world()).test_client()


class HangingHub(FakeHub):
    """Says nothing of its health before `over`; `asked` is how often it was to."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()
        self.asked = 0

    def healthy(self) -> bool:
        self.asked += 1
        return self.over.wait(60)


@pytest.fixture
def hanging() -> Iterator[HangingHub]:
    hub = HangingHub()
    yield hub
    hub.over.set()


def services(report: dict[str, Any]) -> dict[str, bool]:
    return {check["service"]: check["ok"] for check in report["checks"]}


def refuse(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a bug")


def test_health_is_told_in_the_words_of_binderhub(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    pods = {"service": "Pod quota", "total_pods": 0, "build_pods": 0, "user_pods": 0, "quota": None}
    assert answer.get_json() == {
        "ok": True,
        "checks": [
            {"service": "Docker registry", "ok": True},
            {"service": "JupyterHub API", "ok": True},
            {**pods, "ok": True, "_ignore_failure": True},
        ],
    }


def test_servers_and_builds_are_counted_from_our_records(client: FlaskClient, fakes: Fakes) -> None:
    for spec in ("owner/a/main", "owner/b/main"):
        fakes.know(spec, built=True)
        assert '"ready"' in client.get(f"/build/gh/{spec}", headers=SSE).get_data(as_text=True)
    repo = fakes.know("owner/c/main")
    ensure_build(repo, fakes.image(repo), fakes.world(), host="")
    pods = client.get("/health").get_json()["checks"][2]
    assert [pods[name] for name in ("total_pods", "build_pods", "user_pods")] == [3, 1, 2]


@pytest.mark.parametrize("error", [UpstreamError("The registry", "is out."), RuntimeError("a bug")])
def test_a_service_that_is_out_is_503_and_json(client: FlaskClient, fakes: Fakes, error: Exception) -> None:
    fakes.registry.error = error  # type: ignore[assignment]
    answer = client.get("/health")
    assert answer.status_code == 503
    assert services(answer.get_json()) == {"Docker registry": False, "JupyterHub API": True, "Pod quota": True}
    assert client.head("/health").status_code == 503


def test_a_hub_that_is_out_is_503(client: FlaskClient, fakes: Fakes) -> None:
    fakes.hub.healthy = lambda: False  # type: ignore[method-assign]
    answer = client.get("/health")
    assert (answer.status_code, answer.get_json()["ok"]) == (503, False)
    assert services(answer.get_json())["JupyterHub API"] is False


def test_a_store_that_is_out_is_no_full_hub(client: FlaskClient, fakes: Fakes) -> None:
    fakes.store.query = refuse  # type: ignore[method-assign]
    assert client.get("/health").status_code == 503


def test_services_are_asked_once_in_fifteen_seconds(client: FlaskClient, fakes: Fakes) -> None:
    for passed_s, asked in ((0, 1), (14, 1), (1, 2), (14, 2)):
        fakes.clock.sleep(passed_s)
        assert client.get("/health").status_code == 200
        assert len(fakes.registry.asked) == asked


def test_bad_news_is_asked_about_again_at_once(client: FlaskClient, fakes: Fakes) -> None:
    fakes.registry.error = UpstreamError("The registry", "is out.")
    assert client.get("/health").status_code == 503
    fakes.registry.error = None
    fakes.clock.sleep(1)
    assert client.get("/health").status_code == 200


def test_a_hub_that_hangs_does_not_make_health_hang(hanging: HangingHub) -> None:
    health = Health(Fakes(hub=hanging).world(), patience_s=0.05)
    for _ in range(3):
        assert services(health.report()) == {"Docker registry": True, "JupyterHub API": False, "Pod quota": True}
    assert hanging.asked == 1


def test_many_who_ask_at_once_share_one_answer(hanging: HangingHub) -> None:
    health = Health(Fakes(hub=hanging).world(), patience_s=60)
    told: list[bool] = []
    askers = [threading.Thread(target=lambda: told.append(health.report()["ok"])) for _ in range(20)]
    for asker in askers:
        asker.start()
    hanging.over.set()
    for asker in askers:
        asker.join()
    assert (told, hanging.asked) == ([True] * 20, 1)


def test_a_full_hub_is_counted_as_seldom_as_another(fakes: Fakes) -> None:
    world = fakes.world()
    world.limits.change(lambda it: changed(it, ["quota", "0"]))
    health = Health(world)
    for _ in range(20):
        health.report()
        fakes.clock.sleep(1)
    assert sum(query[0] == "build" for query in fakes.store.queries) == 1
