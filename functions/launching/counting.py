"""Which requests count against the rate at which one sender may ask: those that would begin something new."""

from __future__ import annotations

import logging

from functions.core.errors import BinderError, RateExceeded
from functions.core.rates import Standing
from functions.core.senders import sender
from functions.launching.arrival import Asked, comes_back
from functions.world import World

log = logging.getLogger(__name__)


def count(asked: Asked, world: World) -> Standing | None:
    """Count a request, and say where that leaves its sender. Raises RateExceeded.

    None for one that does not count: there is no limit, a page of ours asks, or somebody comes back to a launch. As in
    BinderHub, what is refused later has been counted.
    """
    rate = world.limits.now().sender_rate
    if not rate.limit or asked.from_page or _comes_back(asked, world):
        return None
    try:
        return world.rates.count(sender(asked.client_ip, asked.principal), rate)
    except RateExceeded:
        who = asked.principal or asked.client_ip
        log.info("rate exceeded", extra={"fields": {"sender": who, "provider": asked.provider, "spec": asked.spec}})
        raise


def _comes_back(asked: Asked, world: World) -> bool:
    try:
        return comes_back(asked, world)
    except BinderError:
        # Whoever has something to come back to is told what is wrong when it is looked up again.
        return True
