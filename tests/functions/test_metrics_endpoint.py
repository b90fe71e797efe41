"""/metrics over HTTP, read by Prometheus' own parser."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from functions.application import make_application
from functions.core.metrics import Outcome
from functions.state.records import outcomes as rows
from tests.fakes.world import Fakes
from tests.functions.test_on_build_complete import begin, deliver
from tests.functions.test_outcomes import launch

# Name, type and labels: binderhub/builder.py.
FAMILIES = {
    ("binderhub_build_time_seconds", "histogram"): {"status"},
    ("binderhub_launch_time_seconds", "histogram"): {"status", "retries"},
    ("binderhub_build_count", "counter"): {"status", "provider", "repo"},
    ("binderhub_launch_count", "counter"): {"status", "provider", "repo"},
    ("binderhub_inprogress_builds", "gauge"): set(),
    ("binderhub_inprogress_launches", "gauge"): set(),
    ("binderhub_github_rate_limit_remaining", "gauge"): set(),
    # Ours; nothing was removed or mended yet.
    ("binderless_queue_length", "gauge"): {"reason"},
    ("binderless_queue_longest_wait_seconds", "gauge"): {"reason"},
    ("binderless_removed", "counter"): set(),
    ("binderless_mended", "counter"): set(),
}


def client(fakes: Fakes) -> FlaskClient:
    return make_application(fakes.world()).test_client()


def samples(fakes: Fakes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = client(fakes).get("/metrics").get_data(as_text=True)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(fakes: Fakes, name: str, **labels: str) -> float | None:
    return samples(fakes).get((f"binderhub_{name}", frozenset(labels.items())))


def built_and_launched() -> Fakes:
    fakes = Fakes()
    repo = begin(fakes)
    fakes.clock.time += 90
    fakes.finish_build(repo)
    deliver(fakes)
    launch(fakes)
    return fakes


def test_it_has_the_names_types_and_labels_of_binderhub() -> None:
    fakes = built_and_launched()
    fakes.provider.quota_remaining = 4711  # type: ignore[attr-defined]
    families = text_string_to_metric_families(client(fakes).get("/metrics").get_data(as_text=True))
    found: dict[tuple[str, str], set[str]] = {
        (family.name, family.type): {label for sample in family.samples for label in sample.labels} - {"le"}
        for family in families
    }
    assert found == FAMILIES


def test_launches_are_counted_by_repository_and_time() -> None:
    fakes = built_and_launched()
    labels = {"status": "success", "provider": "GitHub", "repo": "https://git.example.org/owner/plots"}
    assert value(fakes, "launch_count_total", **labels) == 1
    assert value(fakes, "build_count_total", **labels) == 1
    assert value(fakes, "launch_time_seconds_bucket", status="success", retries="0", le="2.0") == 1
    assert value(fakes, "launch_time_seconds_count", status="success", retries="0") == 1


@pytest.mark.parametrize(("bound", "count"), [("60.0", 0), ("300.0", 1), ("7200.0", 1), ("+Inf", 1)])
def test_buckets_add_up(bound: str, count: int) -> None:
    fakes = Fakes()
    rows(fakes.store).create_if_absent(
        Outcome(key="b", what="build", status="failure", provider="Git", repo="r", seconds=90.5, retries="", at=0.0)
    )
    assert value(fakes, "build_time_seconds_bucket", status="failure", le=bound) == count
    assert value(fakes, "build_time_seconds_sum", status="failure") == 90.5


def test_what_is_in_progress_is_not_an_outcome_yet() -> None:
    fakes = Fakes()
    repo = begin(fakes)
    assert (value(fakes, "inprogress_builds"), value(fakes, "inprogress_launches")) == (1, 0)
    fakes.finish_build(repo)
    deliver(fakes)
    assert (value(fakes, "inprogress_builds"), value(fakes, "inprogress_launches")) == (0, 1)


def test_an_unknown_quota_is_not_there() -> None:
    fakes = Fakes()
    fakes.provider.quota_remaining = None  # type: ignore[attr-defined]
    assert value(fakes, "github_rate_limit_remaining") is None


def test_a_spent_quota_is_zero() -> None:
    fakes = Fakes()
    fakes.provider.quota_remaining = 0  # type: ignore[attr-defined]
    assert value(fakes, "github_rate_limit_remaining") == 0


def test_a_repository_cannot_write_a_line_of_its_own() -> None:
    fakes, name = Fakes(), 'x"} 1\nbinderhub_inprogress_builds 99\n\\'
    rows(fakes.store).create_if_absent(
        Outcome(key="l", what="launch", status="success", provider="Git", repo=name, seconds=1, retries="0", at=0.0)
    )
    assert value(fakes, "launch_count_total", status="success", provider="Git", repo=name) == 1
    assert value(fakes, "inprogress_builds") == 0


def test_head_and_get_say_what_format_it_is() -> None:
    for method in ("GET", "HEAD"):
        answer = client(Fakes()).open("/metrics", method=method)
        assert (answer.status_code, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_every_instance_answers_alike() -> None:
    fakes = built_and_launched()
    assert client(fakes).get("/metrics").data == client(fakes).get("/metrics").data


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer guess", "Basic letmein", "letmein", "é"])
def test_strangers_are_refused_where_a_token_is_set(authorization: str) -> None:
    fakes = Fakes(settings={"web": {"metrics_token": "letmein"}})
    answer = client(fakes).get("/metrics", headers={"Authorization": authorization})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"binderhub" not in answer.data


def test_who_has_the_token_may_read() -> None:
    fakes: Any = Fakes(settings={"web": {"metrics_token": "letmein"}})
    assert client(fakes).get("/metrics", headers={"Authorization": "Bearer letmein"}).status_code == 200
