"""The launch event, as archives of BinderHub's events read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from functions.core.launch import Phase
from functions.core.launch_event import PROVIDER_NAMES, launch_event
from functions.core.settings import PROVIDERS
from tests.core.test_launch import ASKED, NOW

# The fields of BinderHub's schema (binderhub/event-schemas/launch.json) and of the capsule around them.
FIELDS: dict[str, Any] = {
    "timestamp": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
    "schema": {"const": "binderhub.jupyter.org/launch"},
    "version": {"const": 6},
    "provider": {"enum": ["GitHub", "Gist", "GitLab", "Git", "Zenodo", "Figshare", "Hydroshare", "Dataverse", "CKAN"]},
    "spec": {"type": "string"},
    "ref": {"type": "string"},
    "status": {"enum": ["success", "failure"]},
    "build_token": {"type": "boolean"},
    "origin": {"type": "string"},
    "request_origin": {"type": "string"},
}
SCHEMA = {"type": "object", "properties": FIELDS, "required": [*FIELDS], "additionalProperties": False}
READY = replace(ASKED, phase=Phase.READY, ended_at=NOW)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("phase", [Phase.READY, Phase.FAILED])
def test_the_event_of_every_provider_is_valid(provider: str, phase: Phase) -> None:
    jsonschema.validate(launch_event(replace(READY, provider=provider, phase=phase)), SCHEMA)


def test_the_event_says_what_was_launched_and_from_where() -> None:
    launch = replace(READY, build_token=True, origin="hub.example.org", request_origin="https://blog.example.org")
    assert launch_event(launch) == {
        "timestamp": "1970-01-12T13:46:40.000000Z",
        "schema": "binderhub.jupyter.org/launch",
        "version": 6,
        "provider": "Git",
        "spec": "https%3A%2F%2Fexample.org%2Fplots/main",
        "ref": "a" * 40,
        "status": "success",
        "build_token": True,
        "origin": "hub.example.org",
        "request_origin": "https://blog.example.org",
    }


def test_a_launch_that_failed_says_so() -> None:
    assert launch_event(replace(READY, phase=Phase.FAILED))["status"] == "failure"


def test_every_provider_there_is_has_a_name() -> None:
    assert PROVIDER_NAMES.keys() == set(PROVIDERS)
