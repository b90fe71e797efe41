"""Everything a function may use, as one value: the ports, the records, time and chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from functions.core.build import Build
from functions.core.kernels import Kernels
from functions.core.launch import Launch
from functions.core.ports import BuildBackend, Hub, Registry, RepoProvider, Store
from functions.core.settings import Config
from functions.core.user_pods import Pods
from functions.launching.feeds import Feeds
from functions.launching.refs import Refs
from functions.state.hub_gate import HubGate
from functions.state.limits import KnownLimits
from functions.state.places import KnownPlaces
from functions.state.rates import Rates
from functions.state.records import Records


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None: ...


class CallVerifier(Protocol):
    def verify(self, authorization: str) -> None:
        """Raise BadSignature unless the `Authorization` header proves that the expected service account calls."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Made by `functions/wiring.py`, and by tests with fakes."""

    config: Config
    providers: Mapping[str, RepoProvider]
    registry: Registry
    backend: BuildBackend
    hub: Hub
    kernels: Kernels
    store: Store
    builds: Records[Build]
    launches: Records[Launch]
    refs: Refs
    feeds: Feeds
    limits: KnownLimits
    places: KnownPlaces
    gate: HubGate
    rates: Rates
    clock: Clock
    new_id: Callable[[], str]
    new_token: Callable[[], str]
    push_verifier: CallVerifier
    scheduler_verifier: CallVerifier
    pods: Pods | None = None
