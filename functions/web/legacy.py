"""Addresses of earlier Binders that old links and clients still use."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, current_app, make_response, redirect

from functions import edge
from functions.core.ports import RepoProvider
from functions.world import World

links = Blueprint("links", __name__)
old_api = Blueprint("old_api", __name__)

# What BinderHub's `/_config` called the fields of its form, where that is not what it calls them now.
_TEXTS = {
    "git": "Arbitrary git repository URL (http://git.example.com/repo)",
    "gl": "GitLab.com repository or URL",
    "zenodo": "Zenodo DOI (10.5281/zenodo.3242074)",
    "figshare": "Figshare DOI (10.6084/m9.figshare.9782777.v1)",
    "hydroshare": "Hydroshare resource id or URL",
    "dataverse": "Dataverse DOI (10.7910/DVN/TJCLKP)",
}
_TAG_TEXTS = {"gist": "Git commit SHA"}


@links.get("/repo/<user>/<repo>", defaults={"path": ""})
@links.get("/repo/<user>/<repo>/", defaults={"path": ""})
@links.get("/repo/<user>/<repo>/<path:path>")
def repo(user: str, repo: str, path: str) -> Response:
    """Links of the first Binder, of 2016."""
    world: World = current_app.config["WORLD"]
    target = f"{world.config.web.base_path}v2/gh/{quote(user, safe='')}/{quote(repo, safe='')}/master"
    query = f"?{urlencode({'urlpath': f'/{path}'})}" if path.strip("/") else ""
    return make_response(redirect(target + query))


@old_api.get("/_config")
def config() -> Response:
    """What `/api/repoproviders` tells now, as BinderHub told it until 2024."""
    world: World = current_app.config["WORLD"]
    return edge.answer({prefix: _labels(provider) for prefix, provider in world.providers.items()})


def _labels(provider: RepoProvider) -> dict[str, Any]:
    shown = provider.display_config()
    disabled = not shown["ref"]["enabled"]
    return {
        "text": _TEXTS.get(provider.prefix, shown["repo"]["label"]),
        "tag_text": _TAG_TEXTS.get(provider.prefix, "Git ref (branch, tag, or commit)"),
        "ref_prop_disabled": disabled,
        "label_prop_disabled": disabled,
    }
