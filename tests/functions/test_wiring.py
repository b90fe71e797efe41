"""Which adapters a configuration makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from functions.adapters.registry_login import Account, GoogleAccount, PasswordAccount
from functions.adapters.stores.firestore import FirestoreStore
from functions.adapters.stores.sqlite import SQLiteStore
from functions.core import config as configuration
from functions.core.errors import ConfigError
from functions.core.ports import RepoProvider
from functions.wiring import make_world, registry_account
from tests.fakes.world import DOCUMENT

ARTIFACTS = "https://europe-docker.pkg.dev"


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"url": ARTIFACTS}, GoogleAccount),
        ({"url": ARTIFACTS, "username": "_json_key", "password": "{}"}, PasswordAccount),
        ({"url": ARTIFACTS, "credentials": "basic"}, PasswordAccount),
        ({"url": "https://quay.io"}, PasswordAccount),
        ({"url": "https://mirror.example.org", "credentials": "google"}, GoogleAccount),
        ({"url": "https://docker.io", "username": "me", "password": "secret"}, PasswordAccount),
    ],
)
def test_the_registry_is_told_who_we_are_as_configured(settings: dict[str, str], kind: type[Account]) -> None:
    document = {**DOCUMENT, "registry": {"image_prefix": "x/", **settings}}
    config, _ = configuration.load(document, {})
    assert type(registry_account(config.registry)) is kind


SHA = "a" * 40


@pytest.fixture
def providers(tmp_path: Path) -> Mapping[str, RepoProvider]:
    """Of a configuration whose git hosts are all its own."""
    document = {
        "hub": {"url": "https://hub.example.org", "api_url": "https://hub.example.org/hub/api"},
        "registry": {"url": "https://registry.example.org", "image_prefix": "registry.example.org/"},
        "store": {"path": str(tmp_path / "store.sqlite")},
        "github": {
            "url": "https://ghe.example.org",
            "gist_url": "https://ghe.example.org/gist",
            "api_url": "https://ghe.example.org/api/v3",
            "allow_secret_gists": True,
        },
        "gitlab": {"url": "https://example.org/gitlab"},
    }
    secrets = {"BINDERLESS_HUB__TOKEN": "x" * 32, "BINDERLESS_LAUNCHES__SECRET": "x" * 32}
    config, _ = configuration.load(document, secrets)
    return make_world(config).providers


@pytest.mark.parametrize(
    ("prefix", "spec", "repo_url"),
    [
        ("gh", f"a/b/{SHA}", "https://ghe.example.org/a/b"),
        ("gist", f"a/b1/{SHA}", "https://ghe.example.org/gist/a/b1.git"),
        ("gl", f"a%2Fb/{SHA}", "https://example.org/gitlab/a/b.git"),
    ],
)
def test_git_hosts_are_where_the_configuration_says(
    providers: Mapping[str, RepoProvider], prefix: str, spec: str, repo_url: str
) -> None:
    assert providers[prefix].resolve(spec).repo_url == repo_url


def test_providers_come_in_the_order_of_the_form(providers: Mapping[str, RepoProvider]) -> None:
    assert [prefix for prefix in providers if prefix in ("gh", "gist", "git", "gl")] == ["gh", "gist", "git", "gl"]


@pytest.mark.parametrize(("namespace", "listed"), [("", False), ("binder", True)])
def test_pods_are_only_listed_where_the_operator_says(namespace: str, listed: bool, tmp_path: Path) -> None:
    settings = {"cull": {"pods_namespace": namespace}, "store": {"path": str(tmp_path / "store.sqlite")}}
    config, _ = configuration.load(DOCUMENT | settings, {})
    assert (make_world(config).pods is not None) is listed


def test_the_store_is_the_configured_one(tmp_path: Path) -> None:
    stores = {
        "sqlite": {"store": {"path": str(tmp_path / "store.sqlite")}},
        "firestore": {"store": {"backend": "firestore"}, "firestore": {"project": "test"}},
    }
    made = {name: type(make_world(configuration.load(DOCUMENT | it, {})[0]).store) for name, it in stores.items()}
    assert made == {"sqlite": SQLiteStore, "firestore": FirestoreStore}


def test_a_store_without_its_place_is_a_problem_of_the_configuration() -> None:
    for store, problem in (({}, "store.path: required"), ({"backend": "firestore"}, "firestore.project: required")):
        with pytest.raises(ConfigError, match=problem):
            configuration.load(DOCUMENT | {"store": store}, {})
