from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from functions.core import config as configuration
from functions.core.ports import RepoProvider
from functions.wiring import make_world

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
