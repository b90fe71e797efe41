"""The pages a person sees: the form that makes a link, the progress of a launch, badges and static files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, g, make_response, render_template, request, send_from_directory
from werkzeug.exceptions import NotFound

from functions.core import build_tokens
from functions.core.errors import InvalidSpec
from functions.core.specs import LaunchTarget, decoded, parse_target
from functions.edge import Refusal
from functions.web import visitor
from functions.world import World

site = Blueprint("pages", __name__)
files = Blueprint("files", __name__)

STATIC = Path(__file__).parent / "web" / "static"
A_YEAR_S, AN_HOUR_S = 365 * 24 * 3600, 3600
TAGLINE = "Reproducible, sharable, open, interactive computing environments."
LOGO_WIDTH = "320px"


def _world() -> World:
    world: World = current_app.config["WORLD"]
    return world


@site.get("/")
def home() -> Response:
    """The form that turns a repository's address into a launch link and a badge."""
    webhooks = _webhooks()
    return _page(
        "index.html",
        title="Binderless",
        page_config={"webhooks": webhooks} if webhooks else {},
        webhooks=webhooks,
    )


def _webhooks() -> Mapping[str, Any]:
    """The webhooks that are switched on, by provider: what a host is told to call, and the site where that is done."""
    config = _world().config
    if not config.webhooks.repositories:
        return {}
    base = f"{visitor.host_url(request, config)}webhooks/"
    known = {
        "gh": (config.webhooks.github_secrets, {"url": f"{base}github", "site": config.github.url.rstrip("/")}),
        "gl": (config.webhooks.gitlab_tokens, {"url": f"{base}gitlab", "site": config.gitlab.url.rstrip("/")}),
    }
    return {name: shown for name, (secrets, shown) in known.items() if secrets and name in _world().providers}


@site.get("/about")
def about() -> Response:
    """What this hub is, and which version."""
    web = _world().config.web
    return _page("about.html", title="About", version=web.version, about_html=web.about_html)


@site.get("/v2/<provider>/<path:_spec>")
def loading(provider: str, _spec: str) -> Response:
    """The page that follows one launch and ends in the running server."""
    world = _world()
    if provider not in world.providers:
        raise NotFound("This hub knows no such kind of repository.")
    target = parse_target(visitor.raw_target(request), "v2", base_path=world.config.web.base_path)
    shown = world.providers[provider].display_config()
    name, heading = shown["displayName"], decoded(target.spec)
    _check_form(target, shown)
    response = _page(
        "loading.html",
        title=f"{name}: {target.spec}",
        page_config=_launch_config(target),
        kind=name,
        heading=heading,
        provider=provider,
        # With its trailing slashes: the stream is asked for by exactly what the page was asked for by.
        spec=target.raw_spec,
    )
    response.headers["Cache-Control"] = "no-store"
    if not visitor.browser(request, world.config):
        visitor.remember_browser(request, response, world.new_id(), world.config)
    return response


def _launch_config(target: LaunchTarget) -> Mapping[str, Any]:
    """What `pageConfig` has on the page of one launch only. loading.js passes a `buildToken` on to the stream."""
    world = _world()
    settings = world.config.launches
    page = build_tokens.Page(provider=target.provider, raw_spec=target.raw_spec, origin=visitor.origin(request))
    token = build_tokens.mint(
        page, build_tokens.token_keys(settings), now=world.clock.now(), expires_s=settings.token_expires_s
    )
    return {"buildToken": token}


def _check_form(target: LaunchTarget, shown: Mapping[str, Any]) -> None:
    """Refuse what cannot be launched before somebody waits for it; the provider itself looks closer."""
    if not re.search(shown["spec"]["validateRegex"], target.spec):
        end = ", and which branch, tag or commit (HEAD will do)" if shown["ref"]["enabled"] else ""
        raise InvalidSpec(f'"{decoded(target.spec)}" does not say which repository of {shown["displayName"]}{end}.')


@files.get("/assets/<name>", defaults={"version": ""})
@files.get("/assets/<version>/<name>")
def asset(name: str, version: str) -> Response:
    """Scripts, styles and pictures of the pages. What a page asks for by its version never changes."""
    return _file(name, max_age_s=A_YEAR_S if version == _version() else 0)


@files.get("/badge.svg")
@files.get("/badge_logo.svg")
@files.get("/assets/images/badge.svg")
@files.get("/logo_social.png")
def well_known() -> Response:
    """What other sites show of us: badges in README files, the picture of link previews."""
    return _file(request.path.rpartition("/")[2])


def refused(refusal: Refusal) -> Response:
    """The page for addresses that lead nowhere, and for what went wrong."""
    title = f"{refusal.status}: {refusal.phrase}"
    response = _page("refused.html", title=title, message=refusal.message)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response


def _file(name: str, *, max_age_s: int = AN_HOUR_S) -> Response:
    return send_from_directory(STATIC, name, max_age=max_age_s)


@cache
def _version() -> str:
    """Of all static files together: a page must not meet the scripts of another one, kept by a browser."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _page(template: str, *, title: str, page_config: Mapping[str, Any] | None = None, **values: Any) -> Response:
    web = _world().config.web
    static = f"{web.base_path}assets/{_version()}/"
    html = render_template(
        template,
        title=title,
        tagline=TAGLINE,
        base=web.base_path,
        host=visitor.host_url(request, _world().config),
        static=static,
        banner_html=web.banner_html,
        page_config=_script_json(_page_config(static) | dict(page_config or {})),
        nonce=g.nonce,
        **values,
    )
    response = make_response(html)
    # It names the host that this visitor used: nobody else should get it.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _page_config(static: str) -> dict[str, Any]:
    """What BinderHub's pages have in `window.pageConfig`; other tools read it too."""
    world = _world()
    web = world.config.web
    return {
        "aboutMessage": web.about_html,
        "badgeBaseUrl": visitor.host_url(request, world.config),
        "bannerHtml": web.banner_html,
        "baseUrl": web.base_path,
        "binderVersion": web.version,
        "logoUrl": f"{static}logo.svg",
        "logoWidth": LOGO_WIDTH,
        "repoProviders": [provider.display_config() for provider in world.providers.values()],
    }


def _script_json(value: Any) -> str:
    # Inside a script element, "</script>" and "<!--" would end or comment it, wherever they stand.
    return re.sub(r"[<>&\u2028\u2029]", lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value))
