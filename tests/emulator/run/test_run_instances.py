"""Instances of the real runtime: how many there are, and what they may do."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.emulator.run.harness import Answer, Runtime, eventually


def together(runtime: Runtime, where: str, target: str, *, count: int) -> list[Answer]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: runtime.ask(where, target), range(count)))


def test_a_function_gets_a_second_instance_under_load_and_both_answer(runtime: Runtime) -> None:
    def answering() -> set[str]:
        return {answer.json()["me"] for answer in together(runtime, "spread", "/?s=0.1", count=6)}

    eventually(lambda: len(answering()) >= 2)
    assert len(runtime.instances("spread")) == 2


def test_an_instance_never_has_more_requests_than_its_concurrency(runtime: Runtime) -> None:
    answers = together(runtime, "narrow", "/?s=0.2", count=10)
    assert all(answer.json()["allowed"] for answer in answers)
    assert len({answer.json()["me"] for answer in answers}) == 2


def test_a_request_without_a_place_is_told_so_in_time(runtime: Runtime, tmp_path: Path) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(runtime.ask, "full", f"/?begun={begun}&until={until}")
        eventually(begun.exists)
        assert runtime.ask("full", "/").status == 429
        until.touch()
        assert served.result().status == 200


def test_a_client_that_leaves_while_it_waits_is_forgotten(runtime: Runtime, tmp_path: Path) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(runtime.ask, "full", f"/?begun={begun}&until={until}")
        eventually(begun.exists)
        impatient = runtime.connect("full")
        impatient.request("GET", "/impatient")
        impatient.close()
        left = eventually(lambda: [event for event in runtime.events("request") if event["path"] == "/impatient"])
        until.touch()
        assert served.result().status == 200
    assert (left[0]["status"], left[0]["pid"]) == (499, None)


def test_the_private_folder_may_be_written_and_the_source_not(runtime: Runtime) -> None:
    assert "Read-only file system" in runtime.ask("write", "/").body.decode()


def test_nothing_but_the_archive_and_the_packages_can_be_imported(runtime: Runtime) -> None:
    found = runtime.ask("imports", "/?m=functions&m=emulator&m=tests&m=flask&m=main").json()
    revisions = str(runtime.state / "run" / "revisions")
    assert found["functions"].startswith(revisions)
    assert found["main"].startswith(revisions)
    assert "No module named" in found["emulator"]
    assert "No module named" in found["tests"]
    assert "site-packages" in found["flask"]


def test_an_instance_knows_what_cloud_run_tells_it_and_no_more(runtime: Runtime) -> None:
    environment = runtime.ask("echo", "/").json()["environment"]
    assert environment["GREETING"] == "hello"
    assert (environment["K_SERVICE"], environment["FUNCTION_TARGET"]) == ("echo", "echo")
    assert (environment["PORT"], environment["WORKERS"], environment["THREADS"]) == ("8080", "1", "8")
    assert not {"USER", "PYTEST_VERSION", "PYTEST_CURRENT_TEST", "PYTHONDONTWRITEBYTECODE"} & environment.keys()


def test_an_idle_function_scales_to_zero_and_starts_again(runtime: Runtime) -> None:
    first = runtime.ask("brief", "/").json()
    eventually(lambda: not runtime.instances("brief"))
    assert not Path(first["environment"]["HOME"]).exists()
    assert runtime.ask("brief", "/").json()["me"] != first["me"]


def test_scaling_to_zero_can_be_asked_for(runtime: Runtime) -> None:
    first = runtime.ask("spread", "/?s=0").json()["me"]
    runtime.admin("/functions/spread:scale-to-zero", method="POST")
    assert runtime.instances("spread") == []
    assert runtime.ask("spread", "/?s=0").json()["me"] != first


def test_a_killed_instance_fails_its_request_and_the_next_is_served(runtime: Runtime, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(runtime.ask, "mortal", f"/?begun={begun}&until=/nonexistent")
        eventually(begun.exists)
        [instance] = runtime.instances("mortal")
        runtime.admin(f"/instances/{instance['pid']}:kill", method="POST")
        assert lost.result().status == 503
    assert runtime.ask("mortal", f"/?begun={begun}&until={begun}").status == 200


def test_a_function_that_does_not_start_is_answered_503_and_not_tried_in_a_hurry(runtime: Runtime) -> None:
    end = time.monotonic() + 1
    statuses = set()
    while time.monotonic() < end:
        statuses.add(runtime.ask("broken", "/").status)
    assert statuses == {503}
    failures = [event for event in runtime.events("start failed") if event["function"] == "broken"]
    assert 1 <= len(failures) <= 4
    assert "no_such_function" in failures[0]["reason"]


def test_the_admin_address_asks_for_its_token(runtime: Runtime) -> None:
    assert runtime.ask("admin", "/healthz").status == 200
    assert runtime.ask("admin", "/instances").status == 401
    assert runtime.ask("admin", "/instances", headers={"Authorization": "Bearer wrong"}).status == 401
    assert runtime.ask("admin", "/functions/echo:scale-to-zero", method="POST").status == 401


def test_only_instances_can_be_killed(runtime: Runtime) -> None:
    headers = {"Authorization": "Bearer of-the-tests"}
    assert runtime.ask("admin", f"/instances/{runtime.process.pid}:kill", method="POST", headers=headers).status == 404
    assert runtime.process.poll() is None
