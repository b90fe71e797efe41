"""Settings: where they come from, and what is said when they are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from functions.core import config as configuration
from functions.core.errors import ConfigError
from functions.core.settings import Config, Secret

DOCUMENT: dict[str, Any] = {
    "hub": {"url": "https://hub.example.org/", "api_url": "http://hub:8081/hub/api"},
    "registry": {"url": "https://registry.example.org", "image_prefix": "registry.example.org/r2d-"},
    "store": {"path": "/var/lib/binderless/store.sqlite"},
}
SECRETS = {"BINDERLESS_HUB__TOKEN": "hub-token", "BINDERLESS_LAUNCHES__SECRET": "s" * 32}


def load(document: dict[str, Any] | None = None, environ: dict[str, str] | None = None) -> Config:
    return configuration.load(document or DOCUMENT, SECRETS if environ is None else environ)[0]


def problems(document: dict[str, Any], environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        configuration.load(document, environ)
    return caught.value.problems


def test_the_environment_overrides_the_document() -> None:
    config = load(environ={**SECRETS, "BINDERLESS_BUILDS__TIMEOUT_S": "120"})
    assert config.builds.timeout_s == 120


@pytest.mark.parametrize("path", ["", "binder", "/binder", "//", "/a//b/", "/a b/", '/">/', "/%2f/", "/\r\n/"])
def test_a_base_path_is_one_that_can_stand_in_links(path: str) -> None:
    assert problems({**DOCUMENT, "web": {"base_path": path}}, SECRETS)


@pytest.mark.parametrize(
    "origin", ["example.org", "https://example.org/", "https://a.org/page", "null", "https://*.org"]
)
def test_an_origin_is_one_that_browsers_send(origin: str) -> None:
    assert problems({**DOCUMENT, "web": {"cors_allow_origins": [origin]}}, SECRETS)
    for fine in ("*", "https://example.org", "http://localhost:8080", "http://[::1]:80"):
        assert load({**DOCUMENT, "web": {"cors_allow_origins": [fine]}}).web.cors_allow_origins == (fine,)


@pytest.mark.parametrize(
    "forge", ["git.example.org/", "https://git.example.org", "https:///", "ssh://git.example.org/"]
)
def test_a_forge_is_the_beginning_of_one_hosts_addresses(forge: str) -> None:
    assert problems({**DOCUMENT, "webhooks": {"forges": [forge]}}, SECRETS)
    for fine in ("https://git.example.org/", "https://git.example.org/group/"):
        assert load({**DOCUMENT, "webhooks": {"forges": [fine]}}).webhooks.forges == (fine,)


def test_a_mapping_can_be_given_in_the_environment() -> None:
    config = load(environ={**SECRETS, "BINDERLESS_BUILDS__POD_TEMPLATE": "{spec: {priority: 1}}"})
    assert config.builds.pod_template == {"spec": {"priority": 1}}


def test_every_problem_is_reported_at_once() -> None:
    found = problems(
        {**DOCUMENT, "hubb": {}, "builds": {"timeout_s": "soon", "color": 1, "backend": "magic"}},
        {"BINDERLESS_HUB__TOKN": "x"},
    )
    assert found == (
        "hubb: no such section",
        "builds.color: no such setting",
        "BINDERLESS_HUB__TOKN: no such setting",
        "hub.token: required; set it in config.yaml or as BINDERLESS_HUB__TOKEN",
        "builds.backend: must be one of kubernetes, cloud_build, not 'magic'",
        "builds.timeout_s: must be a whole number, not 'soon'",
        "launches.secret: required; set it in config.yaml or as BINDERLESS_LAUNCHES__SECRET",
    )


def test_settings_of_the_registry_must_fit_together() -> None:
    registry = {**DOCUMENT["registry"], "url": "http://r.example.org", "credentials": "google", "username": "me"}
    assert problems({**DOCUMENT, "registry": registry}, SECRETS) == (
        "registry.username: must be empty when registry.credentials is google",
        "registry.url: must start with https:// when registry.credentials is google",
    )
    assert problems(DOCUMENT, {**SECRETS, "BINDERLESS_REGISTRY__PASSWORD": "x"}) == (
        "registry.username: required with a password",
    )


def test_the_token_of_another_metadata_server_may_go_to_a_registry_without_tls() -> None:
    registry = {**DOCUMENT["registry"], "url": "http://r.example.org", "credentials": "google"}
    assert problems({**DOCUMENT, "registry": registry}, SECRETS) != ()
    load({**DOCUMENT, "registry": {**registry, "metadata_url": "http://127.0.0.1:1/machine"}}, SECRETS)


def test_an_address_needs_its_scheme() -> None:
    assert problems({**DOCUMENT, "hub": {"url": "hub.example.org", "api_url": "http://x"}}, SECRETS) == (
        "hub.url: must start with https:// or http://",
    )


def test_a_short_secret_is_refused() -> None:
    found = problems(DOCUMENT, {**SECRETS, "BINDERLESS_LAUNCHES__SECRET": "short"})
    assert found == ("launches.secret: must have at least 32 characters",)


def test_secrets_are_never_printed() -> None:
    config, origins = configuration.load(DOCUMENT, SECRETS)
    assert "hub-token" not in repr(config) + repr(origins)
    assert config.hub.token.reveal() == "hub-token"


def test_the_origin_of_each_value_is_known() -> None:
    _, origins = configuration.load(DOCUMENT, SECRETS)
    sources = {origin.name: origin.source for origin in origins}
    assert sources["hub.url"] == "config.yaml"
    assert sources["hub.token"] == "BINDERLESS_HUB__TOKEN"
    assert sources["builds.timeout_s"] == "default"


@pytest.mark.parametrize("text", ["[1, 2]", "just text", "a: b: c"], ids=["list", "text", "broken"])
def test_a_document_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        configuration.parse(text)


def test_an_empty_document_is_fine() -> None:
    assert configuration.parse("") == {}


def test_an_empty_secret_says_so() -> None:
    assert repr(Secret()) == "Secret()"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_end_of_a_secret_that_was_typed_is_no_part_of_it(end: str) -> None:
    config = load(environ=SECRETS | {"BINDERLESS_HUB__TOKEN": f"hub-token{end}"})
    assert config.hub.token.reveal() == "hub-token"


def test_where_the_records_are_is_known_without_any_secret() -> None:
    store, _ = configuration.load_store({**DOCUMENT, "store": {"path": "/var/lib/store.sqlite"}}, {})
    assert store.path == "/var/lib/store.sqlite"


@pytest.mark.parametrize(
    ("document", "environ", "problem"),
    [
        ({}, {}, "store.path: required for the sqlite store"),
        ({"store": {"backend": "firestore"}}, {}, "firestore.project: required for the firestore store"),
        ({"store": {"path": 7}}, {}, "store.path: must be text, not 7"),
        ({"store": {"path": "a"}}, {"BINDERLESS_STORE__PTH": "b"}, "BINDERLESS_STORE__PTH: no such setting"),
    ],
)
def test_records_are_looked_for_nowhere_else_by_mistake(
    document: dict[str, Any], environ: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        configuration.load_store(document, environ)
    assert problem in refused.value.problems
