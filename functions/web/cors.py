"""Which other sites' pages may read our answers: https://fetch.spec.whatwg.org/#http-cors-protocol.

Credentials are never allowed: the browser's cookie is for our own pages.
"""

from __future__ import annotations

from collections.abc import Collection

from flask import Request, Response, current_app

# What clients of BinderHub send. What else a page asks for is not repeated to it: it would allow everything.
ALLOWED_HEADERS = "Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, X-XSRFToken"
EXPOSED_HEADERS = "Location, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
# Browsers keep it no longer than that.
PREFLIGHT_AGE_S = 7200
# What any site may show or ask: badges, and whether this is a BinderHub and for which repositories.
OPEN_TO_ALL = frozenset({"api.versions", "api.repo_providers", "files.asset", "files.well_known"})


def preflight(request: Request, *, shared: bool = True) -> Response:
    """The answer to OPTIONS; `allow` completes it. What does not exist may be asked for, to be told so readably. What
    is not *shared* is for no other site's pages."""
    # Several views may share an address, each with methods of its own.
    adapter = current_app.create_url_adapter(request)
    methods = set(adapter.allowed_methods() if adapter else ()) or {"GET", "HEAD", "OPTIONS"}
    allowed = ", ".join(sorted(methods))
    to_others = {
        "Access-Control-Allow-Methods": allowed,
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_AGE_S),
    }
    response = Response(status=204, headers={"Allow": allowed, **(to_others if shared else {})})
    # Of no content there is no type.
    del response.headers["Content-Type"]
    return response


def allow(request: Request, response: Response, origins: Collection[str]) -> None:
    """Let pages of the sites in *origins* (`*`: of all) read *response*."""
    origin = request.headers.get("Origin", "")
    if request.endpoint in OPEN_TO_ALL or "*" in origins:
        response.headers["Access-Control-Allow-Origin"] = "*"
    elif origins:
        # A cache must not give one site the answer that names another.
        response.vary.add("Origin")
        if origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
    if "Access-Control-Allow-Origin" in response.headers:
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
