"""doi.org, Zenodo, figshare, HydroShare, a Dataverse and a CKAN on one port of loopback, told apart by their names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from functions.adapters.addresses import PublicPool
from functions.adapters.http import ONCE
from functions.adapters.providers.ckan import Ckan
from functions.adapters.providers.dataverse import Dataverse
from functions.adapters.providers.dois import Dois
from functions.adapters.providers.figshare import Figshare
from functions.adapters.providers.hydroshare import HydroShare
from functions.adapters.providers.zenodo import Zenodo
from functions.core.ports import RepoProvider
from tests.fakes.web import Reply, Web, web_server

OWN = "127.0.0.1"


def on_loopback(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
    """A name server for which every host is this one."""
    return [(2, 1, 6, "", ("127.0.0.1", port))]


class DataWeb:
    """Sites by name, pages by path and query; what nobody has put there is a 404. `seen` is what was asked."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.port = web.port
        self.pool = PublicPool(allow_private=True, resolve=on_loopback)
        self._answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        web.answer = self._answer

    @property
    def seen(self) -> list[str]:
        return [f"{seen.method} {_host(seen.headers)}{seen.path}" for seen in self.web.seen]

    def put(self, at: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Answer so *at* a host and path such as `zenodo.org/records/1`."""
        self._answers[at] = (status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def say(self, at: str, said: Any, status: int = 200, **headers: str) -> None:
        """Answer with *said* as JSON."""
        self.put(at, status, json.dumps(said).encode(), **headers)

    def move(self, at: str, to: str, status: int = 302) -> None:
        """Redirect to *to*, which is a host and path here, a path of the same host, or a whole address."""
        self.put(at, status, b"<html>" + b"." * 100_000, Location=to if to[0] == "/" or "://" in to else self.url(to))

    def register(self, doi: str, to: str) -> None:
        """Let *doi* lead to *to*."""
        self.move(f"{OWN}/doi/{doi}", to)

    def url(self, at: str) -> str:
        host, slash, path = at.partition("/")
        return f"http://{host}:{self.port}{slash}{path}"

    def provider(self, prefix: str, *, pool: PublicPool | None = None, allow_http: bool = True) -> RepoProvider:
        """The provider, for whom doi.org, figshare's API and HydroShare are the operator's, on this machine."""
        pool = pool or self.pool
        dois = Dois(f"{self.web.url}/doi", pool=pool, allow_http=allow_http, timeout_s=5, retry=ONCE)
        api_url, url = f"{self.web.url}/figshare/", f"{self.web.url}/hydroshare/"
        providers: list[RepoProvider] = [
            Zenodo(dois),
            Figshare(dois, api_url=api_url, pool=pool, timeout_s=5, retry=ONCE),
            HydroShare(url=url, pool=pool, timeout_s=5, retry=ONCE),
            Dataverse(dois, pool=pool, timeout_s=5, retry=ONCE),
            Ckan(pool=pool, allow_http=allow_http, timeout_s=5, retry=ONCE),
        ]
        return next(provider for provider in providers if provider.prefix == prefix)

    def _answer(self, reply: Reply) -> None:
        status, body, headers = self._answers.get(f"{_host(dict(reply.headers))}{reply.path}", (404, b"nothing", {}))
        reply.send(status, body, headers)


@contextmanager
def data_web() -> Iterator[DataWeb]:
    with web_server() as web:
        yield DataWeb(web)


def _host(headers: dict[str, str]) -> str:
    return {name.lower(): value for name, value in headers.items()}["host"].rpartition(":")[0]
