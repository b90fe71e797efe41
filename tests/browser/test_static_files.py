"""Files of the pages: what browsers may keep, and what crawlers may do."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from tests.fakes.world import Fakes


@pytest.fixture
def client() -> FlaskClient:
    return make_application(Fakes().world()).test_client()


def test_a_page_and_its_scripts_are_of_one_version_and_kept_for_long(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    files = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
    assert len({path.split("/")[2] for path in files}) == 1
    for path in files:
        with client.get(path) as answer:
            assert answer.status_code == 200
            assert answer.cache_control.max_age == 365 * 24 * 3600


@pytest.mark.parametrize("path", ["/assets/links.js", "/assets/0123456789ab/links.js"])
def test_what_may_be_of_another_version_is_asked_for_again(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        assert answer.status_code == 200
        assert not answer.cache_control.max_age


@pytest.mark.parametrize(
    "path", ["/assets/..%2f..%2fpages.py", "/assets/x/..%2f..%2fpages.py", "/assets/x/y/links.js", "/assets/.."]
)
def test_only_static_files_are_served(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404
