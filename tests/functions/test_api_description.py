"""The OpenAPI document, judged by schemathesis: whatever it allows to be asked is answered as it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from functions.application import make_application
from functions.core.ports import ResolvedRepo
from functions.core.specs import parse_target
from tests.fakes.world import Fakes


class AnyRepository:
    """A provider that knows whatever is asked for, and calls it by one name."""

    prefix = "gh"

    def display_config(self) -> dict[str, Any]:
        return {}

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        return ResolvedRepo(
            provider="gh",
            spec=parse_target(f"/build/gh/{spec}", "build").spec,
            repo_url="https://git.example.org/owner/plots",
            sha="a" * 40,
            slug="owner-plots",
            resolved_spec=f"owner/plots/{'a' * 40}",
            ref_url="https://git.example.org/owner/plots",
        )


TOKEN = "t" * 32
SETTINGS = {"launches": {"secret": "s" * 32, "build_only": True}, "web": {"operator_tokens": TOKEN}}
fakes = Fakes(provider=AnyRepository(), settings=SETTINGS)  # type: ignore[arg-type]
schema = schemathesis.openapi.from_wsgi("/api/openapi.json", make_application(fakes.world()))


@schema.parametrize()
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_is_asked_is_answered_as_the_document_says(case: schemathesis.Case[Any]) -> None:
    # That a provider prefix names no provider of this hub is not for the schema to say.
    case.call_and_validate(headers=_who(case), excluded_checks=[positive_data_acceptance])


def _who(case: schemathesis.Case[Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"} if case.path.startswith("/admin/") else {}


def test_the_document_names_every_path_that_there_is() -> None:
    app = make_application(fakes.world())
    document = app.test_client().get("/api/openapi.json").get_json()
    routes = {
        (rule.rule.removeprefix("/api").replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith(("rest.", "operator.")) and rule.endpoint != "rest.openapi"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    named = {(path, verb) for path, verbs in document["paths"].items() for verb in verbs if verb != "parameters"}
    assert named == routes


def test_what_is_not_there_is_not_in_the_document() -> None:
    document = make_application(Fakes().world()).test_client().get("/api/openapi.json").get_json()
    assert "/admin/limits" not in document["paths"]
    assert set(document["components"]["schemas"]).isdisjoint({"LimitsDocument", "Command"})
    assert "securitySchemes" not in document["components"]


@pytest.mark.parametrize("base_path", ["/", "/hubs/one/"])
def test_the_document_says_where_its_paths_are(base_path: str) -> None:
    client = make_application(Fakes(settings={"web": {"base_path": base_path}}).world()).test_client()
    document = json.loads(client.get(f"{base_path}api/openapi.json").data)
    assert document["servers"] == [{"url": f"{base_path}api"}]
