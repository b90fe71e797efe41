"""The metadata servers of machines: each tells the machine behind it the access tokens of its service account.

A real one is reached by the machine itself only. Here everything shares one loopback address, strangers' code as well,
so each machine has a metadata server below a path that nobody else knows.

https://cloud.google.com/compute/docs/metadata/querying-metadata
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from aiohttp import web

from emulator.cloud.access_tokens import LIFETIME_S, AccessTokens

_FLAVOR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
SCOPES = "https://www.googleapis.com/auth/cloud-platform"


class MetadataServers:
    """*machines* are the service account of each machine, by the secret of its path."""

    def __init__(self, machines: Mapping[str, str], tokens: AccessTokens) -> None:
        self._machines = machines
        self._tokens = tokens

    def routes(self) -> list[web.RouteDef]:
        account = "/machines/{secret}/computeMetadata/v1/instance/service-accounts/{account}"
        return [
            web.get(f"{account}/token", self._token),
            web.get(f"{account}/email", self._email),
            web.get(f"{account}/scopes", self._scopes),
            web.get("/machines/{secret}{slash:/?}", self._root),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        token = self._tokens.issue(self._account(request))
        # One second less than it is good for: no answer arrives at once.
        body = {"access_token": token, "expires_in": LIFETIME_S - 1, "token_type": "Bearer"}
        return web.json_response(body, headers=_FLAVOR)

    async def _email(self, request: web.Request) -> web.Response:
        return web.Response(text=self._account(request), headers=_FLAVOR)

    async def _scopes(self, request: web.Request) -> web.Response:
        self._account(request)
        return web.Response(text=SCOPES, headers=_FLAVOR)

    async def _root(self, request: web.Request) -> web.Response:
        self._known(request)
        return web.Response(text="computeMetadata/\n", headers=_FLAVOR)

    def _account(self, request: web.Request) -> str:
        email = self._known(request)
        if request.headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in request.headers:
            raise web.HTTPForbidden(text="Missing Metadata-Flavor:Google header.", headers=_FLAVOR)
        if request.match_info["account"] not in ("default", email):
            raise web.HTTPNotFound(text="service account not found", headers=_FLAVOR)
        return email

    def _known(self, request: web.Request) -> str:
        given = request.match_info["secret"].encode(errors="surrogateescape")
        for secret, email in self._machines.items():
            if hmac.compare_digest(given, secret.encode()):
                return email
        raise web.HTTPNotFound()
