"""What is watched is what the functions log, and what is alerted on is explained."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

from functions.core import launch_event
from tests.terraform.plans import Plan

ROOT = Path(__file__).parents[2]
MONITORING = (ROOT / "terraform" / "monitoring.tf").read_text()


def logged() -> dict[str, set[str]]:
    """Each message that the functions log, with the names that stand in the same call."""
    calls = [
        node
        for path in (ROOT / "functions").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.") and node.args
    ]
    return {ast.unparse(call.args[0]).strip("'"): set(re.findall(r"\w+", ast.unparse(call))) for call in calls}


def watched() -> dict[str, set[str]]:
    """Each message of a metric, with the fields that become its labels."""
    metrics = re.findall(r'filter += "(.*)"\n +labels += \{(.*)\}', MONITORING)
    by_message = [(re.search(r'jsonPayload\.message=\\"([^\\]+)', line), labels) for line, labels in metrics]
    return {found[1]: set(re.findall(r"jsonPayload\.(\w+)", labels)) for found, labels in by_message if found}


def test_every_message_that_is_counted_is_one_that_the_functions_log() -> None:
    assert set(watched()) == {"build ended", "culled", "refused", "unhealthy"}
    assert set(watched()) <= set(logged())


def test_every_label_is_a_field_of_its_line() -> None:
    for message, labels in watched().items():
        assert labels <= logged()[message], message


def test_launches_are_counted_by_the_schema_of_their_event() -> None:
    assert f'jsonPayload.schema=\\"{launch_event.SCHEMA}\\"' in MONITORING


def test_every_alert_says_what_to_do() -> None:
    alerts = re.findall(r"^    ([a-z-]+) = \{\n +query", MONITORING, re.MULTILINE)
    page = (ROOT / "docs" / "operating.md").read_text()
    assert len(alerts) == 6
    for alert in alerts:
        assert f"**{alert}**" in page


def test_a_budget_is_made_at_the_quota_of_the_project(plan_of: Callable[[str], Plan]) -> None:
    configuration = plan_of("complete").document["configuration"]
    resources = configuration["root_module"]["resources"]
    (provider,) = {it["provider_config_key"] for it in resources if it["type"] == "google_billing_budget"}
    told = configuration["provider_config"][provider]["expressions"]
    assert told["user_project_override"] == {"constant_value": True}
    assert told["billing_project"] == {"references": ["var.project"]}
