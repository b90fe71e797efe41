"""Access tokens from a metadata server, and what the registry thinks of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from emulator.cloud.access_tokens import LIFETIME_S, AccessTokens
from tests.emulator.cloud.conftest import Cloud

SECRET = "secret-of-the-machine"
TOKEN_PATH = "computeMetadata/v1/instance/service-accounts/default/token"


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as made:
        yield made


def asked(http: urllib3.PoolManager, cloud: Cloud, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.request("GET", f"http://{cloud.http}/machines/{path}", headers=named)


def token(http: urllib3.PoolManager, cloud: Cloud) -> str:
    answer = asked(http, cloud, f"{SECRET}/{TOKEN_PATH}", Metadata_Flavor="Google")
    assert answer.headers["Metadata-Flavor"] == "Google"
    found = json.loads(answer.data)
    assert 0 < found["expires_in"] <= LIFETIME_S
    assert found["token_type"] == "Bearer"
    return str(found["access_token"])


def status(http: urllib3.PoolManager, cloud: Cloud, authorization: str, *, method: str = "GET") -> int:
    path = "v2/" if method == "GET" else "v2/tests/of-a-token/blobs/uploads/"
    answer = http.request(method, f"http://{cloud.registry}/{path}", headers={"Authorization": authorization})
    return answer.status


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"oauth2accesstoken:{password}".encode()).decode()


def test_the_registry_takes_the_token_as_artifact_registry_does(http: urllib3.PoolManager, cloud: Cloud) -> None:
    access = token(http, cloud)
    assert [status(http, cloud, basic(access)), status(http, cloud, f"Bearer {access}")] == [200, 200]


def test_a_token_gives_no_more_than_its_account_may(http: urllib3.PoolManager, cloud: Cloud) -> None:
    assert status(http, cloud, basic(token(http, cloud)), method="POST") == 403


@pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: token + "0", lambda token: "", str.upper])
def test_a_token_that_nobody_gave_is_refused(
    http: urllib3.PoolManager, cloud: Cloud, change: Callable[[str], str]
) -> None:
    wrong = change(token(http, cloud))
    assert [status(http, cloud, basic(wrong)), status(http, cloud, f"Bearer {wrong}")] == [401, 401]


def test_a_request_that_a_stranger_can_cause_gets_no_token(http: urllib3.PoolManager, cloud: Cloud) -> None:
    assert asked(http, cloud, f"{SECRET}/{TOKEN_PATH}").status == 403
    forwarded = asked(http, cloud, f"{SECRET}/{TOKEN_PATH}", Metadata_Flavor="Google", X_Forwarded_For="10.0.0.1")
    assert forwarded.status == 403


def test_only_the_machine_itself_finds_its_metadata_server(http: urllib3.PoolManager, cloud: Cloud) -> None:
    assert asked(http, cloud, f"another/{TOKEN_PATH}", Metadata_Flavor="Google").status == 404


def test_tokens_end_and_survive_a_restart(tmp_path: Path) -> None:
    now = [0.0]
    given = AccessTokens(tmp_path, clock=lambda: now[0]).issue("me")
    again = AccessTokens(tmp_path, clock=lambda: now[0])
    now[0] = LIFETIME_S - 1
    assert again.account(given) == "me"
    now[0] = LIFETIME_S
    assert again.account(given) == ""
