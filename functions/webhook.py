"""A push to a repository: build its image before anyone clicks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from flask import Request, Response

from functions import edge
from functions.core.errors import BadRequest, MethodNotAllowed, NotAllowed
from functions.core.settings import Secret, WebhookSettings
from functions.core.webhooks import (
    MOST_BYTES,
    Ignored,
    Ping,
    Push,
    check_signature,
    check_token,
    read_body,
    read_github,
    read_gitlab,
    secrets_of,
)
from functions.launching.prebuilding import KEEP_S, prebuild
from functions.state import retention
from functions.world import World

log = logging.getLogger(__name__)

MOST_ID = 200
# Far longer than a delivery takes, and than a git host waits for its answer.
LEASE_S = 60.0
TOO_LARGE = f"A delivery has at most {MOST_BYTES // 1_000_000} MB."


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """How the deliveries of one kind of git host are sent. `check` proves the sender by the body and its header."""

    event_header: str
    id_header: str
    proof_header: str
    secrets: Callable[[WebhookSettings], Secret]
    check: Callable[[bytes, str | None, list[str]], None]
    read: Callable[[str, object, Sequence[str]], Push | Ping | Ignored]


HOSTS: Mapping[str, Host] = {
    "github": Host(
        event_header="X-GitHub-Event",
        id_header="X-GitHub-Delivery",
        proof_header="X-Hub-Signature-256",
        secrets=lambda settings: settings.github_secrets,
        check=check_signature,
        read=read_github,
    ),
    "gitlab": Host(
        event_header="X-Gitlab-Event",
        # X-Gitlab-Event-UUID is shared by events of which one has caused the other.
        id_header="Idempotency-Key",
        proof_header="X-Gitlab-Token",
        secrets=lambda settings: settings.gitlab_tokens,
        check=lambda _, token, tokens: check_token(token, tokens),
        read=read_gitlab,
    ),
}


def webhook(request: Request, world: World) -> Response:
    """`POST /webhooks/github` and `/webhooks/gitlab`. The answer says what was begun, or why nothing was."""
    prefix = f"{world.config.web.base_path}webhooks/"
    name = request.path.rstrip("/").removeprefix(prefix)
    if name not in HOSTS or not request.path.startswith(prefix):
        return edge.answer({"error": "NotFound", "message": "There is no such webhook here."}, status=404)
    if request.method != "POST":
        raise MethodNotAllowed("A webhook is a POST.")
    host = HOSTS[name]
    body = _verified_body(request, host, world)
    sent_as = request.headers.get(host.id_header, "")
    delivery = f"{name}/{sent_as}" if sent_as else ""
    if not _is_new(delivery, world):
        return edge.answer({"status": "ignored", "reason": "This delivery has come before."})
    try:
        payload = read_body(body, request.mimetype)
        asked = host.read(request.headers.get(host.event_header, ""), payload, world.config.webhooks.forges)
        answer = _answer(asked, world)
    except Exception:
        # Sent again, by hand or by the host, it has the same id.
        world.store.delete("delivery", delivery)
        raise
    _keep(delivery, world)
    return answer


def _verified_body(request: Request, host: Host, world: World) -> bytes:
    """The raw body, once its sender is known. Raises NotAllowed, BadRequest and BadSignature."""
    secrets = secrets_of(host.secrets(world.config.webhooks))
    if not secrets:
        raise NotAllowed("These webhooks are switched off: no secret is set.")
    if (request.content_length or 0) > MOST_BYTES:
        raise BadRequest(TOO_LARGE)
    # One that comes without its length is cut there.
    request.max_content_length = MOST_BYTES + 1
    body = request.get_data(cache=False)
    if len(body) > MOST_BYTES:
        raise BadRequest(TOO_LARGE)
    host.check(body, request.headers.get(host.proof_header), secrets)
    return body


def _is_new(delivery: str, world: World) -> bool:
    """Whether *delivery* (host and id) has not come before; one without an id always is, and so is one whose handler
    has died."""
    if len(delivery) > MOST_ID:
        raise BadRequest("The id of the delivery is too long.")
    now = world.clock.now()
    begun = {"expires_on": retention.expires_on(now, keep_s=KEEP_S), "lease_until": now + LEASE_S}
    if not delivery or world.store.create_if_absent("delivery", delivery, begun) is not None:
        return True
    known = world.store.get("delivery", delivery)
    if known is None or not 0 < float(known.data.get("lease_until", 0)) < now:
        return False
    return world.store.compare_and_set("delivery", delivery, known.version, begun) is not None


def _keep(delivery: str, world: World) -> None:
    """Remember that *delivery* has been handled."""
    known = world.store.get("delivery", delivery) if delivery else None
    if known is not None:
        world.store.compare_and_set("delivery", delivery, known.version, {**known.data, "lease_until": 0.0})


def _answer(asked: Push | Ping | Ignored, world: World) -> Response:
    match asked:
        case Ping():
            return edge.answer({"status": "pong"})
        case Ignored(reason):
            return edge.answer({"status": "ignored", "reason": reason})
        case Push():
            told = prebuild(asked, world)
            fields = {name: value for name, value in asdict(told).items() if value}
            where = {"provider": asked.provider, "repository": asked.repository, "ref": asked.ref}
            log.info("pushed", extra={"fields": where | fields})
            return edge.answer(fields, status=200 if told.status == "ignored" else 202)
