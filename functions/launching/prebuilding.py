"""What a push leads to: its commit is learned at once, and its image is there before anyone clicks.

A push is a hint. Which commit its branch names is asked of the host, and a build begins at once, unless one of the same
branch has begun just before: then the newest commit is built when that time is over, by the scheduled round. Nothing
waits in a function.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from functions.core import prebuild as prebuilds
from functions.core.errors import BinderError, RefNotFound
from functions.core.names import image_name
from functions.core.ports import ResolvedRepo
from functions.core.prebuild import Prebuild, Spent, branch_key
from functions.core.webhooks import Push, refusal
from functions.launching.building import cancel_build, ensure_build, find_image
from functions.state import records, retention
from functions.state.records import Records
from functions.world import World

log = logging.getLogger(__name__)

KEEP_S = 7 * 86400.0
# A push that cannot be seen to for so long is left to whoever clicks.
GIVE_UP_S = 3600.0
SUPERSEDED = "A newer commit of the branch was pushed, and nobody waited for this one. Please try again."


@dataclass(frozen=True, slots=True)
class Told:
    """What the sender of a push is told. `status` is a build's, or `there`, `later` or `ignored`, for a `reason`."""

    status: str
    reason: str = ""
    image: str = ""


def prebuild(push: Push, world: World) -> Told:
    """Learn the commit of a verified *push*, and see to its image. What does not work now is tried again later."""
    settings = world.config.webhooks
    if (refused := refusal(push, settings)) is not None:
        return Told("ignored", refused.reason)
    if push.provider not in world.providers:
        return Told("ignored", "This hub launches no repositories of that host.")
    try:
        repo = _learn(push, world)
    except BinderError as error:
        return _later(push, error, world) if _may_pass(error) else Told("ignored", str(error))
    image = _image(repo, world)
    # The host may show a push to some later than to others; and an old delivery may have come again.
    unclear = bool(push.sha) and push.sha != repo.sha
    _remember(push, image, world)
    try:
        told = _see_to(push, repo, world)
    except BinderError as error:
        return _later(push, error, world) if _may_pass(error) else _dropped(push, image, error, world)
    if unclear:
        _remember(push, "", world)
        told = replace(told, reason=f"The host names another commit, {repo.sha[:12]}. It is asked again later.")
    return told


def keep_up(world: World, *, until: float) -> Mapping[str, int]:
    """See to the pushes that are due, stopping at the time *until*; how many came to which status. May be repeated at
    any moment."""
    counts: Counter[str] = Counter()
    for it in _prebuilds(world).where("due", "yes"):
        now = world.clock.now()
        if now > until:
            break
        if prebuilds.is_turn(it, now=now, debounce_s=world.config.webhooks.debounce_s):
            counts[_catch_up(it, world).status] += 1
    return counts


def _catch_up(it: Prebuild, world: World) -> Told:
    newest = it.newest
    try:
        repo = _learn(it.push, world)
        newest = _image(repo, world)
        _prebuilds(world).change(it.key, lambda stored: replace(stored, newest=newest) if stored == it else None)
        return _see_to(it.push, repo, world)
    except BinderError as error:
        if error.retry and world.clock.now() < it.pushed_at + GIVE_UP_S:
            return Told("later", str(error))
        return _dropped(it.push, newest, error, world)


def _learn(push: Push, world: World) -> ResolvedRepo:
    """What the branch or tag names now, remembered for launches. HEAD, if it is that branch, is asked for anew."""
    provider = world.providers[push.provider]
    repo = provider.resolve(push.spec)
    world.refs.learn(repo)
    if push.head_spec:
        # Not learned: whoever knows the secret may say of any branch that it is the one of HEAD.
        world.refs.doubt(push.provider, push.head_spec)
    return repo


def _see_to(push: Push, repo: ResolvedRepo, world: World) -> Told:
    """Have the image of *repo* built, and what it supersedes stopped."""
    image = _image(repo, world)
    told = _status(image, world) or _begin(push, repo, world)
    if told.status in ("later", "ignored"):
        return told
    key = branch_key(push)
    known = _prebuilds(world).get(key)
    older = "" if known is None else known.image
    # Before it is forgotten: if the backend does not answer, all of this is done again later.
    if older not in ("", image) and not any(it.key != key for it in _prebuilds(world).where("image", older, limit=2)):
        # Not when another branch has just come to that commit.
        cancel_build(older, SUPERSEDED, world)
    _prebuilds(world).change(key, lambda before: prebuilds.seen_to(before, image))
    return told


def _status(image: str, world: World) -> Told | None:
    """How the image is, if nothing has to be begun."""
    digest, _ = find_image(image, world)
    if digest:
        return Told("there", image=image)
    build = world.builds.get(image)
    if build is None or (build.open and not build.backend_id):
        return None
    # What the repository itself got wrong stays wrong until somebody clicks, or pushes something else.
    settled = build.open or not (build.succeeded or build.our_fault)
    return Told(build.status.value, build.reason, image) if settled else None


def _begin(push: Push, repo: ResolvedRepo, world: World) -> Told:
    settings, now, image = world.config.webhooks, world.clock.now(), _image(repo, world)
    turn = partial(prebuilds.take_turn, now=now, debounce_s=settings.debounce_s)
    if _prebuilds(world).change(branch_key(push), turn) is None:
        return Told("later", "A build of this branch has begun just before. The newest commit is built after a pause.")
    known = world.builds.get(image)
    # One that the backend could not take was counted when it was begun.
    if not (known is not None and known.open) and not _spend(push, world):
        _prebuilds(world).change(branch_key(push), lambda it: prebuilds.dropped(it, image))
        return Told(
            "ignored", f"{push.repository} has begun {settings.builds_per_day} builds today, which is the limit."
        )
    build = ensure_build(repo, image, world, host=world.config.web.badge_base_url)
    return Told(build.status.value, image=image)


def _spend(push: Push, world: World) -> bool:
    """Count one more build of the repository today; False when it may have no more."""
    most, now = world.config.webhooks.builds_per_day, world.clock.now()
    if not most:
        return True
    spent = records.spent(world.store, expires_on=retention.date(now))
    today = Spent(repository=f"{push.provider}/{push.repository}".lower(), day=retention.date(now))
    spent.create_if_absent(today)
    return spent.change(today.key, lambda it: prebuilds.spend(it, most=most)) is not None


def _remember(push: Push, image: str, world: World) -> None:
    now = world.clock.now()
    if not _prebuilds(world).create_if_absent(Prebuild(push=push, pushed_at=now, newest=image)):
        _prebuilds(world).change(branch_key(push), lambda it: prebuilds.pushed(it, push, image, now=now))


def _later(push: Push, error: BinderError, world: World) -> Told:
    _remember(push, "", world)
    return Told("later", str(error))


def _dropped(push: Push, image: str, error: BinderError, world: World) -> Told:
    _prebuilds(world).change(branch_key(push), lambda it: prebuilds.dropped(it, image))
    log.warning("not prebuilt", extra={"fields": {"spec": push.spec, "reason": str(error)}})
    return Told("ignored", str(error))


def _may_pass(error: BinderError) -> bool:
    # A host may tell of a new branch a moment before it shows it.
    return error.retry or isinstance(error, RefNotFound)


def _image(repo: ResolvedRepo, world: World) -> str:
    return image_name(world.config.registry.image_prefix, repo.slug, repo.sha)


def _prebuilds(world: World) -> Records[Prebuild]:
    return records.prebuilds(world.store, expires_on=partial(retention.expires_on, keep_s=KEEP_S))
