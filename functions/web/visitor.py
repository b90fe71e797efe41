"""What a request says of who sent it: the address they use for us, their own address, their browser's cookie."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Request, Response

from functions.core import resume
from functions.core.settings import Config

COOKIE_AGE_S = 24 * 3600


def raw_target(request: Request) -> str:
    """The request target as it was sent: WSGI's decoded path has lost `%2F` and double slashes."""
    return str(request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.full_path)


def host_url(request: Request, config: Config) -> str:
    """The address under which the visitor knows us, base path included, with a trailing slash."""
    if config.web.badge_base_url:
        return config.web.badge_base_url.rstrip("/") + "/"
    return f"{scheme(request)}://{request.host}{config.web.base_path}"


def origin(request: Request) -> str:
    """Host and port of the site whose page sends the request: its Origin header's, else those we were asked by."""
    return urlsplit(request.headers.get("Origin", "")).netloc or request.host


def scheme(request: Request) -> str:
    """https behind a load balancer that says so."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip()
    return forwarded if forwarded in ("http", "https") else request.scheme


def client_ip(request: Request, config: Config) -> str:
    """The visitor's address: the entry that our outermost proxy added; what stands before it anybody can write."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    proxies = config.web.proxies
    if proxies and len(hops) >= proxies:
        return hops[-proxies]
    return request.remote_addr or ""


def browser(request: Request, config: Config) -> str:
    """The browser id from its cookie, or empty."""
    cookie = request.cookies.get(_cookie_name(request, config), "")
    return cookie if resume.valid_browser(cookie) else ""


def remember_browser(request: Request, response: Response, browser_id: str, config: Config) -> None:
    """Give the browser an id to come back with: host-only, unreadable to scripts, sent only from our own pages."""
    response.set_cookie(
        _cookie_name(request, config),
        browser_id,
        max_age=COOKIE_AGE_S,
        path=config.web.base_path,
        httponly=True,
        samesite="Lax",
        secure=scheme(request) == "https",
    )


def _cookie_name(request: Request, config: Config) -> str:
    # Such a cookie is for TLS, and for all of a host.
    bound = scheme(request) == "https" and config.web.base_path == "/"
    return resume.HOST_COOKIE if bound else resume.COOKIE
