"""What the checks of a play find: each sentence that they can say, and silence where all is well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.core.launch import Launch, Phase
from functions.core.ports import ResolvedRepo
from tests.chaos import ends
from tests.chaos.faults import Visit
from tests.chaos.journal import Entry, Journal
from tests.chaos.people import Story
from tests.chaos.watching import Seen, SeenBuild, of_cloud_build, of_job
from tests.e2e.stack import Event

NOW = 1_000_000.0
IMAGE = "registry/binder-x:1"


def a_launch(number: int, phase: Phase, reason: str = "", **changes: Any) -> Launch:
    url = f"http://git/repository-{number}.git"
    repo = ResolvedRepo(
        provider="git", spec=f"{url}/HEAD", repo_url=url, sha="1", slug=url, resolved_spec=url, ref_url=url
    )
    launch = Launch(
        id="1",
        provider="git",
        spec=repo.spec,
        repo=repo,
        image=IMAGE,
        created_at=NOW,
        last_seen_at=NOW,
        token="t",
        host="h",
        phase=phase,
        reason=reason,
        ended_at=NOW + 100,
    )
    return replace(launch, **changes)


def a_job(begun: str, ended: str = "", *, good: bool = True) -> SeenBuild:
    conditions = [{"type": "Complete" if good else "Failed", "status": "True", "lastTransitionTime": ended}]
    return of_job(
        {
            "metadata": {"creationTimestamp": begun, "annotations": {"binderless.image": IMAGE}},
            "status": {"succeeded": int(good and bool(ended)), "conditions": conditions if ended else []},
        }
    )


def a_cloud_build(status: str, begun: str, ended: str = "") -> SeenBuild:
    times = {"createTime": begun} | ({"finishTime": ended} if ended else {})
    return of_cloud_build({"id": "b", "status": status, "images": [IMAGE], **times})


def kills(*victims: str, at: float = NOW + 50) -> Journal:
    return Journal([Entry(at, "kill", victim) for victim in victims])


TRUE = {
    "a server": (a_launch(0, Phase.READY), kills()),
    "a broken repository": (a_launch(3, Phase.FAILED, "there is no version of numpy==999.0"), kills()),
    "a start that was lost each time": (a_launch(0, Phase.FAILED, "Spawn failed: x"), kills("kubelet", "hub")),
    "a build that was lost each time": (
        a_launch(0, Phase.FAILED, "The build was interrupted: killed."),
        kills("kubelet", "kubelet"),
    ),
    "a registry that was killed": (a_launch(0, Phase.FAILED, "The registry r:1 does not answer."), kills("cloud")),
    "a git host that was killed, and no log": (
        a_launch(0, Phase.FAILED, "repo2docker ended with exit code 1."),
        kills("cloud"),
    ),
    "a git host that was killed": (a_launch(0, Phase.FAILED, "Failed to clone repository from g."), kills("cloud")),
}
UNTRUE = {
    "it goes on": (a_launch(0, Phase.LAUNCHING), kills()),
    "nobody knows why": (a_launch(0, Phase.FAILED, "Internal error. Please try again."), kills("kubelet", "hub")),
    "an exit code for nothing": (a_launch(0, Phase.FAILED, "repo2docker ended with exit code 1."), kills("hub")),
    "nobody was killed": (a_launch(0, Phase.FAILED, "Spawn failed: x"), kills()),
    "it was killed once only": (a_launch(0, Phase.FAILED, "Spawn failed: x"), kills("kubelet")),
    "it was killed before": (a_launch(0, Phase.FAILED, "Spawn failed: x"), kills("kubelet", "hub", at=NOW - 1)),
    "somebody else was killed": (a_launch(0, Phase.FAILED, "The registry r:1 does not answer."), kills("hub")),
    "a good repository is called broken": (a_launch(0, Phase.FAILED, "no version of numpy==999.0"), kills()),
    "nobody can build it": (a_launch(3, Phase.READY), kills()),
}


@pytest.mark.parametrize(("launch", "journal"), TRUE.values(), ids=TRUE.keys())
def test_what_is_true_is_no_trouble(launch: Launch, journal: Journal) -> None:
    assert list(ends.wrong_launches(Seen({"1": launch}), journal)) == []


@pytest.mark.parametrize(("launch", "journal"), UNTRUE.values(), ids=UNTRUE.keys())
def test_what_is_not_true_is_found(launch: Launch, journal: Journal) -> None:
    assert len(list(ends.wrong_launches(Seen({"1": launch}), journal))) == 1


ONE = a_job("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")
FAILED = a_job("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", good=False)
NEXT = a_job("2026-01-01T00:02:00Z", "2026-01-01T00:03:00Z")
OVERLAPPING = a_job("2026-01-01T00:00:30Z", "2026-01-01T00:03:00Z", good=False)
ENDLESS = a_job("2026-01-01T00:00:00Z")
WITHDRAWN = a_cloud_build("CANCELLED", "2026-01-01T00:02:01Z", "2026-01-01T00:02:20Z")
WITHDRAWN_LATE = a_cloud_build("CANCELLED", "2026-01-01T00:02:01Z", "2026-01-01T00:02:40Z")
CLOUD = a_cloud_build("SUCCESS", "2026-01-01T00:02:00.5Z", "2026-01-01T00:03:00Z")


HISTORIES = {
    "one": ([ONE], 0),
    "tried again": ([FAILED, NEXT], 0),
    "built twice": ([ONE, NEXT], 1),
    "at once": ([ONE, OVERLAPPING], 1),
    "never ended": ([ENDLESS, NEXT], 1),
    "in use, never built": ([FAILED], 1),
    "by Cloud Build": ([CLOUD], 0),
    "at once by Cloud Build": ([ENDLESS, CLOUD], 1),
    "begun twice, and one withdrawn": ([CLOUD, WITHDRAWN], 0),
    "begun twice, and withdrawn late": ([CLOUD, WITHDRAWN_LATE], 1),
}


@pytest.mark.parametrize(("builds", "found"), HISTORIES.values(), ids=HISTORIES.keys())
def test_an_image_is_built_once_and_not_twice_at_once(builds: list[SeenBuild], found: int) -> None:
    seen = Seen({"1": a_launch(0, Phase.READY)}, dict(zip("ab", builds, strict=False)))
    assert len(list(ends.wrong_builds(seen))) == found


def test_twins_are_told() -> None:
    seen = Seen()
    seen.twins["somebody"] += 1
    assert list(ends.wrong_builds(seen)) == ["there were two of somebody at once"]


def test_whoever_waits_for_ever_or_hears_nonsense_is_told() -> None:
    visit = Visit(0, 0, 0, "HEAD", drops=0, reloads=False, leaves=False, stops=False)
    waits, left = Story(visit, "r"), Story(visit, "r", gone=True)
    puzzled = Story(visit, "r", end=Event("1.1", {"phase": "failed", "message": "Internal error."}))
    assert list(ends.wrong_stories([left])) == []
    assert len(list(ends.wrong_stories([waits]))) == 1
    assert len(list(ends.wrong_stories([puzzled]))) == 1


def test_what_never_happened_is_known() -> None:
    assert "hub kill" in kills("kubelet").never()
    assert "kubelet kill" not in kills("kubelet").never()
