"""Who has a place on the hub, who waits for one, and in which order: what the records of launches show at one moment.

A hub has as many places as its quota says, or as its JupyterHub will start at once. Whoever waits is ordered so that no
repository and no person gets ahead of others that have fewer places: by how many places one's repository, and one's
person, has or would have been given before; then by who came first. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from functions.core.launch import Launch, Phase
from functions.core.limits import InUse, Limits
from functions.core.senders import sender

# Less is too short a while to tell from how fast places become free.
LEAST_OBSERVED_S = 5.0
# Who waited less has found a place that was free all the time.
LEAST_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a launch may go on; if not, how many are before it, and after about how many seconds its turn comes, None
    when nobody knows."""

    now: bool
    ahead: int = 0
    estimate_s: float | None = None


GO = Turn(now=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places of a hub at the moment *at*, in seconds since the epoch.

    `taken` are servers that run or are on their way, `waiting` the launches that will want one, as far as somebody
    watches. `turns` are of those whose image is there, `starts` of those that have a place and wait for the Hub to take
    their start, both by launch id; `starting` is how many the Hub has taken and not finished. `late` have taken a place
    that others had taken before them. `known` is every open launch by its id.
    """

    at: float
    taken: InUse = InUse()
    waiting: InUse = InUse()
    turns: Mapping[str, Turn] = field(default_factory=dict)
    starts: Mapping[str, Turn] = field(default_factory=dict)
    starting: int = 0
    late: frozenset[str] = frozenset()
    known: Mapping[str, Phase] = field(default_factory=dict)


def places(
    unfinished: Collection[Launch], running: Collection[Launch], limits: Limits, *, now: float, watcher_gone_s: float
) -> Places:
    """The places that *unfinished* launches and *running* servers have and wait for, where *limits* hold."""

    # One that nobody watches gets no server, so it must not keep others from theirs.
    watched = [it for it in unfinished if now - it.last_seen_at <= watcher_gone_s]
    waiting = [it for it in watched if it.phase is Phase.WAITING and not it.build_only]
    queued = [it for it in waiting if it.queued_at]
    unasked = [it for it in watched if it.phase is Phase.LAUNCHING and not it.asked_at]
    asked = [it for it in unfinished if it.phase is Phase.LAUNCHING and it.asked_at]
    holding = [*asked, *unasked, *running]
    return Places(
        at=now,
        taken=_count(holding),
        waiting=_count(waiting),
        turns=_turns(in_order(queued, holding), holding, limits, now=now),
        starts=_starts(in_order(unasked, asked), [*asked, *running], now=now),
        starting=len(asked),
        late=_late(unasked, [*asked, *running], limits),
        known={it.id: it.phase for it in unfinished},
    )


def waits(
    unfinished: Iterable[Launch], *, now: float, watcher_gone_s: float
) -> Mapping[Literal["quota", "hub"], Sequence[float]]:
    """For how many seconds each of those has waited who wait for a place that a quota permits, or for the Hub to take
    their start, as far as somebody watches."""
    watched = [it for it in unfinished if now - it.last_seen_at <= watcher_gone_s]
    queued = (it.queued_at for it in watched if it.phase is Phase.WAITING and it.queued_at)
    unasked = (it.named_at for it in watched if it.phase is Phase.LAUNCHING and not it.asked_at)
    return {"quota": [now - since for since in queued], "hub": [now - since for since in unasked]}


def in_order(waiting: Collection[Launch], holding: Collection[Launch]) -> Sequence[Launch]:
    """*waiting* in the order of their turns, while *holding* have a place already."""
    of_repo = Counter(map(repository, holding))
    of_person = Counter(map(person, holding))
    ranks: dict[str, int] = {}
    by_repo: defaultdict[str, list[tuple[int, Launch]]] = defaultdict(list)
    in_repo: Counter[tuple[str, str]] = Counter()
    for launch in sorted(waiting, key=_came):
        one, repo = person(launch), repository(launch)
        ranks[launch.id] = of_person[one]
        by_repo[repo].append((in_repo[repo, one], launch))
        of_person[one] += 1
        in_repo[repo, one] += 1
    for repo, launches in by_repo.items():
        # Among those of one repository, nobody's second comes before another's first.
        launches.sort(key=lambda it: (it[0], _came(it[1])))
        for index, (_, launch) in enumerate(launches):
            ranks[launch.id] = max(ranks[launch.id], of_repo[repo] + index)
    return sorted(waiting, key=lambda it: (ranks[it.id], _came(it)))


def repository(launch: Launch) -> str:
    """What is counted as one repository: its address in any case of letters, which most hosts take for the same."""
    return launch.repo.repo_url.lower()


def person(launch: Launch) -> str:
    """Who has launched, as far as is known; of whom nothing is known nobody is taken for another."""
    return sender(launch.client_ip, launch.principal, unknown=f"launch:{launch.id}")


def roomy(places: Places, limits: Limits, launch: Launch, arrived: Mapping[str, str]) -> bool:
    """Whether there is a place for everybody who is known to want one, *launch* and those included that have *arrived*
    since: so nobody need be asked to wait for their turn. *arrived* is repositories by launch id."""
    total = places.taken.total + places.waiting.total + len(arrived)
    if limits.total_quota is not None and total > limits.total_quota:
        return False
    quota, repo_url = quota_of(launch, limits), repository(launch)
    counts = (places.taken.by_repo.get(repo_url, 0), places.waiting.by_repo.get(repo_url, 0))
    return not quota or sum(counts) + sum(url == repo_url for url in arrived.values()) <= quota


def quota_of(launch: Launch, limits: Limits) -> int:
    """How many servers of its repository there may be; 0: any number."""
    provider = launch.provider
    return limits.quota_of(f"{provider}/{launch.spec}", resolved=f"{provider}/{launch.repo.resolved_spec}")


def _turns(order: Sequence[Launch], holding: Collection[Launch], limits: Limits, *, now: float) -> dict[str, Turn]:
    free = None if limits.total_quota is None else limits.total_quota - len(holding)
    by_repo = Counter(map(repository, holding))
    went = [(it.queued_at, it.named_at) for it in holding if it.queued_at]
    pace_s = _pace_s([it.queued_at for it in order], went, now=now)
    turns: dict[str, Turn] = {}
    before: list[str] = []
    for launch in order:
        repo = repository(launch)
        quota = quota_of(launch, limits)
        full, repo_full = free is not None and free <= 0, bool(quota) and by_repo[repo] >= quota
        if not full and not repo_full:
            turns[launch.id] = GO
            by_repo[repo] += 1
            free = None if free is None else free - 1
            continue
        # While only the repository is full, others do not stand in the way.
        ahead = len(before) if full else before.count(repo)
        turns[launch.id] = Turn(now=False, ahead=ahead, estimate_s=pace_s and (ahead + 1) * pace_s)
        before.append(repo)
    return turns


def _late(unasked: Collection[Launch], holding: Collection[Launch], limits: Limits) -> frozenset[str]:
    total, by_repo = len(holding), Counter(map(repository, holding))
    late = set()
    for launch in sorted(unasked, key=lambda it: (it.named_at, it.id)):
        repo, quota = repository(launch), quota_of(launch, limits)
        if (limits.total_quota is not None and total >= limits.total_quota) or (quota and by_repo[repo] >= quota):
            late.add(launch.id)
            continue
        total += 1
        by_repo[repo] += 1
    return frozenset(late)


def _starts(order: Sequence[Launch], started: Iterable[Launch], *, now: float) -> dict[str, Turn]:
    pace_s = _pace_s([it.named_at for it in order], [(it.named_at, it.asked_at) for it in started], now=now)
    return {
        launch.id: Turn(now=False, ahead=index, estimate_s=pace_s and (index + 1) * pace_s)
        for index, launch in enumerate(order)
    }


def _pace_s(waiting_since: Collection[float], went: Iterable[tuple[float, float]], *, now: float) -> float | None:
    """Seconds between two turns since the queue began, None while nobody's came; *went* is who waited, from when to
    when."""
    since = min(waiting_since, default=now)
    count = sum(end >= since and end - began >= LEAST_WAIT_S for began, end in went)
    return (now - since) / count if count and now - since >= LEAST_OBSERVED_S else None


def _count(launches: Iterable[Launch]) -> InUse:
    by_repo = Counter(map(repository, launches))
    return InUse(by_repo.total(), by_repo)


def _came(launch: Launch) -> tuple[float, str]:
    return launch.created_at, launch.id
