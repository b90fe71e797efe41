"""/metrics, in the format of Prometheus and with BinderHub's names, so that its dashboards and alerts go on working.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from functions.core.launch import Launch, Phase
from functions.core.metrics import BUCKETS_S, Times, Totals
from functions.core.places import waits
from functions.core.rounds import COUNTED, RoundState
from functions.reporting.outcomes import MOST_ROWS, read_totals
from functions.state import records
from functions.world import World

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(world: World) -> bytes:
    """The answer to a scrape: what happened on all instances, what goes on now, and this instance's GitHub quota."""
    registry = CollectorRegistry()
    registry.register(_Families([*_outcomes(read_totals(world)), *_rounds(world), *_gauges(world)]))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _outcomes(totals: Totals) -> Iterator[Metric]:
    for what in BUCKETS_S:
        labels = ["status", "retries"] if what == "launch" else ["status"]
        times = HistogramMetricFamily(f"binderhub_{what}_time_seconds", f"Time taken by a {what}", labels=labels)
        for timed, histogram in totals.times.items():
            if timed.what == what:
                values = {"status": timed.status, "retries": timed.retries}
                sum_s = histogram.milliseconds / 1000
                times.add_metric([values[label] for label in labels], _cumulative(what, histogram), sum_s)
        yield times
        labels = ["status", "provider", "repo"]
        count = CounterMetricFamily(f"binderhub_{what}_count", f"How often a {what} ended, by how", labels=labels)
        for series, number in totals.counts.items():
            if series.what == what:
                count.add_metric([series.status, series.provider, series.repo], number)
        yield count


def _cumulative(what: str, histogram: Times) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, BUCKETS_S[what]), "+Inf"]
    return [(bound, sum(histogram.buckets[: place + 1])) for place, bound in enumerate(bounds)]


def _rounds(world: World) -> Iterator[Metric]:
    state = records.rounds(world.store).get(records.ROUND_KEY) or RoundState()
    for verb in COUNTED:
        count = CounterMetricFamily(
            f"binderless_{verb}", f"What the cull has {verb}, and why", labels=["what", "reason"]
        )
        for deed, number in state.deeds.items():
            if deed.verb == verb:
                count.add_metric([deed.what, deed.reason], number)
        yield count


def _gauges(world: World) -> Iterator[Metric]:
    builds = world.builds.where("open", "yes", limit=MOST_ROWS)
    yield GaugeMetricFamily("binderhub_inprogress_builds", "Builds currently in progress", len(builds))
    launches = world.launches.where("open", "yes", limit=MOST_ROWS)
    # As in BinderHub, whoever still waits for a build is not launching yet.
    launching = sum(launch.phase is Phase.LAUNCHING for launch in launches)
    yield GaugeMetricFamily("binderhub_inprogress_launches", "Launches currently in progress", launching)
    yield from _queues(launches, world)
    quotas = [getattr(provider, "quota_remaining", None) for provider in world.providers.values()]
    known = [quota for quota in quotas if quota is not None]
    if known:
        # Gists and repositories are asked for with one token.
        yield GaugeMetricFamily("binderhub_github_rate_limit_remaining", "GitHub API requests left", min(known))


def _queues(launches: Collection[Launch], world: World) -> Iterator[Metric]:
    length = GaugeMetricFamily("binderless_queue_length", "Launches that wait, and for what", labels=["reason"])
    longest = GaugeMetricFamily(
        "binderless_queue_longest_wait_seconds", "How long the one has waited that waits longest", labels=["reason"]
    )
    found = waits(launches, now=world.clock.now(), watcher_gone_s=world.config.launches.watcher_gone_s)
    for reason, seconds in found.items():
        length.add_metric([reason], len(seconds))
        longest.add_metric([reason], max(seconds, default=0.0))
    yield from (length, longest)
