"""Stopping what nobody uses: servers, users without servers, and pods that no server of the Hub owns.

Users are read page by page and judged at once, so that no decision is old and no run holds more than a page of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from functions.core import launch as launches
from functions.core.errors import BinderError
from functions.core.idleness import (
    IDLE,
    LOST,
    UNCOLLECTED,
    Keep,
    Limits,
    Remove,
    in_use,
    judge_idle,
    judge_pod,
    judge_user,
    limits_for,
    not_collected,
)
from functions.core.launch import Launch
from functions.core.ports import HubServer, HubUser, UserPage
from functions.core.user_pods import Pods, UserPod
from functions.culling.rounds import Round
from functions.world import World

# The Hub waits for a server to be gone before it answers, so a few are stopped at once.
_AT_ONCE = 10
_CALLS_OF_A_REMOVAL = 2


@dataclass(frozen=True, slots=True)
class _Silent:
    """A server that the Hub calls idle, and what it takes to ask the server itself."""

    server: HubServer
    limits: Limits
    token: str


@dataclass(frozen=True, slots=True)
class _Removal:
    user: str
    why: Remove
    launch_id: str = ""
    ready_at: float = 0.0
    silent: _Silent | None = None


def stop_uncollected(round_: Round) -> None:
    """Servers whose `ready` no watcher ever got."""
    world = round_.world
    found = []
    for launch in round_.each("uncollected servers", world.launches, "uncollected", "yes"):
        if not_collected(launch, world.config.cull, now=world.clock.now()):
            found.append(_Removal(launch.user, UNCOLLECTED, launch.id, launch.ready_at))
        if len(found) == _AT_ONCE:
            _remove(found, round_)
            found = []
    _remove(found, round_)


def cull_users(round_: Round) -> None:
    """All users of the Hub, from where the last round stopped."""
    begun = offset = int(round_.cursors.pop("users", "0"))
    while round_.may_ask_hub():
        try:
            page = round_.world.hub.users(offset)
        except BinderError as error:
            round_.failed(error)
            # A page that the Hub cannot give twice in a row does not hide the ones before it for ever.
            round_.cursors["users"] = str(offset if offset != begun else 0)
            return
        removed = _cull_page(page, round_)
        if page.next_offset is None:
            return
        # Those who went have moved the others forward.
        offset = page.next_offset - removed
    round_.cursors["users"] = str(offset)
    round_.note("left", "users", "no time or calls of the Hub left")


def cull_pods(round_: Round) -> None:
    """Pods of servers that the Hub does not know (any more)."""
    pods = round_.world.pods
    if pods is None:
        return
    after = ""
    while not round_.over():
        found, after = pods.list(after)
        for pod in found:
            with round_.tolerating():
                _cull_pod(pod, pods, round_)
        if not after:
            return
    round_.note("left", "pods", "no time")


def _cull_pod(pod: UserPod, pods: Pods, round_: Round) -> None:
    now, orphan_s = round_.world.clock.now(), round_.world.config.cull.orphan_s
    verdict = judge_pod(pod, owner_has_server=False, orphan_s=orphan_s, now=now)
    # Only for a pod that would go is the Hub asked.
    if isinstance(verdict, Remove):
        verdict = judge_pod(pod, owner_has_server=round_.has_server(pod.user), orphan_s=orphan_s, now=now)
    match verdict:
        case Keep(reason):
            round_.note("kept", "pod", reason)
        case Remove(what, reason):
            if not round_.dry_run:
                pods.delete(pod)
            round_.did("removed", what, pod.name, reason)


def _cull_page(page: UserPage, round_: Round) -> int:
    """Judge the users of a page, remove those who have to go, and return how many went."""
    found = []
    for user in page.users:
        with round_.tolerating():
            removal = _judge(user, round_)
            if removal is not None:
                found.append(removal)
    if page.unreadable:
        round_.note("kept", "user", "cannot be read", page.unreadable)
    return _remove(found, round_)


def _judge(user: HubUser, round_: Round) -> _Removal | None:
    world, server = round_.world, user.server
    config, now = world.config, world.clock.now()
    limits = limits_for(server.repo if server else "", config.cull, start_s=config.launches.timeout_s)
    launch: Launch | None = None
    verdict = judge_user(user, launch, limits, now=now)
    # Most are kept whatever their launch says, so only the others' is looked up.
    if isinstance(verdict, Remove):
        launch = next(iter(world.launches.where("user", user.name, limit=1)), None)
        verdict = judge_user(user, launch, limits, now=now)
    if isinstance(verdict, Remove):
        silent = None
        if server and launch and verdict == IDLE and config.cull.keep_busy != "nothing":
            silent = _Silent(server, limits, launch.token)
        return _Removal(user.name, verdict, launch.id if launch else "", silent=silent)
    if server is not None:
        round_.servers.add(user.name)
    elif not user.admin and (lost := _lost(user, round_)):
        return lost
    round_.note("kept", "server" if server else "user", verdict.reason)
    return None


def _lost(user: HubUser, round_: Round) -> _Removal | None:
    """The removal of a user whose server was ready and is gone, however new both are: it has a place that somebody may
    wait for. The Hub is asked again, since the page is older than the record."""
    launch = next(iter(round_.world.launches.where("user", user.name, limit=1)), None)
    if launch is None or not launch.running or round_.has_server(user.name):
        return None
    return _Removal(user.name, LOST, launch.id)


def _remove(removals: Sequence[_Removal], round_: Round) -> int:
    """Remove users with their servers, a few at once, and return how many went."""
    removed = 0
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for begin in range(0, len(removals), _AT_ONCE):
            some = removals[begin : begin + _AT_ONCE]
            if not round_.may_ask_hub(sum(map(_calls, some))):
                round_.note("left", "users", "no time or calls of the Hub left", len(removals) - begin)
                break
            for removal, result in zip(some, threads.map(lambda it: _try_to_remove(it, round_), some), strict=True):
                removed += _tell(removal, result, round_)
    return 0 if round_.dry_run else removed


def _calls(removal: _Removal) -> int:
    return _CALLS_OF_A_REMOVAL + (removal.why == UNCOLLECTED or removal.silent is not None)


def _tell(removal: _Removal, result: BinderError | Keep | None, round_: Round) -> int:
    """Note how a removal ended; 1 if it did."""
    match result:
        case None:
            round_.did("removed", removal.why.what, removal.user, removal.why.reason)
            return 1
        case Keep(reason):
            round_.note("kept", "server", reason)
        case error:
            round_.failed(error)
    return 0


def _try_to_remove(removal: _Removal, round_: Round) -> BinderError | Keep | None:
    """None when it is done. In a thread of its own, so what it has to tell is told by whoever waits for it."""
    if removal.silent and isinstance(verdict := _ask(removal.user, removal.silent, round_.world), Keep):
        return verdict
    if round_.dry_run:
        return None
    try:
        if removal.why == UNCOLLECTED and _is_used(removal, round_.world):
            return Keep("is in use")
        # The record first: should we die now, the Hub still lists the user, and the next round takes it.
        if removal.launch_id and not _end(removal, round_.world):
            return Keep("was collected just now")
        round_.world.hub.delete_user(removal.user)
    except BinderError as error:
        return error
    return None


def _ask(user: str, silent: _Silent, world: World) -> Keep | Remove:
    """What the server says about its kernels decides."""
    use = world.kernels.use(world.hub.server_url(user), silent.token)
    return judge_idle(silent.server, use, silent.limits, world.config.cull.keep_busy, now=world.clock.now())


def _is_used(removal: _Removal, world: World) -> bool:
    """Whether the server has been collected, although nobody could write that down; then it is now."""
    user, now = world.hub.user(removal.user), world.clock.now()
    if user is None or not in_use(user.server, ready_at=removal.ready_at):
        return False
    world.launches.change(removal.launch_id, lambda it: launches.collected(it, now=now))
    return True


def _end(removal: _Removal, world: World) -> bool:
    """Record that the launch's server is gone; False when somebody has come for it since it was judged."""
    now, came = world.clock.now(), False

    def end(it: Launch) -> Launch | None:
        nonlocal came
        came = removal.why == UNCOLLECTED and it.running and not not_collected(it, world.config.cull, now=now)
        return launches.stopped(it, now=now) if it.running and not came else None

    world.launches.change(removal.launch_id, end)
    return not came
