"""The decision table of a launch: situation in, next step out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core import launch as launches
from functions.core.build import Build
from functions.core.launch import Launch, Phase
from functions.core.next_step import (
    AskHub,
    Facts,
    Fail,
    Finish,
    JoinBuild,
    NameUser,
    NotAsked,
    Queue,
    StartAgain,
    StartServer,
    Step,
    StepBack,
    Wait,
    next_step,
)
from functions.core.ports import BuildStatus, HubServer, ResolvedRepo
from functions.core.server_options import server_options

NOW = 1_000_000.0
REPO = ResolvedRepo(
    provider="git",
    spec="https%3A%2F%2Fexample.org%2Fplots/main",
    repo_url="https://example.org/plots",
    sha="a" * 40,
    slug="https://example.org/plots",
    resolved_spec="https%3A%2F%2Fexample.org%2Fplots/" + "a" * 40,
    ref_url="https://example.org/plots",
)
WAITING = Launch(
    id="0123abcd",
    provider="git",
    spec=REPO.spec,
    repo=REPO,
    image="registry.example.org/plots:aaaa",
    created_at=NOW - 10,
    last_seen_at=NOW - 5,
    token="secret",
    host="https://hub.example.org/",
)
JOINED = replace(WAITING, attempt=1)
FOUND = replace(WAITING, digest="sha256:d")
NAMED = replace(FOUND, phase=Phase.LAUNCHING, user="plots-xyz", named_at=NOW - 4)
ASKED = replace(NAMED, asked_at=NOW - 3)
BUILD = Build(
    image=WAITING.image,
    repo_url=REPO.repo_url,
    ref=REPO.sha,
    backend="kubernetes",
    created_at=NOW - 9,
    backend_id="b-1",
)
QUEUED = replace(BUILD, status=BuildStatus.QUEUED)
DONE = replace(BUILD, status=BuildStatus.SUCCESS, digest="sha256:d")
BROKEN = replace(BUILD, status=BuildStatus.FAILURE, reason="pip said no")
LOST = replace(BUILD, status=BuildStatus.INTERNAL_ERROR, our_fault=True, reason="evicted")
UNSUBMITTED = replace(BUILD, backend_id="")


def facts(server: HubServer | NotAsked | None = NotAsked()) -> Facts:  # noqa: B008
    return Facts(now=NOW, server=server, watcher_gone_s=60, timeout_s=600)


def server(*, ready: bool = False, pending: str | None = None) -> HubServer:
    return HubServer(ready=ready, pending=pending, url="/user/plots-xyz/")


SITUATIONS: dict[str, tuple[Launch, Build | None, Facts, Step]] = {
    "nobody builds the missing image": (WAITING, None, facts(), JoinBuild()),
    "another launch builds it": (WAITING, QUEUED, facts(), JoinBuild()),
    "an old record says built, the registry says missing": (WAITING, DONE, facts(), JoinBuild()),
    "its build runs": (JOINED, QUEUED, facts(), Wait()),
    "its build is being submitted": (JOINED, replace(UNSUBMITTED, lease_until=NOW + 5), facts(), Wait()),
    "whoever was to submit its build died": (JOINED, replace(UNSUBMITTED, lease_until=NOW - 1), facts(), JoinBuild()),
    "its build succeeded": (JOINED, DONE, facts(), NameUser()),
    "its build failed": (JOINED, BROKEN, facts(), Fail("pip said no", 422)),
    "its build failed through us": (JOINED, LOST, facts(), JoinBuild()),
    "its build failed through us again and again": (
        replace(JOINED, attempt=3),
        replace(LOST, attempt=3, troubles=3),
        facts(),
        Fail("evicted", 502),
    ),
    "its build failed through us, after others went well": (
        replace(JOINED, attempt=9),
        replace(LOST, attempt=9, troubles=1),
        facts(),
        JoinBuild(),
    ),
    "its build is tried again": (JOINED, replace(QUEUED, attempt=2), facts(), JoinBuild()),
    "its build succeeded at the second attempt": (JOINED, replace(DONE, attempt=2), facts(), NameUser()),
    "its build succeeded, nobody watches": (replace(JOINED, last_seen_at=NOW - 61), DONE, facts(), Wait()),
    "its image is there": (FOUND, None, facts(), NameUser()),
    "its image is there, nobody watches": (replace(FOUND, last_seen_at=NOW - 61), None, facts(), Wait()),
    "its image is there, no place": (FOUND, None, replace(facts(), has_place=False), Queue()),
    "it waits for a place": (replace(FOUND, queued_at=NOW - 3), None, replace(facts(), has_place=False), Wait()),
    "its turn has come": (replace(FOUND, queued_at=NOW - 3), None, facts(), NameUser()),
    "the operator has closed the hub": (FOUND, None, replace(facts(), refusal="Until noon."), Fail("Until noon.", 429)),
    "only the image is wanted, of a closed hub": (
        replace(FOUND, build_only=True),
        None,
        replace(facts(), refusal="Until noon.", has_place=False),
        Finish(),
    ),
    "others took the last place before": (NAMED, None, replace(facts(), has_place=False), StepBack()),
    "the hub is busy": (NAMED, None, replace(facts(), may_start=False), Wait()),
    "the hub is busy for long": (replace(NAMED, named_at=NOW - 3601), None, replace(facts(), may_start=False), Wait()),
    "the hub is busy, nobody watches": (replace(NAMED, last_seen_at=NOW - 61), None, facts(), Wait()),
    "the hub was busy, nobody watches for long": (
        replace(NAMED, last_seen_at=NOW - 61, named_at=NOW - 601),
        None,
        facts(),
        Fail("The server of https://example.org/plots took too long to start.", 504),
    ),
    "the hub has not heard of it": (NAMED, None, facts(), StartServer()),
    "the hub asked for patience": (replace(NAMED, paused_until=NOW + 1), None, facts(), Wait()),
    "the hub's pause is over": (replace(NAMED, paused_until=NOW - 1), None, facts(), StartServer()),
    "the hub was asked, not looked at": (ASKED, None, facts(), AskHub()),
    "the server is starting": (ASKED, None, facts(server(pending="spawn")), Wait()),
    "the server runs": (ASKED, None, facts(server(ready=True)), Finish()),
    "the server failed": (ASKED, None, facts(server()), StartAgain()),
    "the hub lost the server": (ASKED, None, facts(None), StartAgain()),
    "the server failed again and again": (replace(ASKED, starts=3), None, facts(server()), Fail("", 500)),
    "the server failed, nobody watches": (replace(ASKED, last_seen_at=NOW - 61), None, facts(None), Fail("", 500)),
    "the server failed after a long queue": (replace(ASKED, named_at=NOW - 601), None, facts(None), StartAgain()),
    "the server takes too long": (
        replace(ASKED, asked_at=NOW - 601),
        None,
        facts(server(pending="spawn")),
        Fail("The server of https://example.org/plots took too long to start.", 504),
    ),
    "the hub does not take it for too long": (
        replace(NAMED, named_at=NOW - 601, pauses=9),
        None,
        facts(),
        Fail("The server of https://example.org/plots took too long to start.", 504),
    ),
    "it is ready": (replace(ASKED, phase=Phase.READY), None, facts(), Wait()),
    "it has failed": (replace(ASKED, phase=Phase.FAILED), None, facts(), Wait()),
    "it was stopped": (replace(ASKED, phase=Phase.STOPPED), None, facts(), Wait()),
}


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_the_next_step_when(situation: tuple[Launch, Build | None, Facts, Step]) -> None:
    launch, build, given, expected = situation
    assert next_step(launch, build, given) == expected


def test_the_user_of_a_launch_is_always_the_same() -> None:
    first, again = launches.named(FOUND, digest="sha256:d", now=NOW), launches.named(FOUND, digest="sha256:d", now=NOW)
    assert first.user == again.user
    assert first.user.startswith("plots-")


def test_two_launches_have_two_users() -> None:
    other = replace(FOUND, id="4567ef")
    assert launches.named(FOUND, digest="d", now=NOW).user != launches.named(other, digest="d", now=NOW).user


def test_the_user_does_not_give_the_launch_id_away() -> None:
    assert FOUND.id not in launches.named(FOUND, digest="d", now=NOW).user


def test_a_lease_keeps_everybody_else_out_until_it_expires() -> None:
    held = launches.lease(WAITING, "one", now=NOW)
    assert held is not None
    assert launches.lease(held, "two", now=NOW + 1) is None
    assert launches.lease(held, "two", now=NOW + launches.LEASE_S + 1) is not None


def test_pauses_grow_to_a_limit() -> None:
    launch, pauses = NAMED, []
    for _ in range(7):
        launch = launches.paused(launch, now=NOW)
        pauses.append(launch.paused_until - NOW)
    assert pauses == [2, 4, 8, 16, 30, 30, 30]


def test_a_pause_that_was_asked_for_is_kept() -> None:
    assert launches.paused(NAMED, now=NOW, pause_s=11).paused_until == NOW + 11


def test_a_server_is_started_from_the_digest_not_the_tag() -> None:
    options = server_options(launches.named(FOUND, digest="sha256:d", now=NOW))
    assert options["image"] == "registry.example.org/plots@sha256:d"


def test_a_sign_of_life_is_written_down_now_and_then() -> None:
    assert launches.seen(WAITING, now=WAITING.last_seen_at + 9, every_s=10) is None
    assert launches.seen(WAITING, now=NOW + 5, every_s=10) == replace(WAITING, last_seen_at=NOW + 5)
