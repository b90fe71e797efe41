"""What an instance makes once, however many of its threads ask first.

`functools.cache` lets each of them make one of its own, and with it caches, connections and readers of logs of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Made = TypeVar("Made")


def once(make: Callable[[], Made]) -> Callable[[], Made]:
    """*make*, called until it has returned once; after that its answer, for all threads. Errors are not kept."""
    lock = threading.Lock()
    made: list[Made] = []

    @wraps(make)
    def get() -> Made:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return get
