"""Which users and servers the cull removes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.core.config import load
from functions.core.errors import ConfigError
from functions.core.idleness import (
    FIRST_ACTIVITY_S,
    Keep,
    Limits,
    Remove,
    in_use,
    judge_pod,
    judge_user,
    limits_for,
    not_collected,
)
from functions.core.launch import Launch, Phase
from functions.core.ports import HubServer, HubUser, ResolvedRepo
from functions.core.settings import CullSettings
from functions.core.user_pods import UserPod
from tests.fakes.world import DOCUMENT

NOW = 1_000_000.0
SETTINGS = CullSettings(idle_s=600, max_age_s=21_600, uncollected_s=300)
LIMITS = Limits(idle_s=600, max_age_s=21_600, start_s=600, orphan_s=600)
REPO = ResolvedRepo(provider="gh", spec="a/b/c", repo_url="u", sha="1", slug="a-b", resolved_spec="a/b/1", ref_url="r")
LAUNCH = Launch(
    id="1", provider="gh", spec="a/b/c", repo=REPO, image="i:1", created_at=NOW, last_seen_at=NOW, token="t", host="h"
)
READY = replace(LAUNCH, phase=Phase.READY, ready_at=NOW - 301)


def ago(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW - seconds, UTC)


def user(*, idle_s: float | None = 0, age_s: float = 1000, pending: str | None = None) -> HubUser:
    activity = None if idle_s is None else ago(idle_s)
    running = HubServer(ready=True, pending=pending, url="/", last_activity=activity, started_at=ago(age_s))
    return HubUser(name="u", created_at=ago(age_s), server=running)


USED = Keep("is in use")
BARE = HubUser(name="u", created_at=ago(700))

CASES: dict[str, tuple[HubUser, Launch | None, Keep | Remove]] = {
    "a server in use": (user(), None, Keep("is in use")),
    "a server at its limit": (user(idle_s=600), None, Keep("is in use")),
    "an idle server": (user(idle_s=601), None, Remove("server", "is idle")),
    "an idle server whose launch is known": (user(idle_s=601), READY, Remove("server", "is idle")),
    "a server never used": (user(idle_s=None, age_s=601), None, Remove("server", "is idle")),
    "a server of unknown times": (HubUser(name="u", server=HubServer(ready=True, pending=None, url="/")), None, USED),
    "a server in use, but old": (user(age_s=21_601), None, Remove("server", "is too old")),
    "a server being started": (user(age_s=720, pending="spawn"), None, Keep("is pending spawn")),
    "a server that never starts": (user(age_s=721, pending="spawn"), None, Remove("server", "is stuck starting")),
    "a server that never starts, with a watcher": (user(age_s=721, pending="spawn"), LAUNCH, Keep("is being launched")),
    "a server being stopped": (user(idle_s=9999, age_s=9999, pending="stop"), None, Keep("is pending stop")),
    "a user without a server": (BARE, None, Remove("user", "has no server")),
    "a user whose launch is over": (BARE, READY, Remove("user", "has no server")),
    "a user about to get its server": (BARE, LAUNCH, Keep("is being launched")),
    "a new user": (replace(BARE, created_at=ago(1)), None, Keep("is new")),
    "a user of unknown age": (replace(BARE, created_at=None), None, Keep("is new")),
    "an administrator": (replace(BARE, admin=True), None, Keep("is an administrator")),
    "an administrator's old server": (replace(user(age_s=99_999), admin=True), None, Keep("is an administrator")),
}


def test_an_operator_may_let_orphans_go_sooner() -> None:
    young = replace(BARE, created_at=ago(61))
    pod = UserPod(name="p", uid="1", user="u", created_at=ago(61))
    hasty = replace(LIMITS, orphan_s=60)
    assert judge_user(young, None, hasty, now=NOW) == Remove("user", "has no server")
    assert isinstance(judge_user(young, None, LIMITS, now=NOW), Keep)
    assert isinstance(judge_pod(pod, owner_has_server=False, orphan_s=60, now=NOW), Remove)
    assert isinstance(judge_pod(pod, owner_has_server=False, orphan_s=600, now=NOW), Keep)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_cull_and(case: tuple[HubUser, Launch | None, Keep | Remove]) -> None:
    given, launch, verdict = case
    assert judge_user(given, launch, LIMITS, now=NOW) == verdict


def test_a_server_may_run_as_long_as_it_is_used() -> None:
    assert judge_user(user(age_s=10**7), None, replace(LIMITS, max_age_s=0), now=NOW) == Keep("is in use")


COLLECTED: dict[str, tuple[Launch, bool]] = {
    "for whom nobody came": (READY, False),
    "for whom there is still time": (replace(READY, ready_at=NOW - 300), True),
    "for whom somebody came": (replace(READY, collected_at=NOW), True),
    "which is not ready": (LAUNCH, True),
    "which wanted no server": (replace(READY, build_only=True), True),
}


@pytest.mark.parametrize("case", COLLECTED.values(), ids=COLLECTED.keys())
def test_a_server(case: tuple[Launch, bool]) -> None:
    launch, stays = case
    assert not_collected(launch, SETTINGS, now=NOW) is not stays


POD = UserPod(name="jupyter-u", uid="1", user="u", created_at=ago(601))
PODS: dict[str, tuple[UserPod, bool, Keep | Remove]] = {
    "of a server": (POD, True, USED),
    "of no server": (POD, False, Remove("pod", "belongs to no server of the Hub")),
    "that the Hub may not tell of yet": (replace(POD, created_at=ago(599)), False, Keep("is new")),
    "of unknown age": (replace(POD, created_at=None), False, Keep("is new")),
    "that is being deleted": (replace(POD, ending=True), False, Keep("is ending")),
    "of a named server": (replace(POD, server_name="second"), False, Keep("is not of our making")),
    "of nobody": (replace(POD, user=""), False, Keep("is not of our making")),
}


@pytest.mark.parametrize("case", PODS.values(), ids=PODS.keys())
def test_a_pod(case: tuple[UserPod, bool, Keep | Remove]) -> None:
    pod, owned, verdict = case
    assert judge_pod(pod, owner_has_server=owned, orphan_s=600, now=NOW) == verdict


PATTERNS = {"gh/*": {"idle_s": 60}, "gh/my-org/*": {"max_age_s": 100}, "gh/my-org/long/*": {"idle_s": 9000}}


@pytest.mark.parametrize(
    ("repo", "idle_s", "max_age_s"),
    [
        ("gl/a/b/c", 600, 21_600),
        ("gh/a/b/c", 60, 21_600),
        ("gh/my-org/b/c", 60, 100),
        ("gh/My-Org/Long/main", 9000, 100),
        ("", 600, 21_600),
    ],
)
def test_the_last_pattern_that_matches_decides(repo: str, idle_s: int, max_age_s: int) -> None:
    settings = replace(SETTINGS, limits=PATTERNS)
    assert limits_for(repo, settings, start_s=5) == Limits(idle_s=idle_s, max_age_s=max_age_s, start_s=5, orphan_s=600)


@pytest.mark.parametrize(
    "limits", [{"gh/*": 60}, {"gh/*": {}}, {"gh/*": {"idle": 60}}, {"gh/*": {"idle_s": -1}}, {1: {"idle_s": 60}}]
)
def test_limits_that_nobody_understands_are_refused_at_the_start(limits: Any) -> None:
    with pytest.raises(ConfigError, match="cull.limits"):
        load(DOCUMENT | {"cull": {"limits": limits}}, {})


def test_a_server_is_in_use_once_there_was_more_than_its_own_start() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    seen = HubServer(ready=True, pending=None, url="/", last_activity=at)
    assert in_use(seen, ready_at=at.timestamp() - FIRST_ACTIVITY_S - 1)
    assert not in_use(seen, ready_at=at.timestamp() - FIRST_ACTIVITY_S)
    assert not in_use(replace(seen, last_activity=None), ready_at=0)
    assert not in_use(None, ready_at=0)


@pytest.mark.parametrize("repo", ["gl/my-group%2Fproject/HEAD", "gl/my-group/project/HEAD", "gl/my%2Dgroup/x/HEAD"])
def test_a_pattern_means_every_spelling_of_a_link(repo: str) -> None:
    settings = CullSettings(limits={"gl/my-group/*": {"idle_s": 3600}})
    assert limits_for(repo, settings, start_s=1).idle_s == 3600
