"""The emulator answers as a real Kubernetes did, but for differences that have a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.kube.replay.comparing import Comparison
from tests.emulator.kube.replay.conftest import Results
from tests.emulator.kube.replay.differences import DIFFERENCES, unexplained
from tests.emulator.kube.replay.recorded import Case, all_cases

CASES = all_cases()
DOCUMENT = Path(__file__).parents[4] / "docs" / "kubernetes.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answers_of_a_real_cluster(case: Case, results: Results) -> None:
    assert not (left := unexplained(case.name, results[case.name])), "\n".join(map(str, left))


def test_every_difference_still_shows(results: Results) -> None:
    if len(results) < len(CASES):
        pytest.skip("needs all recorded cases, and only some were asked for")
    stale = [
        known
        for known in DIFFERENCES
        if not any(known.explains(name, found) for name, list_ in results.items() for found in list_)
    ]
    assert stale == []


def test_every_reason_is_told_in_the_documentation() -> None:
    text = " ".join(DOCUMENT.read_text().split())
    assert [reason for reason in sorted({known.reason for known in DIFFERENCES}) if reason not in text] == []


def test_placeholders_with_a_number_mean_the_same_value_within_a_case() -> None:
    one, other = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
    recorded = {"a": "<uid:1>", "b": "<uid:1>", "c": "<uid:2>"}
    assert not Comparison({}).mismatches(recorded, {"a": one, "b": one, "c": other})
    assert Comparison({}).mismatches(recorded, {"a": one, "b": other, "c": other})
    assert Comparison({}).mismatches(recorded, {"a": one, "b": one, "c": one})


def test_what_is_absent_or_too_much_is_a_mismatch() -> None:
    assert Comparison({}).mismatches({"a": 1}, {})
    assert Comparison({}).mismatches({}, {"a": 1})
    assert Comparison({}).mismatches([1], [1, 2])
    assert Comparison({}).mismatches(1, True)
