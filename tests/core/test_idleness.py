"""Which users and servers the cull removes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from functions.core.idleness import Keep, Remove, judge_user
from functions.core.launch import Launch, Phase
from functions.core.ports import HubServer, HubUser, ResolvedRepo
from functions.core.settings import CullSettings

NOW = 1_000_000.0
LIMITS = CullSettings(idle_s=600, max_age_s=21_600, uncollected_s=300)
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


BARE = HubUser(name="u", created_at=ago(700))

CASES: dict[str, tuple[HubUser, Launch | None, Keep | Remove]] = {
    "a server in use": (user(), None, Keep("is in use")),
    "a server at its limit": (user(idle_s=600), None, Keep("is in use")),
    "an idle server": (user(idle_s=601), None, Remove("server is idle")),
    "a server never used": (user(idle_s=None, age_s=601), None, Remove("server is idle")),
    "a server in use, but old": (user(age_s=21_601), None, Remove("server is too old")),
    "a server being started": (user(idle_s=9999, pending="spawn"), None, Keep("server is pending spawn")),
    "a server nobody came for": (user(), READY, Remove("nobody came for the server")),
    "a server somebody came for": (user(), replace(READY, collected_at=NOW), Keep("is in use")),
    "a user without a server": (BARE, None, Remove("has no server")),
    "a user about to get its server": (BARE, LAUNCH, Keep("is being launched")),
    "a new user": (replace(BARE, created_at=ago(1)), None, Keep("is new")),
    "a user of unknown age": (replace(BARE, created_at=None), None, Keep("is new")),
    "an administrator": (replace(BARE, admin=True), None, Keep("is an administrator")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_cull_and(case: tuple[HubUser, Launch | None, Keep | Remove]) -> None:
    given, launch, verdict = case
    assert judge_user(given, launch, LIMITS, now=NOW) == verdict
