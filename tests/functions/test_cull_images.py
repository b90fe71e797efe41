"""Which images the cull deletes, and which it leaves."""

from __future__ import annotations

import pytest

from functions.core.errors import UpstreamError
from functions.core.limit_commands import changed
from functions.culling.images import MOST_REFUSALS
from functions.launching.building import ensure_build, refresh_build
from tests.fakes.world import Fakes
from tests.functions.following import asked, follow, launch, until
from tests.functions.test_cull import run

SPEC = "owner/plots/main"
DAY_S = 86400
KEEP_S = 30 * DAY_S


@pytest.fixture
def fakes() -> Fakes:
    fakes = Fakes(settings={"cull": {"image_keep_s": KEEP_S}})
    build_of(fakes, SPEC)
    return fakes


def build_of(fakes: Fakes, spec: str) -> None:
    """Let the image of *spec* be built."""
    repo, world = fakes.know(spec), fakes.world()
    ensure_build(repo, fakes.image(repo), world, host="https://b/")
    fakes.finish_build(repo)
    build = world.builds.get(fakes.image(repo))
    assert build is not None
    refresh_build(build, world)


def test_an_image_that_nobody_has_launched_for_long_goes_with_its_record(fakes: Fakes) -> None:
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    assert run(fakes)["removed"]["image"] == {"was not launched for long": 1}
    assert fakes.registry.deleted == [fakes.backend.submitted[0].image]
    assert fakes.world().builds.where("open", "no") == []


def test_an_image_that_was_launched_lately_stays(fakes: Fakes) -> None:
    fakes.clock.sleep(KEEP_S - DAY_S)
    launch(fakes.world())
    fakes.clock.sleep(3 * DAY_S)
    assert "image" not in run(fakes)["removed"]
    fakes.clock.sleep(KEEP_S)
    assert run(fakes)["removed"]["image"]


def test_many_launches_of_a_day_are_one_write_of_the_build(fakes: Fakes) -> None:
    fakes.clock.sleep(2 * DAY_S)
    launch(fakes.world())
    [before] = fakes.world().builds.where("open", "no")
    for _ in range(3):
        fakes.clock.sleep(3600)
        launch(fakes.world())
    assert fakes.world().builds.where("open", "no") == [before]


def test_whoever_launches_it_afterwards_has_it_built_again(fakes: Fakes) -> None:
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    run(fakes)
    assert next(follow(fakes.world()))["phase"] == "waiting"
    [build] = fakes.world().builds.where("open", "yes")
    assert build.request == fakes.backend.submitted[0]


def test_a_registry_that_permits_no_deletion_is_asked_a_few_times_a_round(fakes: Fakes) -> None:
    for number in range(MOST_REFUSALS + 1):
        build_of(fakes, f"owner/plots{number}/main")
    fakes.registry.permits_deletion = False
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    assert run(fakes)["kept"]["image"] == {"the registry does not permit its deletion": MOST_REFUSALS}
    assert len(fakes.world().builds.where("open", "no")) == MOST_REFUSALS + 2


def test_what_no_round_deleted_for_weeks_is_deleted_by_a_later_one(fakes: Fakes) -> None:
    fakes.clock.sleep(KEEP_S + 20 * DAY_S)
    rounds = [run(fakes)["removed"].get("image") for _ in range(20)]
    assert [done for done in rounds if done] == [{"was not launched for long": 1}]


def test_a_registry_that_permits_it_after_weeks_deletes_the_image(fakes: Fakes) -> None:
    fakes.registry.permits_deletion = False
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    run(fakes)
    fakes.registry.permits_deletion = True
    fakes.clock.sleep(30 * DAY_S)
    for _ in range(40):
        run(fakes)
    assert fakes.registry.deleted == [fakes.backend.submitted[0].image]


def test_a_registry_that_is_out_loses_nothing(fakes: Fakes) -> None:
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    fakes.registry.error = UpstreamError("The registry", "answered 503.")
    assert run(fakes)["trouble"] == ["The registry answered 503."]
    fakes.registry.error = None
    assert run(fakes)["removed"]["image"]


def test_a_dry_run_tells_what_would_go(fakes: Fakes) -> None:
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    assert run(fakes, "?dry_run=true")["removed"]["image"] == {"was not launched for long": 1}
    assert fakes.registry.deleted == []


def test_a_longer_time_that_is_set_later_counts(fakes: Fakes) -> None:
    fakes.settings["cull"] = {"image_keep_s": 2 * KEEP_S}
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    assert run(fakes)["kept"]["image"] == {"was launched lately": 1}
    assert run(fakes)["kept"].get("image") is None


def test_without_the_setting_every_image_stays(fakes: Fakes) -> None:
    fakes.settings["cull"] = {}
    fakes.clock.sleep(10 * KEEP_S)
    run(fakes)
    assert fakes.registry.deleted == []


def test_an_image_that_somebody_waits_for_in_the_queue_stays(fakes: Fakes) -> None:
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    fakes.know("owner/other/main", built=True)
    world = fakes.world()
    world.limits.change(lambda it: changed(it, ["quota", "1"]))
    until(follow(world, asked("owner/other/main")), "ready")
    next(follow(fakes.world(), asked(SPEC, key="another browser")))
    assert run(fakes)["kept"]["image"] == {"is waited for": 1}
    assert fakes.registry.deleted == []


def test_a_dry_run_writes_nothing(fakes: Fakes) -> None:
    fakes.settings["cull"] = {"image_keep_s": 2 * KEEP_S}
    fakes.clock.sleep(KEEP_S + 2 * DAY_S)
    before = fakes.store.everything()
    assert run(fakes, "?dry_run=true")["kept"]["image"] == {"was launched lately": 1}
    assert fakes.store.everything() == before
