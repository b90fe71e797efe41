"""Faults between an instance and the services it uses, drawn from a seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from functions.core.errors import BinderError, RateLimited, UpstreamError, UpstreamTimeout
from tests.fakes.store import Died

# What goes wrong at a call, and how often, in thousandths.
ODDS = {"refused": 30, "lost": 30, "patience": 20, "silent": 10, "died before": 6, "died after": 6, "slow": 40}


@dataclass
class Chaos:
    """Draws faults. `counts` is what was drawn; none are drawn while `calm`."""

    dice: random.Random
    sleep: Callable[[float], None]
    calm: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def around(self, service: str, port: Any) -> Any:
        """*port*, whose calls may fail before they are done, or after, or end the instance that makes them."""
        return _Around(self, service, port)

    def draw(self) -> str:
        """What goes wrong with a call; nothing, most of the time."""
        if self.calm:
            return ""
        number = self.dice.randrange(1000)
        for fault, odds in ODDS.items():
            if number < odds:
                self.counts[fault] += 1
                return fault
            number -= odds
        return ""

    def call(self, service: str, do: Callable[[], Any]) -> Any:
        """The answer of *do*, unless something goes wrong with it."""
        fault = self.draw()
        if fault in ("refused", "patience", "silent"):
            raise self._error(fault, service)
        if fault == "died before":
            raise Died
        if fault == "slow":
            self.sleep(self.dice.uniform(1, 40))
        answer = do()
        if fault == "lost":
            raise UpstreamError(service, "closed the connection.")
        if fault == "died after":
            raise Died
        return answer

    def _error(self, fault: str, service: str) -> BinderError:
        match fault:
            case "patience":
                return RateLimited(service, retry_after_s=self.dice.uniform(0, 30))
            case "silent":
                self.sleep(30)
                return UpstreamTimeout(service, "did not answer.")
            case _:
                return UpstreamError(service, "answered 503.")


class _Around:
    def __init__(self, chaos: Chaos, service: str, port: Any) -> None:
        self._chaos, self._service, self._port = chaos, service, port

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._port, name)
        if not callable(verb) or name in ("display_config", "server_url"):
            return verb
        if name == "progress":
            return lambda *arguments: self._followed(verb(*arguments))
        return lambda *arguments, **options: self._chaos.call(self._service, lambda: verb(*arguments, **options))

    def _followed(self, events: Iterator[Any]) -> Iterator[Any]:
        for event in events:
            yield self._chaos.call(self._service, partial(_same, event))


def _same(event: Any) -> Any:
    return event
