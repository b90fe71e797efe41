"""The pages a person sees: the form that makes a link, the progress of a launch, badges and static files."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
)

from functions import visitor
from functions.core.errors import BinderError
from functions.core.specs import decoded, parse_target
from functions.world import World

site = Blueprint("pages", __name__)

STATIC = Path(__file__).parent / "web" / "static"
A_YEAR_S, AN_HOUR_S = 365 * 24 * 3600, 3600
TAGLINE = "Reproducible, sharable, open, interactive computing environments."


def _world() -> World:
    world: World = current_app.config["WORLD"]
    return world


@site.get("/")
def home() -> Response:
    """The form that turns a repository's address into a launch link and a badge."""
    return _page("index.html", title="Binderless")


@site.get("/about")
def about() -> Response:
    """What this hub is, and which version."""
    return _page("about.html", title="About", version=_world().config.web.version)


@site.get("/v2/<provider>/<path:_spec>")
def loading(provider: str, _spec: str) -> Response:
    """The page that follows one launch and ends in the running server."""
    world = _world()
    found = world.providers.get(provider)
    if found is None:
        return not_found()
    try:
        spec = parse_target(visitor.raw_target(request), "v2").spec
    except BinderError:
        return not_found()
    name = found.display_config()["displayName"]
    response = _page(
        "loading.html", title=f"{name}: {spec}", kind=name, heading=_readable(spec), provider=provider, spec=spec
    )
    response.headers["Cache-Control"] = "no-store"
    if not visitor.browser(request):
        visitor.remember_browser(request, response, world.new_id())
    return response


@site.get("/repo/<user>/<repo>", defaults={"path": ""})
@site.get("/repo/<user>/<repo>/<path:path>")
def legacy_repo(user: str, repo: str, path: str) -> Response:
    """Links of the first Binder, of 2016."""
    inner = path.strip("/")
    query = f"?{urlencode({'urlpath': f'/{inner}'})}" if inner else ""
    return make_response(redirect(f"/v2/gh/{quote(user)}/{quote(repo)}/master{query}"))


@site.get("/assets/<name>", defaults={"version": ""})
@site.get("/assets/<version>/<name>")
def static(name: str, version: str) -> Response:
    """Scripts, styles and pictures of the pages. What a page asks for by its version never changes."""
    return _file(name, max_age_s=A_YEAR_S if version == _version() else 0)


@site.get("/badge.svg")
@site.get("/badge_logo.svg")
@site.get("/assets/images/badge.svg")
@site.get("/logo_social.png")
def well_known() -> Response:
    """What other sites show of us: badges in README files, the picture of link previews."""
    return _file(request.path.rpartition("/")[2])


def not_found() -> Response:
    """The page for addresses that lead nowhere."""
    response = _page("not_found.html", title="404: Not Found")
    response.status_code = 404
    return response


def _file(name: str, *, max_age_s: int = AN_HOUR_S) -> Response:
    response = send_from_directory(STATIC, name, max_age=max_age_s)
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


@cache
def _version() -> str:
    """Of all static files together: a page must not meet the scripts of another one, kept by a browser."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _readable(spec: str) -> str:
    try:
        return decoded(spec)
    except BinderError:
        return spec


def _page(template: str, *, title: str, **values: Any) -> Response:
    world = _world()
    config = {
        "baseUrl": "/",
        "badgeBaseUrl": visitor.host_url(request, world.config),
        "binderVersion": world.config.web.version,
        "repoProviders": [provider.display_config() for provider in world.providers.values()],
    }
    html = render_template(
        template,
        title=title,
        tagline=TAGLINE,
        host=visitor.host_url(request, world.config),
        static=f"/assets/{_version()}/",
        page_config=_script_json(config),
        nonce=g.nonce,
        **values,
    )
    return make_response(html)


def _script_json(value: Any) -> str:
    # Inside a script element, "</script>" and "<!--" would end or comment it, wherever they stand.
    return re.sub(r"[<>&\u2028\u2029]", lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value))
