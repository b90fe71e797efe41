"""Whether a launch would work: the services behind us, as BinderHub's `/health` and the federation of hubs tell it.

A service that hangs must not make `/health` hang. So every check runs in a thread of its own, whose answer is awaited
for a moment and then counts as no; and no check runs twice at a time, however many ask.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from functions.core.errors import BinderError
from functions.world import World

log = logging.getLogger(__name__)

PATIENCE_S = 4.0
# How long an answer counts, in seconds. Bad news is asked about again soon.
SERVICE_S, PODS_S, BAD_S = 15.0, 60.0, 1.0
MOST_COUNTED = 10_000

Check = Mapping[str, Any]


class _Asked:
    """One check, and its last answer for as long as that counts."""

    def __init__(self, ask: Callable[[], Check], *, otherwise: Check, keep_s: float, now: Callable[[], float]) -> None:
        self._ask, self._keep_s, self._now = ask, keep_s, now
        self.otherwise = otherwise
        self._lock = threading.Lock()
        self._answer: Future[Check] | None = None
        self._until = 0.0

    def answer(self) -> Future[Check]:
        """The answer that counts now, or will when it is there."""
        with self._lock:
            if self._answer is not None and not (self._answer.done() and self._now() >= self._until):
                return self._answer
            answer = self._answer = Future()
        # A daemon: an instance can end while a service hangs.
        threading.Thread(target=self._run, args=(answer,), daemon=True).start()
        return answer

    def _run(self, answer: Future[Check]) -> None:
        good = False
        try:
            check = self._ask()
            # A full hub is no trouble, and counting it is not for nothing.
            good = bool(check["ok"] or check.get("_ignore_failure"))
        except BinderError as error:
            log.warning("unhealthy", extra={"fields": {"service": self.otherwise["service"], "reason": str(error)}})
            check = self.otherwise
        except Exception:
            log.exception("unhealthy", extra={"fields": {"service": self.otherwise["service"]}})
            check = self.otherwise
        self._until = self._now() + (self._keep_s if good else BAD_S)
        answer.set_result(check)


class Health:
    """The health of this instance's world. Threads may share it."""

    def __init__(self, world: World, *, patience_s: float = PATIENCE_S) -> None:
        self._world, self._patience_s = world, patience_s
        now = world.clock.now
        self._checks = (
            _Asked(self._registry, otherwise=_service("Docker registry", ok=False), keep_s=SERVICE_S, now=now),
            _Asked(self._hub, otherwise=_service("JupyterHub API", ok=False), keep_s=SERVICE_S, now=now),
            _Asked(self._pods, otherwise=_pods_unknown(), keep_s=PODS_S, now=now),
        )

    def report(self) -> dict[str, Any]:
        """BinderHub's words: `ok`, and `checks` with the answer of each service in time."""
        deadline = time.monotonic() + self._patience_s
        answers = [(check, check.answer()) for check in self._checks]
        checks = [_in_time(answer, deadline) or check.otherwise for check, answer in answers]
        ok = all(check["ok"] or check.get("_ignore_failure") for check in checks)
        return {"ok": ok, "checks": checks}

    def _registry(self) -> Check:
        # Any answer will do, most of all that there is no such image.
        self._world.registry.find(f"{self._world.config.registry.image_prefix}some-image-name:12345")
        return _service("Docker registry", ok=True)

    def _hub(self) -> Check:
        return _service("JupyterHub API", ok=self._world.hub.healthy())

    def _pods(self) -> Check:
        users = self._world.places.seen().taken.total
        builds = len(self._world.builds.where("open", "yes", limit=MOST_COUNTED))
        limits = self._world.limits.now()
        quota = 0 if limits.closed else limits.total_quota
        ok = quota is None or users < quota
        return _pods(total_pods=users + builds, build_pods=builds, user_pods=users, ok=ok, ignored=True, quota=quota)


def _service(name: str, *, ok: bool) -> Check:
    return {"service": name, "ok": ok}


def _pods(
    *, total_pods: int, build_pods: int, user_pods: int, ok: bool, ignored: bool, quota: int | None = None
) -> Check:
    return {
        "service": "Pod quota",
        "total_pods": total_pods,
        "build_pods": build_pods,
        "user_pods": user_pods,
        "quota": quota,
        "ok": ok,
        # A full hub is not a broken one; that nobody can count is.
        "_ignore_failure": ignored,
    }


def _pods_unknown() -> Check:
    return _pods(total_pods=0, build_pods=0, user_pods=0, ok=False, ignored=False)


def _in_time(answer: Future[Check], deadline: float) -> Check | None:
    try:
        return answer.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return None
