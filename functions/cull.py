"""The scheduled round: mend what events have missed, stop what nobody uses, forget what is over.

Safe to run twice at once, and at any moment: every part of it may be repeated. What could not be judged is kept, what
did not fit is left to the next round. docs/operating.md has a table of what goes when.
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Request, Response

from functions import edge
from functions.core.errors import BadRequest
from functions.culling import rounds
from functions.culling.forgetting import fold_outcomes, forget_expired, forget_launches
from functions.culling.images import forget_images
from functions.culling.mending import mend_builds, mend_launches, mend_pushes
from functions.culling.rounds import Part
from functions.culling.unused import cull_pods, cull_users, stop_uncollected
from functions.world import World

# In this order: records are judged by what the round has seen of the Hub.
PARTS: Sequence[Part] = (
    mend_builds,
    mend_launches,
    mend_pushes,
    stop_uncollected,
    cull_users,
    cull_pods,
    forget_launches,
    forget_expired,
    forget_images,
    fold_outcomes,
)


def cull(request: Request, world: World) -> Response:
    """One round; the answer tells what was mended, removed, kept and left, and why.

    With `?dry_run=true` it decides and tells the same, and changes nothing.
    """
    world.scheduler_verifier.verify(request.headers.get("Authorization", ""))
    round_ = rounds.begin(world, dry_run=_is_dry_run(request.args.get("dry_run", "false")))
    for part in PARTS:
        with round_.tolerating():
            part(round_)
    return edge.answer(round_.end())


def _is_dry_run(text: str) -> bool:
    if text not in ("true", "false"):
        raise BadRequest("dry_run is either true or false.")
    return text == "true"
