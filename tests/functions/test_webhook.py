"""Deliveries over HTTP: who is believed, and what they are answered."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from functions.application import make_application
from functions.core.errors import BadRequest, BadSignature, BinderError, MethodNotAllowed, NotAllowed
from functions.core.webhooks import MOST_BYTES
from functions.webhook import LEASE_S, webhook
from tests.fakes.deliveries import OLD_SHA, SHA, sample, signed
from tests.fakes.provider import FakeProvider
from tests.fakes.world import Fakes
from tests.functions.requests import request

SETTINGS = {"github_secrets": "old,new", "gitlab_tokens": "old,new", "repositories": ["gh/owner/*", "gl/group/*"]}


def fakes(**settings: Any) -> Fakes:
    made = Fakes(settings={"webhooks": SETTINGS | settings})
    for ref in ("main", "HEAD", "v1"):
        made.provider.know(f"owner/plots/{ref}", SHA)
    return made


def deliver(made: Fakes, body: bytes | None = None, *, path: str = "/webhooks/github", **changes: str) -> Response:
    """A delivery of GitHub; *changes* are headers, with underscores."""
    body = json.dumps(sample("github-push-branch")).encode() if body is None else body
    headers = {
        "Content_Type": "application/json",
        "X_GitHub_Event": "push",
        "X_GitHub_Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X_Hub_Signature_256": signed(body, "new"),
    }
    return webhook(request(path, body=body, **(headers | changes)), made.world())


def deliver_gitlab(made: Fakes, provider: FakeProvider, name: str, event: str, token: str = "new") -> Response:
    headers = {"Content_Type": "application/json", "X_Gitlab_Event": event, "X_Gitlab_Token": token}
    body = json.dumps(sample(name)).encode()
    world = replace(made.world(), providers={"gl": provider})
    return webhook(request("/webhooks/gitlab", body=body, Idempotency_Key="1", **headers), world)


def said(response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(response.get_data())
    return answer


def test_a_push_begins_a_build() -> None:
    made = fakes()
    response = deliver(made)
    assert (response.status_code, said(response)["status"]) == (202, "QUEUED")
    assert [build.ref for build in made.backend.submitted] == [SHA]


def test_an_image_that_is_there_is_not_built() -> None:
    made = fakes()
    made.registry.put(made.image(made.provider.know("owner/plots/main", SHA)))
    assert said(deliver(made))["status"] == "there"
    assert made.backend.submitted == []


def test_a_delivery_that_has_come_before_is_answered_without_work() -> None:
    made = fakes()
    deliver(made)
    asked = len(made.provider.asked)
    other = json.dumps(sample("github-push-branch", after=OLD_SHA)).encode()
    for body in (None, other):
        response = deliver(made, body)
        assert (response.status_code, said(response)["status"]) == (200, "ignored")
    assert len(made.provider.asked) == asked


def test_a_forged_delivery_does_not_stand_in_for_the_true_one() -> None:
    made = fakes()
    with pytest.raises(BadSignature):
        deliver(made, X_Hub_Signature_256=signed(b"", "guess"))
    assert deliver(made).status_code == 202


def test_a_delivery_whose_handler_has_died_may_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise SystemExit

    made = fakes()
    with monkeypatch.context() as killed, pytest.raises(SystemExit):
        killed.setattr(made.provider, "resolve", dies)
        deliver(made)
    assert said(deliver(made))["status"] == "ignored"
    made.clock.sleep(LEASE_S + 1)
    assert said(deliver(made))["status"] == "QUEUED"
    made.clock.sleep(LEASE_S + 1)
    assert said(deliver(made))["reason"] == "This delivery has come before."


def test_a_delivery_that_failed_may_be_sent_again() -> None:
    made = fakes()
    with pytest.raises(BadRequest):
        deliver(made, b"{")
    assert deliver(made).status_code == 202


def test_both_events_of_a_new_tag_come_to_one_build_of_its_commit() -> None:
    made = fakes()
    for number, (event, name) in enumerate([("push", "github-push-annotated-tag"), ("create", "github-create-tag")]):
        body = json.dumps(sample(name)).encode()
        response = deliver(made, body, X_GitHub_Event=event, X_GitHub_Delivery=str(number))
        assert (response.status_code, said(response)["status"]) == (202, "QUEUED")
    assert [build.ref for build in made.backend.submitted] == [SHA]


def test_a_ping_is_answered() -> None:
    made = fakes()
    body = json.dumps(sample("github-ping")).encode()
    response = deliver(made, body, X_GitHub_Event="ping")
    assert (response.status_code, said(response)) == (200, {"status": "pong"})


def test_the_other_content_type_of_github_is_fine() -> None:
    body = urlencode({"payload": json.dumps(sample("github-push-branch"))}).encode()
    assert deliver(fakes(), body, Content_Type="application/x-www-form-urlencoded").status_code == 202


def test_what_is_not_for_us_is_ignored_with_a_reason() -> None:
    for name, event, reason in [
        ("github-push-deleted-branch", "push", "deleted"),
        ("github-delete", "delete", "'delete' start no build"),
    ]:
        response = deliver(fakes(), json.dumps(sample(name)).encode(), X_GitHub_Event=event)
        assert response.status_code == 200
        assert reason in said(response)["reason"]


def test_a_repository_that_may_not_prebuild_is_ignored_with_a_reason() -> None:
    response = deliver(fakes(repositories=["gh/other/*"]))
    assert (response.status_code, said(response)["status"]) == (200, "ignored")
    assert "not among the repositories" in said(response)["reason"]


def test_a_push_to_gitlab_begins_a_build() -> None:
    made, provider = fakes(), FakeProvider("gl")
    for ref in ("main", "HEAD"):
        provider.know(f"group%2Fsub%2Fplots/{ref}", SHA)
    response = deliver_gitlab(made, provider, "gitlab-push-branch", "Push Hook")
    assert (response.status_code, said(response)["status"]) == (202, "QUEUED")
    again = deliver_gitlab(made, provider, "gitlab-push-branch", "Push Hook", token="old")
    assert said(again)["reason"] == "This delivery has come before."


def test_deliveries_without_an_id_are_all_taken() -> None:
    made = fakes()
    assert {deliver(made, X_GitHub_Delivery="").status_code for _ in range(2)} == {202}
    assert len(made.backend.submitted) == 1


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"X_Hub_Signature_256": signed(b"{}", "new")}, BadSignature),
        ({"X_Hub_Signature_256": ""}, BadSignature),
        ({"X_Hub_Signature_256": "new"}, BadSignature),
        ({"X_Gitlab_Token": "new", "path": "/webhooks/gitlab", "X_Gitlab_Event": "Push Hook"}, None),
        ({"X_Gitlab_Token": "", "path": "/webhooks/gitlab"}, BadSignature),
        ({"path": "/webhooks/gitlab"}, BadSignature),
        ({"body": b"x" * 5_000_001, "X_Hub_Signature_256": "sha256=0"}, BadRequest),
        ({"body": b"[" * 100_000}, BadRequest),
        ({"body": b"null"}, BadRequest),
        ({"body": b""}, BadRequest),
        ({"Content_Type": "text/plain"}, BadRequest),
        ({"X_GitHub_Delivery": "d" * 5000}, BadRequest),
    ],
    ids=range(12),
)
def test_what_a_stranger_may_send(changes: dict[str, Any], refusal: type[BinderError] | None) -> None:
    made = fakes()
    # A delivery of GitHub at GitLab's address, with its token, is no delivery of GitLab.
    with pytest.raises(refusal or BadRequest):
        deliver(made, changes.pop("body", None), **changes)
    assert (made.provider.asked, made.backend.submitted) == ([], [])


def test_a_body_that_does_not_tell_its_length_is_limited_too() -> None:
    environ = EnvironBuilder("/webhooks/github", method="POST").get_environ()
    environ.pop("CONTENT_LENGTH", None)
    environ |= {"wsgi.input": io.BytesIO(b"x" * 6_000_000), "wsgi.input_terminated": True}
    with pytest.raises(BadRequest):
        webhook(Request(environ), fakes().world())


@pytest.mark.parametrize("path", ["/webhooks/github", "/webhooks/gitlab"])
def test_without_secrets_webhooks_are_off(path: str) -> None:
    with pytest.raises(NotAllowed):
        webhook(request(path, X_Gitlab_Token=""), Fakes().world())


@pytest.mark.parametrize("path", ["/webhooks/elsewhere", "/webhooks/", "/github", "/webhooks/github/x"])
def test_another_address_is_not_found(path: str) -> None:
    assert deliver(fakes(), path=path).status_code == 404


def test_a_get_is_refused() -> None:
    with pytest.raises(MethodNotAllowed):
        webhook(request("/webhooks/github", method="GET"), fakes().world())


def test_below_a_base_path_nothing_else_answers() -> None:
    made = fakes()
    made.settings["web"] = {"base_path": "/binder/"}
    assert deliver(made, path="/binder/webhooks/github").status_code == 202
    assert deliver(made).status_code == 404


@pytest.mark.parametrize("base_path", ["/", "/hub/"])
def test_where_one_function_has_the_address_it_takes_what_the_page_tells_hosts_to_call(base_path: str) -> None:
    made = fakes()
    made.settings["web"] = {"base_path": base_path}
    client = make_application(made.world()).test_client()
    page = client.get(base_path).get_data(as_text=True)
    [url] = re.findall(r'"url": "http://localhost(/[^"]*/github)"', page)
    body = json.dumps(sample("github-push-branch") | {"padding": "x" * 2_000_000}).encode()
    headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": signed(body, "new")}
    answer = client.post(url, data=body, headers=headers, content_type="application/json")
    assert (answer.status_code, answer.get_json()["status"]) == (202, "QUEUED")
    refused = client.post(url, data=body, headers={"X-Hub-Signature-256": signed(body, "guessed")})
    assert (refused.status_code, refused.get_json()["error"]) == (401, "BadSignature")
    assert (client.get(url).status_code, client.post(f"{base_path}webhooks/nope").status_code) == (405, 404)
    assert client.post(url, data=b"x" * (MOST_BYTES + 1)).status_code == 400
