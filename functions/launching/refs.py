"""What specs were resolved to, so that a git host is asked once however many people click, and not at all for a while.

The store remembers for all instances. Beside that, each instance lets one caller ask for everybody who wants the same
at the same moment, and does not ask again at once where it has just met trouble. Both may be lost.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from functions.core.errors import BinderError, RateLimited, UpstreamError
from functions.core.ports import Document, RepoProvider, ResolvedRepo, Store
from functions.core.progress import ago
from functions.state import retention
from functions.state.expiring import Expiring, Flights

# A typing error is soon corrected, and a service soon back: long enough for a stampede, short enough for a person.
TROUBLE_S = 10.0
LONGEST_TROUBLE_S = 60.0
MOST_TROUBLES = 1000


@dataclass(frozen=True, slots=True)
class Resolution:
    """A repository at a commit; `notice` is a sentence for the watcher when that may be out of date."""

    repo: ResolvedRepo
    notice: str = ""


@dataclass(slots=True)
class Refs:
    """Resolves specs; answers are fresh for *ttl_s*, and kept *keep_s* for when their service is out."""

    store: Store
    now: Callable[[], float]
    ttl_s: float
    keep_s: float
    _flights: Flights[str, Resolution] = field(default_factory=Flights)
    _troubles: Expiring[str, BinderError] = field(init=False)

    def __post_init__(self) -> None:
        self._troubles = Expiring(most=MOST_TROUBLES, clock=self.now)

    def resolve(self, provider: RepoProvider, spec: str) -> Resolution:
        """What *spec* names now, or named lately. Raises what the provider raises when nothing is remembered."""
        key = _key(provider.prefix, spec)
        return self._flights.join(key, lambda: self._resolve(key, provider, spec))

    def learn(self, repo: ResolvedRepo) -> None:
        """Remember what somebody else has found out, such as the git host that told us of a push."""
        key = _key(repo.provider, repo.spec)
        self._remember(key, repo, self.store.get("ref", key))
        self._troubles.drop(key)

    def doubt(self, provider: str, spec: str) -> None:
        """Have the service asked anew about *spec*; what it named before is kept for when that is out."""
        key = _key(provider, spec)
        document = self.store.get("ref", key)
        if document is not None:
            checked_at = min(float(document.data["checked_at"]), self.now() - self.ttl_s)
            self.store.compare_and_set("ref", key, document.version, {**document.data, "checked_at": checked_at})
        self._troubles.drop(key)

    def _resolve(self, key: str, provider: RepoProvider, spec: str) -> Resolution:
        document = self.store.get("ref", key)
        known, age_s = _known(document, self.now())
        if known is not None and age_s < self.ttl_s:
            return Resolution(known)
        trouble = self._troubles.get(key)
        if trouble is None:
            try:
                repo = provider.resolve(spec, known)
            except BinderError as error:
                trouble = error
                self._meet(key, error)
            else:
                self._remember(key, repo, document)
                return Resolution(repo)
        if known is None or not isinstance(trouble, UpstreamError):
            raise trouble.again()
        return Resolution(known, f"{trouble} Going on with {known.sha[:12]}, which this link named {ago(age_s)}.")

    def _remember(self, key: str, repo: ResolvedRepo, before: Document | None) -> None:
        now = self.now()
        data: dict[str, Any] = {
            "repo": dataclasses.asdict(repo),
            "checked_at": now,
            "expires_on": retention.expires_on(now, keep_s=self.keep_s),
        }
        # Whoever comes between has asked at the same time as we.
        if before is None:
            self.store.create_if_absent("ref", key, data)
        else:
            self.store.compare_and_set("ref", key, before.version, data)

    def _meet(self, key: str, error: BinderError) -> None:
        pause_s = min(error.retry_after_s, LONGEST_TROUBLE_S) if isinstance(error, RateLimited) else TROUBLE_S
        # Not the error itself: it holds on to all that was going on when it was raised.
        self._troubles.put(key, error.again(), life_s=pause_s)


def _key(provider: str, spec: str) -> str:
    # A spec may be longer than a key.
    return hashlib.sha256(f"{provider}/{spec}".encode()).hexdigest()


def _known(document: Document | None, now: float) -> tuple[ResolvedRepo | None, float]:
    """What a record says, and how many seconds ago that was true."""
    if document is None:
        return None, 0.0
    names = {field.name for field in dataclasses.fields(ResolvedRepo)}
    fields = {name: value for name, value in document.data["repo"].items() if name in names}
    return ResolvedRepo(**fields), max(0.0, now - float(document.data["checked_at"]))
