"""What every Hub promises."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from functions.adapters.jupyterhub import JupyterHub
from functions.core.errors import LaunchFailed, RateLimited, UpstreamError
from functions.core.ports import Hub, HubProgress, HubUser
from tests.fakes.hub import FakeHub


@pytest.fixture(params=["fake", "jupyterhub"])
def hub(request: pytest.FixtureRequest) -> Hub:
    hub: Hub = FakeHub() if request.param == "fake" else request.getfixturevalue("jupyterhub")
    return hub


@pytest.fixture
def name() -> str:
    return f"binder-{secrets.token_hex(4)}"


def events_of(hub: Hub, name: str) -> list[HubProgress]:
    return [event for event in hub.progress(name) if event is not None]


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def all_users(hub: Hub) -> list[HubUser]:
    page = hub.users()
    users = [*page.users]
    while page.next_offset is not None:
        page = hub.users(page.next_offset)
        users.extend(page.users)
    return users


def has_server(hub: Hub, name: str) -> bool:
    user = hub.user(name)
    return user is not None and user.server is not None


def started(hub: Hub, name: str, **options: str) -> HubUser:
    hub.create_user(name)
    hub.start_server(name, options)
    assert events_of(hub, name)[-1].ready
    user = hub.user(name)
    assert user is not None
    return user


def test_a_hub_that_answers_is_healthy(hub: Hub) -> None:
    assert hub.healthy()


def test_an_unknown_user_is_none(hub: Hub, name: str) -> None:
    assert hub.user(name) is None


def test_a_created_user_has_no_server(hub: Hub, name: str) -> None:
    hub.create_user(name)
    user = hub.user(name)
    assert user is not None
    assert (user.name, user.admin, user.server) == (name, False, None)


def test_creating_a_user_again_changes_nothing(hub: Hub, name: str) -> None:
    before = started(hub, name)
    hub.create_user(name)
    after = hub.user(name)
    assert after is not None and after.server is not None and before.server is not None
    assert after.server.started_at == before.server.started_at


def test_a_start_is_pending_until_it_is_ready(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {"image": "x:1", "slow": "yes"})
    user = hub.user(name)
    assert user is not None and user.server is not None
    assert (user.server.ready, user.server.pending) == (False, "spawn")
    hub.stop_server(name)


def test_progress_ends_with_ready(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {})
    *before, last = events_of(hub, name)
    assert last.ready and not last.failed
    assert not any(event.ready or event.failed for event in before)
    user = hub.user(name)
    assert user is not None and user.server is not None
    assert (user.server.ready, user.server.pending) == (True, None)
    assert user.server.url.endswith(f"/user/{name}/")


def test_times_are_known_and_carry_their_zone(hub: Hub, name: str) -> None:
    user = started(hub, name)
    assert user.server is not None
    for time_of in (user.created_at, user.server.started_at):
        assert time_of is not None
        assert time_of - datetime(2026, 1, 1, tzinfo=UTC) > timedelta()


def test_progress_of_a_ready_server_says_so_at_once(hub: Hub, name: str) -> None:
    started(hub, name)
    assert [event.ready for event in events_of(hub, name)] == [True]


def test_progress_of_a_failed_start_tells_why(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {"fail": "no room for one more"})
    last = events_of(hub, name)[-1]
    assert last.failed and not last.ready
    assert "no room for one more" in last.message


def test_a_failed_start_is_still_told_later(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {"fail": "no room for one more"})
    events_of(hub, name)
    until(lambda: not has_server(hub, name))
    assert [event.failed for event in events_of(hub, name)] == [True]


def test_a_failed_start_can_be_followed_by_another(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {"fail": "no room for one more"})
    events_of(hub, name)
    until(lambda: not has_server(hub, name))
    hub.start_server(name, {"image": "x:1"})
    assert events_of(hub, name)[-1].ready


def test_progress_of_no_server_is_empty(hub: Hub, name: str) -> None:
    assert events_of(hub, name) == []
    hub.create_user(name)
    assert events_of(hub, name) == []


def test_progress_of_a_slow_start_is_kept_alive(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {"slow": "yes"})
    progress = hub.progress(name)
    assert any(next(progress) is None for _ in range(20))
    hub.stop_server(name)


def test_starting_a_starting_server_changes_nothing(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {"slow": "yes"})
    hub.start_server(name, {"slow": "yes"})
    hub.stop_server(name)


def test_starting_a_running_server_changes_nothing(hub: Hub, name: str) -> None:
    before = started(hub, name)
    hub.start_server(name, {})
    after = hub.user(name)
    assert after is not None and after.server is not None and before.server is not None
    assert after.server.started_at == before.server.started_at


def test_a_server_of_nobody_is_not_started(hub: Hub, name: str) -> None:
    with pytest.raises(UpstreamError):
        hub.start_server(name, {})


def test_a_stopped_server_is_gone_and_its_user_stays(hub: Hub, name: str) -> None:
    started(hub, name)
    hub.stop_server(name)
    until(lambda: not has_server(hub, name))
    assert hub.user(name) is not None


def test_a_starting_server_can_be_stopped(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.start_server(name, {"slow": "yes"})
    hub.stop_server(name)
    until(lambda: not has_server(hub, name))


def test_stopping_nothing_is_fine(hub: Hub, name: str) -> None:
    hub.stop_server(name)
    hub.create_user(name)
    hub.stop_server(name)


@pytest.mark.parametrize("options", [{}, {"slow": "yes"}], ids=["running", "starting"])
def test_a_deleted_user_is_gone_with_the_server(hub: Hub, name: str, options: dict[str, str]) -> None:
    hub.create_user(name)
    hub.start_server(name, options)

    def deleted() -> bool:
        try:
            hub.delete_user(name)
        except UpstreamError:
            return False
        return True

    until(deleted)
    assert hub.user(name) is None


def test_deleting_nobody_is_fine(hub: Hub, name: str) -> None:
    hub.delete_user(name)


def test_a_deleted_user_can_come_back(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.delete_user(name)
    hub.create_user(name)
    assert hub.user(name) is not None


def test_users_are_listed_with_their_servers(hub: Hub, name: str) -> None:
    idle = f"{name}-idle"
    started(hub, name)
    hub.create_user(idle)
    listed = {user.name: user for user in all_users(hub)}
    assert listed[name].server is not None
    assert listed[idle].server is None


def test_beyond_the_last_user_is_an_empty_page(hub: Hub, name: str) -> None:
    hub.create_user(name)
    page = hub.users(100_000)
    assert (list(page.users), page.next_offset) == ([], None)


def test_a_page_begins_where_it_is_told_to(hub: Hub, name: str) -> None:
    hub.create_user(name)
    hub.create_user(f"{name}-next")
    everybody = all_users(hub)
    assert [user.name for user in hub.users(1).users][:1] == [everybody[1].name]
    assert [user.name for user in everybody][-2:] == [name, f"{name}-next"]


def test_a_server_tells_what_it_was_launched_from(hub: Hub, name: str) -> None:
    server = started(hub, name, binder_request="v2/gh/owner/plots/main").server
    assert server is not None
    assert server.repo == "gh/owner/plots/main"


@pytest.mark.parametrize("odd", ["a.b-1", "a b", "ünï", "a?b=c", "a%2fb"])
def test_a_name_is_no_path(hub: Hub, name: str, odd: str) -> None:
    odd = f"{name}{odd}"
    hub.create_user(odd)
    user = hub.user(odd)
    assert user is not None
    assert user.name == odd
    hub.delete_user(odd)


def test_a_user_called_like_a_folder_is_nobody_else(hub: Hub) -> None:
    assert hub.user("..") is None
    assert hub.user(".") is None
    hub.delete_user("..")


def test_a_name_that_the_hub_refuses_cannot_be_launched(hub: Hub, name: str) -> None:
    with pytest.raises(LaunchFailed):
        hub.create_user(f"{name}/../admin")
    assert hub.user("admin") is None


def test_a_server_has_a_public_address(hub: Hub, name: str) -> None:
    assert hub.server_url(name).startswith("https://hub.example.org/")
    assert hub.server_url(name).endswith(f"/user/{name}/")


# Only the real Hub can show these.


def test_too_many_starts_at_once_are_told_to_wait(jupyterhub: JupyterHub, name: str) -> None:
    names = [f"{name}-{n}" for n in range(5)]
    for each in names:
        jupyterhub.create_user(each)
    with pytest.raises(RateLimited) as caught:
        for each in names:
            jupyterhub.start_server(each, {"slow": "yes"})
    assert caught.value.retry_after_s == 30
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(jupyterhub.stop_server, names))
    until(lambda: not any(has_server(jupyterhub, each) for each in names))


def test_a_user_whose_server_is_stopping_is_to_be_deleted_later(jupyterhub: JupyterHub, name: str) -> None:
    started(jupyterhub, name, slow_stop="yes")
    with pytest.raises(UpstreamError, match="stopping"):
        jupyterhub.delete_user(name)
    with pytest.raises(UpstreamError, match="stopping"):
        jupyterhub.start_server(name, {})
    until(lambda: not has_server(jupyterhub, name))
    jupyterhub.delete_user(name)
    assert jupyterhub.user(name) is None
