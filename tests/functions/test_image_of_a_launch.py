"""Which image a launch gets: the one that was built of just its repository, whatever registry and records say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from functions.core.build import Build
from functions.core.errors import UpstreamError
from functions.core.ports import BuildStatus, ResolvedRepo
from functions.launching.building import ensure_build, record_report
from functions.world import World
from tests.fakes.world import Fakes
from tests.functions.following import SPEC, asked, follow, launch, phases, until


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


def test_the_server_runs_the_digest_that_was_built(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    story = follow(fakes.world())
    until(story, "waiting")
    fakes.finish_build(repo)
    until(story, "ready")
    digest = fakes.registry.put(fakes.image(repo))
    assert fakes.hub.started[0][1]["image"].endswith(f"@{digest}")


def test_the_server_runs_what_was_built_now_not_what_was_found_before(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    story = follow(fakes.world())
    until(story, "waiting")
    fakes.registry.remembered = {fakes.image(repo): "sha256:before"}
    fakes.finish_build(repo)
    until(story, "ready")
    assert not fakes.hub.started[0][1]["image"].endswith("@sha256:before")


def test_a_registry_that_cannot_tell_is_no_reason_to_build(fakes: Fakes) -> None:
    fakes.know(SPEC)
    fakes.registry.error = UpstreamError("The registry", "answered 503.")
    [failed] = launch(fakes.world())
    assert (failed["phase"], failed["status_code"]) == ("failed", 502)
    assert failed["message"].startswith("The registry answered 503. Whether the image is there is not known")
    assert fakes.backend.submitted == []


def test_what_was_built_here_is_launched_while_the_registry_is_away(fakes: Fakes) -> None:
    test_the_server_runs_the_digest_that_was_built(fakes)
    day = datetime.fromtimestamp(fakes.clock.time, UTC)
    fakes.registry.error = UpstreamError("The registry", "answered 503.")
    told = launch(fakes.world())
    assert told[0]["message"] == f"The registry answered 503. Using the image built on {day:%Y-%m-%d}.\n"
    assert phases(told) == ["waiting", "built", "launching", "ready"]
    assert fakes.hub.started[1][1]["image"] == fakes.hub.started[0][1]["image"]
    assert len(fakes.backend.submitted) == 1


def test_a_build_that_runs_is_joined_while_the_registry_is_away(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    until(follow(fakes.world()), "waiting")
    fakes.registry.error = UpstreamError("The registry", "answered 503.")
    story = follow(fakes.world())
    assert until(story, "waiting")["message"] == "The registry answered 503. The image is being built.\n"
    until(story, "waiting")
    fakes.registry.error = None
    fakes.finish_build(repo)
    assert until(story, "ready")
    assert len(fakes.backend.submitted) == 1


def test_a_build_that_failed_is_not_tried_again_while_the_registry_is_away(fakes: Fakes) -> None:
    fakes.know(SPEC)
    story = follow(fakes.world())
    until(story, "waiting")
    fakes.backend.finish(fakes.backend.submitted[0].name, BuildStatus.FAILURE, "no such package")
    until(story, "failed")
    fakes.clock.time += 3600
    fakes.registry.error = UpstreamError("The registry", "answered 503.")
    assert phases(launch(fakes.world())) == ["failed"]
    assert len(fakes.backend.submitted) == 1


def test_an_image_that_was_deleted_is_built_again(fakes: Fakes) -> None:
    test_the_server_runs_the_digest_that_was_built(fakes)
    fakes.registry = type(fakes.registry)()
    story = follow(fakes.world())
    until(story, "waiting")
    assert len(fakes.backend.submitted) == 2


def test_an_image_that_was_deleted_is_built_again_whatever_is_remembered_of_it(fakes: Fakes) -> None:
    repo = fakes.know(SPEC)
    test_the_server_runs_the_digest_that_was_built(fakes)
    fakes.registry = type(fakes.registry)()
    fakes.registry.remembered = {fakes.image(repo): "sha256:before"}
    assert ensure_build(repo, fakes.image(repo), fakes.world(), host="").attempt == 2


def two_of_a_name(fakes: Fakes) -> tuple[ResolvedRepo, ResolvedRepo]:
    """The same dataset at two sites, as names tell; each is a spec of its own."""
    one = fakes.provider.know("one.example.org/plots/data", sha="plots.v1700000000")
    other = replace(one, spec="evil.example.org/plots/data", repo_url="https://evil.example.org/plots")
    fakes.provider.answer(other)
    return one, other


def test_an_image_built_of_anothers_dataset_is_not_launched(fakes: Fakes) -> None:
    one, other = two_of_a_name(fakes)
    story = follow(fakes.world(), asked(other.spec))
    next(story)
    during = launch(fakes.world(), asked(one.spec))
    fakes.finish_build(other)
    until(story, "ready")
    after = launch(fakes.world(), asked(one.spec))
    for told in (during, after):
        assert (told[-1]["phase"], told[-1]["status_code"]) == ("failed", 403)
        assert "https://evil.example.org/plots" in told[-1]["message"]
    assert len(fakes.backend.submitted) == len(fakes.hub.started) == 1


def test_a_failed_build_of_anothers_dataset_keeps_no_name(fakes: Fakes) -> None:
    one, other = two_of_a_name(fakes)
    story = follow(fakes.world(), asked(other.spec))
    next(story)
    fakes.backend.finish(fakes.backend.submitted[0].name, BuildStatus.FAILURE, "no")
    assert list(story)[-1]["phase"] == "failed"
    fakes.clock.time += 3600
    until(follow(fakes.world(), asked(one.spec)), "waiting")
    assert [build.repo_url for build in fakes.backend.submitted] == [other.repo_url, one.repo_url]


def test_what_a_backend_remembers_of_an_image_that_was_deleted_is_built_anew(fakes: Fakes) -> None:
    repo, world = fakes.know(SPEC), fakes.world()
    image = fakes.image(repo)
    build = ensure_build(repo, image, world, host="https://b/")
    fakes.backend.finish(build.request.name)
    old = fakes.backend.status(build.request.name)
    assert old is not None
    after = record_report(build_of(world, image), replace(old, digest="sha256:" + "0" * 64), world)
    assert (after.succeeded, after.our_fault) == (False, True)
    assert ensure_build(repo, image, world, host="https://b/").attempt == 2


def build_of(world: World, image: str) -> Build:
    build = world.builds.get(image)
    assert build is not None
    return build


def test_the_digest_that_the_backend_tells_serves_while_the_registry_is_away(fakes: Fakes) -> None:
    repo, world = fakes.know(SPEC), fakes.world()
    image, digest = fakes.image(repo), "sha256:" + "0" * 64
    build = ensure_build(repo, image, world, host="https://b/")
    fakes.finish_build(repo)
    told = fakes.backend.status(build.request.name)
    assert told is not None
    fakes.registry.error = UpstreamError("The registry", "answered 503.")
    assert record_report(build_of(world, image), replace(told, digest=digest), world).digest == digest
