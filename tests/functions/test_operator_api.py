"""The operator's limits over HTTP, shared by all instances, for who has a token."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions import admin
from functions.application import make_application
from functions.core.errors import UpstreamError
from functions.core.limits import Limits
from functions.state.limits import LIFE_S
from functions.structured_logs import Formatter
from tests.fakes.world import Fakes
from tests.functions.following import SPEC, launch

OLD, NEW = "old-" + "o" * 40, "new-" + "n" * 40
LIMITS, COMMANDS = "/api/admin/limits", "/api/admin/limits/commands"
NOTHING = dataclasses.asdict(Limits()) | {"banned": [], "allowed": []}
MINE = "198.51.100.7"


@pytest.fixture
def fakes() -> Fakes:
    """A hub with two tokens, that other sites' pages may use, and no queue."""
    web = {"operator_tokens": f"{NEW}, {OLD}", "cors_allow_origins": ["*"]}
    fakes = Fakes(settings={"web": web, "launches": {"secret": "s" * 32, "queue_length": 0}})
    fakes.know(SPEC, built=True)
    return fakes


@pytest.fixture
def client(fakes: Fakes) -> FlaskClient:
    return client_of(fakes)


def client_of(fakes: Fakes, token: str = NEW) -> FlaskClient:
    """Another instance's, which sends *token*."""
    client = make_application(fakes.world()).test_client()
    if token:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    client.environ_base["HTTP_X_FORWARDED_FOR"] = MINE
    return client


def put(client: FlaskClient, document: Any, tag: str) -> TestResponse:
    # Flask's own way to write JSON sorts the keys.
    return client.put(LIMITS, data=json.dumps(document), content_type="application/json", headers={"If-Match": tag})


def command(client: FlaskClient, text: str) -> TestResponse:
    return client.post(COMMANDS, json={"command": text.split()})


def tag_of(client: FlaskClient) -> str:
    return client.get(LIMITS).headers["ETag"]


def kept(fakes: Fakes) -> Limits:
    return fakes.world().limits.stored()


def test_the_limits_are_shown_with_a_strong_tag(client: FlaskClient) -> None:
    shown = client.get(LIMITS)
    assert (shown.status_code, shown.get_json()) == (200, NOTHING)
    assert not shown.headers["ETag"].startswith("W/")
    assert tag_of(client) == shown.headers["ETag"]


def test_a_command_is_what_the_same_command_of_the_terminal_is(fakes: Fakes, client: FlaskClient) -> None:
    terminal, said = Fakes().world().limits, list[str]()
    for text in (
        "quota 5",
        "ban gh/owner/*",
        "ban-network ::ffff:192.0.2.0/120 a farm",
        "rate 10 per hour",
        "close x y",
    ):
        told = command(client, text)
        admin.run(text.split(), terminal, say=said.append)
        assert told.get_json() == json.loads(said[-1])
    assert told.headers["ETag"] == tag_of(client_of(fakes))


def test_a_change_holds_at_another_instance_within_seconds(fakes: Fakes, client: FlaskClient) -> None:
    world = fakes.world()
    assert launch(world)[-1]["phase"] == "ready"
    command(client, "close Until noon.")
    fakes.clock.sleep(LIFE_S)
    assert launch(world)[-1]["message"] == "Until noon.\n"


def test_what_is_put_is_there_at_every_instance_at_once(fakes: Fakes, client: FlaskClient) -> None:
    wanted = NOTHING | {"total_quota": 3, "repo_quotas": {"gh/b/*": 1, "gh/a/*": 0}}
    told = put(client, wanted, tag_of(client))
    other = client_of(fakes).get(LIMITS)
    assert told.get_json() == other.get_json() == wanted
    assert told.headers["ETag"] == other.headers["ETag"]
    assert list(kept(fakes).repo_quotas) == ["gh/b/*", "gh/a/*"]


def test_of_two_operators_the_second_is_told_and_nothing_is_lost(fakes: Fakes, client: FlaskClient) -> None:
    other = client_of(fakes, OLD)
    tag = tag_of(other)
    command(client, "ban gh/owner/*")
    refused = put(other, NOTHING | {"total_quota": 3}, tag)
    assert (refused.status_code, refused.mimetype) == (412, "application/problem+json")
    assert (kept(fakes).banned, kept(fakes).total_quota) == (["gh/owner/*"], None)


def test_who_is_overtaken_between_looking_and_writing_is_told_as_well(fakes: Fakes, client: FlaskClient) -> None:
    tag = tag_of(client)
    get = fakes.store.get

    def overtaken(kind: str, key: str) -> Any:
        found = get(kind, key)
        fakes.store.get = get  # type: ignore[method-assign]
        command(client_of(fakes), "ban gh/owner/*")
        return found

    fakes.store.get = overtaken  # type: ignore[method-assign]
    assert put(client, NOTHING | {"total_quota": 3}, tag).status_code == 412
    assert kept(fakes).banned == ["gh/owner/*"]


def test_who_puts_the_same_again_since_the_answer_was_lost_is_told_that_it_is_so(client: FlaskClient) -> None:
    tag = tag_of(client)
    assert [put(client, NOTHING | {"rate": 9}, tag).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(("tag", "status"), [(None, 428), ("*", 200), ('"other"', 412), ("nonsense", 412)])
def test_what_is_replaced_has_to_be_named(client: FlaskClient, tag: str | None, status: int) -> None:
    headers = {"If-Match": tag} if tag else {}
    assert client.put(LIMITS, json=NOTHING | {"rate": 9}, headers=headers).status_code == status


def test_a_weak_tag_names_nothing(client: FlaskClient) -> None:
    assert put(client, NOTHING | {"rate": 9}, f"W/{tag_of(client)}").status_code == 412


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("closed", 1),
            ("closed", "x" * 2001),
            ("closed", "\x1b[2J"),
            ("banned", "gh/a/*"),
            ("banned", ["everything"]),
        ),
        *(("banned", ["gh/\x07"]), ("banned", [f"gh/{number}" for number in range(1001)]), ("allowed", ["/x"])),
        *(
            ("total_quota", -1),
            ("total_quota", "5"),
            ("total_quota", 10**30),
            ("repo_quota", None),
            ("repo_quota", 1.5),
        ),
        *(("repo_quotas", {"gh": 1}), ("repo_quotas", {"gh/\x07": 1}), ("repo_quotas", [])),
        *(("networks", {"192.0.2.1/24": "x"}), ("networks", {"host.example.org": "x"}), ("rate", True)),
        *(("networks", {"192.0.2.0/24": "x" * 201}), ("networks", {"192.0.2.0/24": "\x00"}), ("rate_period_s", 61)),
    ],
    ids=repr,
)
def test_what_no_command_could_set_is_refused_by_name(
    fakes: Fakes, client: FlaskClient, field: str, value: Any
) -> None:
    command(client, "quota 7")
    refused = put(client, NOTHING | {field: value}, tag_of(client))
    assert (refused.status_code, refused.mimetype) == (400, "application/problem+json")
    assert field in refused.get_json()["detail"]
    assert kept(fakes).total_quota == 7


@pytest.mark.parametrize("field", sorted(NOTHING))
def test_nothing_is_lifted_by_being_left_out(client: FlaskClient, field: str) -> None:
    refused = put(client, {name: value for name, value in NOTHING.items() if name != field}, tag_of(client))
    assert refused.status_code == 400
    assert field in refused.get_json()["detail"]


def test_a_field_that_does_not_exist_is_refused(client: FlaskClient) -> None:
    assert put(client, NOTHING | {"qouta": 5}, tag_of(client)).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"quota 5"',
        b"[" * 10_000,
        b'{"command":' * 1000,
        b'{"command": "quota 5"}',
        b"\xff\xfe",
    ]
    + [b'{"command": []}', b'{"command": [5]}', b'{"command": ["quota", "5"], "x": 1}', b'{"command": ["\\ud800"]}']
    + [b'{"command": ["show"]}', b'{"command": ["quota", "-1"]}', b'{"command": ["close", "\\u0000"]}'],
    ids=lambda body: repr(body[:40]),
)
def test_a_body_that_is_no_command_changes_nothing(fakes: Fakes, client: FlaskClient, body: bytes) -> None:
    refused = client.post(COMMANDS, data=body, content_type="application/json")
    assert (refused.status_code, refused.mimetype) == (400, "application/problem+json")
    assert kept(fakes) == Limits()


def test_a_form_of_another_site_is_no_body(client: FlaskClient) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
        assert client.post(COMMANDS, data=b'{"command": ["open"]}', content_type=kind).status_code == 400


@pytest.mark.parametrize(("size", "status"), [(17 * 1024, 400), (2 * 1024 * 1024, 413)])
def test_a_body_that_is_too_long_is_not_read(client: FlaskClient, size: int, status: int) -> None:
    body = b'{"command": ["open"]' + b" " * size + b"}"
    assert client.post(COMMANDS, data=body, content_type="application/json").status_code == status


def test_a_body_without_its_length_is_not_read(client: FlaskClient) -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    told = client.post(COMMANDS, content_type="application/json", environ_overrides=chunked)
    assert told.status_code == 400


def test_what_is_kept_stays_within_bounds_by_commands_too(fakes: Fakes, client: FlaskClient) -> None:
    full = NOTHING | {"banned": [f"gh/owner/{number}" for number in range(1000)]}
    assert put(client, full, "*").status_code == 200
    assert "banned" in command(client, "ban gh/one/more").get_json()["detail"]
    assert command(client, "unban gh/owner/7").status_code == 200
    long = [f"gh/{number:04}{'ü' * 290}" for number in range(1000)]
    assert "bytes" in put(client, full | {"allowed": long}, "*").get_json()["detail"]


@pytest.mark.parametrize("token", [OLD, NEW], ids=["old", "new"])
def test_both_tokens_are_good_while_one_replaces_the_other(fakes: Fakes, token: str) -> None:
    assert client_of(fakes, token).get(LIMITS).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Basic {NEW}", NEW, f"Bearer {NEW}x", f"Bearer {NEW[:-1]}", f"Bearer {NEW}, {OLD}"]
    + [f"Bearer {NEW.upper()}", "Bearer \xff\xfe", f"Bearer {'x' * 5000}"],
    ids=lambda text: repr(text[:60]),
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_nobody_else_is_answered(fakes: Fakes, authorization: str, method: str) -> None:
    client = client_of(fakes, token="")
    path = COMMANDS if method == "POST" else LIMITS
    # Not even whether the body is right is told.
    refused = client.open(path, method=method, data=b"{", headers={"Authorization": authorization})
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert refused.mimetype == "application/problem+json"


def test_the_way_the_scheme_is_written_does_not_matter(fakes: Fakes) -> None:
    told = client_of(fakes, token="").get(LIMITS, headers={"Authorization": f"bearer  {NEW} "})
    assert told.status_code == 200


@pytest.mark.parametrize("tokens", ["", " , "], ids=["unset", "only commas"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", [LIMITS, COMMANDS])
def test_without_a_token_there_is_no_such_address(tokens: str, method: str, path: str) -> None:
    client = client_of(Fakes(settings={"web": {"operator_tokens": tokens, "cors_allow_origins": ["*"]}}), token="")
    asked, nowhere = (
        client.open(at, method=method, headers={"Authorization": "Bearer "}) for at in (path, "/api/no/no")
    )
    assert asked.status_code == (204 if method == "OPTIONS" else 404)
    assert (asked.status_code, asked.data, [*asked.headers]) == (nowhere.status_code, nowhere.data, [*nowhere.headers])


@pytest.mark.parametrize("path", [LIMITS, COMMANDS, "/api/admin/other"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("token", [NEW, ""], ids=["with token", "without"])
def test_no_answer_is_kept_nor_readable_for_other_sites(fakes: Fakes, path: str, method: str, token: str) -> None:
    told = client_of(fakes, token).open(path, method=method, headers={"Origin": "https://evil.example.org"})
    assert told.headers["Cache-Control"] == "no-store"
    assert not [name for name in told.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118
    assert "Set-Cookie" not in told.headers


def test_another_method_is_refused(client: FlaskClient) -> None:
    refused = client.delete(LIMITS)
    assert (refused.status_code, refused.mimetype) == (405, "application/problem+json")
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PUT"}


def test_who_has_closed_their_own_network_can_open_it(fakes: Fakes, client: FlaskClient) -> None:
    command(client, f"ban-network {MINE}/32")
    fakes.clock.sleep(LIFE_S)
    assert client.get("/").status_code == 403
    assert command(client, f"unban-network {MINE}/32").status_code == 200
    fakes.clock.sleep(LIFE_S)
    assert client.get("/").status_code == 200


def test_no_limit_holds_for_the_operator(fakes: Fakes, client: FlaskClient) -> None:
    for text in ("quota 0", "rate 1 per day", "close"):
        command(client, text)
    fakes.clock.sleep(LIFE_S)
    assert [command(client, "quota off").status_code for _ in range(5)] == [200] * 5


def test_a_change_is_logged_with_who_and_what_but_never_with_a_token(
    fakes: Fakes, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told = [command(client, "quota 5"), put(client, NOTHING | {"rate": 9}, "*"), client.get(LIMITS)]
    told.append(client_of(fakes, "wrong" * 9).get(LIMITS))
    lines = [json.loads(Formatter().format(record)) for record in caplog.records]
    assert [(line["message"], line["address"]) for line in lines] == [
        *[("limits changed", MINE)] * 2,
        ("operator refused", MINE),
    ]
    assert lines[0]["command"] == "quota 5"
    assert (lines[1]["total_quota"], lines[1]["rate"]) == (None, 9)
    assert lines[0]["who"] == lines[1]["who"] == f"token {hashlib.sha256(NEW.encode()).hexdigest()[:8]}"
    for text in [caplog.text, json.dumps(lines), *(answer.get_data(as_text=True) for answer in told)]:
        assert not any(token in text for token in (NEW, OLD, "wrong" * 9))


def test_a_put_of_what_is_there_is_no_change(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert put(client, NOTHING, "*").status_code == 200
    assert caplog.records == []


def test_a_long_change_is_logged_in_short(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    put(client, NOTHING | {"banned": [f"gh/owner/{number}" for number in range(1000)]}, "*")
    assert len(json.dumps(caplog.records[0].fields)) < 1300  # type: ignore[attr-defined]


def test_a_store_that_is_out_is_told_and_nothing_old_is_shown(
    fakes: Fakes, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(client, "quota 5")

    def out(kind: str, key: str) -> None:
        raise UpstreamError("The store", "is out.")

    monkeypatch.setattr(fakes.store, "get", out)
    for told in (client.get(LIMITS), command(client, "quota 6"), put(client, NOTHING, "*")):
        assert (told.status_code, told.mimetype) == (502, "application/problem+json")


def test_it_is_below_the_base_path() -> None:
    client = client_of(Fakes(settings={"web": {"operator_tokens": NEW, "base_path": "/hubs/one/"}}))
    assert client.get(f"/hubs/one{LIMITS}").status_code == 200
    assert client.get(LIMITS).status_code == 404
