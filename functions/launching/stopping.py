"""Stopping a launch at the wish of whoever launched it."""

from __future__ import annotations

import logging

from functions.core import launch as launches
from functions.core.errors import BinderError, RateLimited
from functions.core.launch import Launch
from functions.world import World

log = logging.getLogger(__name__)

# A step takes one call of a service; whoever takes it is done by then.
_STEP_S = 5.0


def stop(launch: Launch, world: World) -> Launch:
    """End *launch*, with its server if it has one; one that has ended is left as it is.

    Raises RateLimited while another instance takes a step of it, UpstreamError when the Hub does not answer: the launch
    has ended then, and the scheduled round takes what it has left.
    """
    if not (launch.open or launch.running):
        return launch
    holder, now = world.new_id(), world.clock.now()
    ended = world.launches.change(launch.id, lambda it: _ended(it, holder, now=now))
    if ended is None:
        found = world.launches.get(launch.id)
        if found is not None and (found.open or found.running):
            raise RateLimited("The launch", retry_after_s=_STEP_S)
        return found or launch
    if ended.user:
        _take_server(ended, world)
    return ended


def _ended(launch: Launch, holder: str, *, now: float) -> Launch | None:
    """The launch, ended under a lease that nobody else holds: no step of another may start a server after it."""
    if not (launch.open or launch.running):
        return None
    leased = launches.lease(launch, holder, now=now)
    return None if leased is None else launches.released(launches.stopped(leased, now=now))


def _take_server(launch: Launch, world: World) -> None:
    try:
        world.hub.delete_user(launch.user)
    except BinderError as error:
        # The Hub has what it needs to know, or the scheduled round tells it.
        log.warning("user left behind", extra={"fields": {"user": launch.user, "reason": str(error)}})
