"""Which adapter a configuration makes."""

from __future__ import annotations

import pytest

from functions.adapters.registry_login import Account, GoogleAccount, PasswordAccount
from functions.core import config as configuration
from functions.wiring import registry_account
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
