"""What goes wrong with which request, when which part is killed, and who comes when: all drawn from one seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

# What a fault line may be asked to stand in front of: HTTP, and the gRPC of Pub/Sub, whose bytes it does not read.
HTTP = ("hub_api", "kube", "registry", "cloud", "on_build_complete", "cull")
TCP = ("pubsub",)
# Everything that is killed: the parts of the stack, and single instances of functions.
PARTS = ("run", "hub", "proxy", "kube", "kubelet", "cloud", "watch-builds")
INSTANCE = "instance"
VICTIMS = (*PARTS, INSTANCE)
# What Pub/Sub itself does to messages (docs/emulator.md, switches for tests).
MESSAGES: Sequence[Mapping[str, int]] = ({"drop": 1}, {"duplicate": 1}, {"reorder": 2})
# Of the people who come: to the newest repository, or to one that others have launched.
NEWEST = 0.6
EVERY_BROKEN = 4
VISITS_OF_A_REPOSITORY = 2


class Kind(StrEnum):
    DELAY = "delay"  # comes late
    DROP = "drop"  # never arrives, and nobody says so
    DUPLICATE = "duplicate"  # arrives twice
    ERROR = "error"  # is answered with 500, 502, 503 or 504
    BUSY = "busy"  # is answered with 429 and Retry-After
    RESET = "reset"  # the connection is reset before it arrives
    LOST = "lost"  # it arrives, and the connection is reset before its answer
    TRUNCATED = "truncated"  # half of the answer comes


OF_TCP = (Kind.DELAY, Kind.DROP, Kind.RESET, Kind.LOST, Kind.TRUNCATED)
# Requests in which every kind of fault happens once. Kubernetes is asked all the time, the others now and then.
BLOCK = {**dict.fromkeys(HTTP, 24), "kube": 60, **dict.fromkeys(("on_build_complete", "cull", "pubsub"), 10)}


@dataclass(frozen=True, slots=True)
class Fault:
    """`seconds` is of a delay, of a drop until the connection ends, or of Retry-After; `status` is of an error."""

    kind: Kind
    seconds: float = 0.0
    status: int = 0


def fate(seed: int, service: str, number: int) -> Fault | None:
    """What happens to the *number*th request (or piece of a stream) of a service; nothing, most of the time."""
    block, place = divmod(number, BLOCK[service])
    dice = random.Random(f"{seed}/{service}/{block}")
    kinds = OF_TCP if service in TCP else tuple(Kind)
    deck: list[Kind | None] = [*kinds, *[None] * (BLOCK[service] - len(kinds))]
    dice.shuffle(deck)
    faults = [_fault(kind, dice) if kind else None for kind in deck]
    return faults[place]


def _fault(kind: Kind, dice: random.Random) -> Fault:
    match kind:
        case Kind.DELAY:
            return Fault(kind, seconds=dice.uniform(0.3, 4))
        case Kind.DROP:
            return Fault(kind, seconds=12)
        case Kind.BUSY:
            return Fault(kind, seconds=dice.randrange(1, 5), status=429)
        case Kind.ERROR:
            return Fault(kind, status=dice.choice((500, 502, 503, 504)))
        case _:
            return Fault(kind)


@dataclass(frozen=True, slots=True)
class Blow:
    """At *at_s* seconds from the beginning, *victim* is killed; or, with *message*, Pub/Sub is told to do that."""

    at_s: float
    victim: str = ""
    message: Mapping[str, int] | None = None


def victims(backend: str) -> Sequence[str]:
    """Everything that is killed where *backend* builds."""
    return tuple(name for name in VICTIMS if backend == "kubernetes" or name != "watch-builds")


def services(backend: str) -> Sequence[str]:
    """Whom the functions ask, and who asks them, where *backend* builds: Cloud Build and its messages are of cloud."""
    return tuple(name for name in (*HTTP, *TCP) if backend == "kubernetes" or name not in ("kube", "pubsub"))


def blows(seed: int, seconds: float, backend: str = "kubernetes") -> Sequence[Blow]:
    """Every victim once in a while, in an order of its own each time; none twice while another waits."""
    among = victims(backend)
    dice = random.Random(f"{seed}/blows")
    gap_s = min(9.0, seconds / (len(among) + 1))
    killing = zip(_times(gap_s, seconds, dice), _dealt(among, dice), strict=False)
    telling = zip(_times(gap_s * 1.3, seconds, dice), _dealt(range(len(MESSAGES)), dice), strict=False)
    found = [Blow(at_s, victim=victim) for at_s, victim in killing]
    found += [Blow(at_s, message=MESSAGES[number]) for at_s, number in telling]
    return sorted(found, key=lambda blow: blow.at_s)


def _times(gap_s: float, until_s: float, dice: random.Random) -> Iterator[float]:
    at_s = gap_s
    while at_s < until_s:
        yield at_s + dice.uniform(-0.4, 0.4) * gap_s
        at_s += gap_s


def _dealt(cards: Sequence[T], dice: random.Random) -> Iterator[T]:
    while True:
        yield from dice.sample(cards, len(cards))


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody comes at *at_s* to repository *number*, breaks off and comes back *drops* times, with the last event's
    id (or, if *reloads*, as a browser that reloads the page); *leaves* for good, or *stops* the server in the end."""

    number: int
    at_s: float
    repository: int
    ref: str
    drops: int
    reloads: bool
    leaves: bool
    stops: bool


def broken(repository: int) -> bool:
    """Whether that repository cannot be built."""
    return repository % EVERY_BROKEN == EVERY_BROKEN - 1


def repositories(launches: int) -> int:
    """How many there are for that many launches: enough that something is built all the time."""
    return max(EVERY_BROKEN, launches // VISITS_OF_A_REPOSITORY)


def visits(seed: int, launches: int, seconds: float) -> Sequence[Visit]:
    """*launches* visits in the first nine tenths of the time."""
    dice = random.Random(f"{seed}/visits")
    times = sorted(dice.uniform(0, 0.9 * seconds) for _ in range(launches))
    found = []
    for number, at_s in enumerate(times):
        newest = number * repositories(launches) // launches
        repository = newest if dice.random() < NEWEST else dice.randrange(newest + 1)
        found.append(
            Visit(
                number=number,
                at_s=at_s,
                repository=repository,
                ref=dice.choice(("HEAD", "main")),
                drops=dice.choice((0, 0, 1, 2)),
                reloads=dice.random() < 0.5,
                leaves=dice.random() < 0.15,
                stops=dice.random() < 0.5,
            )
        )
    return found
