"""Who waits for which descriptor, for the outermost process of a container: imports next to nothing."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Handler = Callable[[int, int], object]

READS, WRITES = select.EPOLLIN, select.EPOLLOUT


class Watch:
    """Calls handlers with the descriptor that is ready, and what it is ready for (of `epoll`)."""

    def __init__(self) -> None:
        # Unlike `poll`, it tells first what was ready first: lines of several streams mostly stay in their order.
        self._poll = select.epoll()
        self._handlers: dict[int, tuple[int, Handler]] = {}
        self._number = 0

    def set(self, fd: int, handler: Handler, events: int = READS) -> None:
        """Call *handler* for *events* from now on, and when the other side is gone."""
        if fd in self._handlers:
            self._poll.modify(fd, events)
            self._handlers[fd] = self._handlers[fd][0], handler
        else:
            self._poll.register(fd, events)
            self._number += 1
            self._handlers[fd] = self._number, handler

    def forget(self, fd: int) -> None:
        """To be done before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def step(self, timeout_s: float | None, only: Collection[Handler] | None = None) -> bool:
        """Wait, and call who waits (of *only* these); return whether somebody was called."""
        called = False
        for fd, events, number in [(fd, events, self._handlers[fd][0]) for fd, events in self._poll.poll(timeout_s)]:
            # One that was called before may have ended it, and another may have its number by now.
            now, handler = self._handlers.get(fd, (None, None))
            if handler is not None and now == number and (only is None or handler in only):
                handler(fd, events)
                called = True
        return called
