"""A push to a repository: build its image before anyone clicks."""

from __future__ import annotations

import logging

from flask import Request, Response

from functions import edge
from functions.building import ensure_build
from functions.core.errors import BadRequest, NotAllowed
from functions.core.names import image_name
from functions.core.ports import ImageFound
from functions.core.webhooks import MOST_BYTES, Ignored, Prebuild, check_signature, read_github
from functions.world import World

log = logging.getLogger(__name__)


def webhook(request: Request, world: World) -> Response:
    """`POST /webhooks/github`. The answer says what was begun, or why nothing was."""
    if request.path.rstrip("/") != f"{world.config.web.base_path}webhooks/github":
        return edge.answer({"error": "NotFound", "message": "There is no such webhook here."}, status=404)
    if request.method != "POST" or (request.content_length or 0) > MOST_BYTES:
        raise BadRequest("A webhook is a POST of at most 5 MB.")
    secrets = [secret for secret in world.config.webhooks.github_secrets.reveal().split(",") if secret]
    if not secrets:
        raise NotAllowed("Webhooks are switched off: no secret is set.")
    body = request.get_data(cache=False)
    check_signature(body, request.headers.get("X-Hub-Signature-256"), secrets)
    wish = read_github(request.headers.get("X-GitHub-Event", ""), body, world.config.webhooks.repositories)
    match wish:
        case Ignored(reason):
            return edge.answer({"ignored": reason})
        case Prebuild(provider, spec):
            return edge.answer(_prebuild(provider, spec, world), status=202)


def _prebuild(provider: str, spec: str, world: World) -> dict[str, str]:
    repo = world.providers[provider].resolve(spec)
    image = image_name(world.config.registry.image_prefix, repo.slug, repo.sha)
    if isinstance(world.registry.find(image), ImageFound):
        return {"image": image, "status": "there already"}
    build = ensure_build(repo, image, world, host=world.config.web.badge_base_url)
    log.info("prebuilding", extra={"fields": {"provider": provider, "spec": spec, "image": image}})
    return {"image": image, "status": build.status.value}
