"""What every Registry promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from functions.adapters.http import HttpClient
from functions.adapters.registry import OCIRegistry
from functions.adapters.registry_login import PasswordAccount
from functions.core.errors import UpstreamError
from functions.core.names import parse_image
from functions.core.ports import ImageFound, ImageMissing, Registry
from tests.contract import distribution
from tests.contract.cloud import Cloud
from tests.contract.distribution import PASSWORD, USER, Distribution
from tests.fakes.registry import FakeRegistry

HOST = "127.0.0.1:5000"
REAL: dict[str, Callable[[Path], AbstractContextManager[Distribution]]] = {
    "distribution": distribution.anonymous,
    "distribution-password": distribution.with_password,
    "distribution-token": distribution.with_tokens,
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A registry, and what puts an image into it and returns its digest; another *content* is another digest."""

    registry: Registry
    put: Callable[[str, str], str]


def fake_bench() -> Bench:
    registry = FakeRegistry()
    return Bench(registry, registry.put)


def http_bench(url: str, account: PasswordAccount, push: Callable[[str, str, str], str]) -> Bench:
    def put(image: str, content: str) -> str:
        name = parse_image(image)
        return push(name.repository, name.reference, content)

    return Bench(OCIRegistry(HttpClient("The registry", url), account=account), put)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Distribution]]:
    """Starts each kind of real registry once."""
    with ExitStack() as running:
        yield cache(lambda kind: running.enter_context(REAL[kind](tmp_path_factory.mktemp(kind))))


@pytest.fixture(params=["fake", "emulator", *REAL])
def bench(request: pytest.FixtureRequest, start: Callable[[str], Distribution]) -> Bench:
    if request.param == "fake":
        return fake_bench()
    if request.param == "emulator":
        cloud: Cloud = request.getfixturevalue("cloud")
        return http_bench(cloud.registry_url, PasswordAccount("builder", cloud.token), cloud.push_image)
    server = start(request.param)
    account = PasswordAccount() if request.param == "distribution" else PasswordAccount(USER, PASSWORD)
    return http_bench(server.url, account, server.push_image)


def test_an_unknown_image_is_missing(bench: Bench) -> None:
    assert bench.registry.find(f"{HOST}/r2d-unknown:1") == ImageMissing()


def test_an_image_is_found_with_its_digest(bench: Bench) -> None:
    digest = bench.put(f"{HOST}/team/r2d-found:c0ffee", "")
    assert bench.registry.find(f"{HOST}/team/r2d-found:c0ffee") == ImageFound(digest)


def test_an_image_is_found_by_its_digest(bench: Bench) -> None:
    digest = bench.put(f"{HOST}/r2d-digest:1", "")
    assert bench.registry.find(f"{HOST}/r2d-digest@{digest}") == ImageFound(digest)


def test_another_tag_of_an_image_is_missing(bench: Bench) -> None:
    bench.put(f"{HOST}/r2d-tagged:one", "")
    assert bench.registry.find(f"{HOST}/r2d-tagged:two") == ImageMissing()


def test_an_image_that_was_missing_is_found_once_it_is_there(bench: Bench) -> None:
    assert bench.registry.find(f"{HOST}/r2d-later:1") == ImageMissing()
    digest = bench.put(f"{HOST}/r2d-later:1", "")
    assert bench.registry.find(f"{HOST}/r2d-later:1") == ImageFound(digest)


def test_who_asks_for_a_fresh_answer_gets_the_image_that_is_there_now(bench: Bench) -> None:
    before = bench.put(f"{HOST}/r2d-again:1", "before")
    assert bench.registry.find(f"{HOST}/r2d-again:1") == ImageFound(before)
    after = bench.put(f"{HOST}/r2d-again:1", "after")
    assert bench.registry.find(f"{HOST}/r2d-again:1", fresh=True) == ImageFound(after) != ImageFound(before)


def test_an_image_is_deleted_and_no_other(bench: Bench) -> None:
    digest = bench.put(f"{HOST}/r2d-unwanted:1", "one")
    other = bench.put(f"{HOST}/r2d-unwanted:2", "two")
    for _ in range(2):
        assert bench.registry.delete(f"{HOST}/r2d-unwanted:1", digest)
    assert bench.registry.find(f"{HOST}/r2d-unwanted:1") == ImageMissing()
    assert bench.registry.find(f"{HOST}/r2d-unwanted:2") == ImageFound(other)


def test_who_may_only_read_deletes_nothing(cloud: Cloud) -> None:
    digest = cloud.push_image("r2d-kept", "1", "")
    reader = OCIRegistry(
        HttpClient("The registry", cloud.registry_url), account=PasswordAccount("functions", cloud.token)
    )
    assert not reader.delete(f"{HOST}/r2d-kept:1", digest)
    assert reader.find(f"{HOST}/r2d-kept:1") == ImageFound(digest)


@pytest.mark.parametrize("kind", REAL)
def test_a_deleted_image_is_missing(start: Callable[[str], Distribution], kind: str) -> None:
    server = start(kind)
    bench = http_bench(server.url, PasswordAccount(USER, PASSWORD), server.push_image)
    digest = bench.put(f"{HOST}/r2d-deleted:1", "")
    assert bench.registry.find(f"{HOST}/r2d-deleted:1") == ImageFound(digest)
    server.delete_image("r2d-deleted", digest)
    assert bench.registry.find(f"{HOST}/r2d-deleted:1", fresh=True) == ImageMissing()


@pytest.mark.parametrize("kind", ["distribution-password", "distribution-token"])
@pytest.mark.parametrize("account", [PasswordAccount(USER, "wrong"), PasswordAccount()], ids=["wrong", "anonymous"])
def test_who_is_not_let_in_is_not_told_that_an_image_is_missing(
    start: Callable[[str], Distribution], kind: str, account: PasswordAccount
) -> None:
    registry = OCIRegistry(HttpClient("The registry", start(kind).url), account=account, missing_on_401=True)
    with pytest.raises(UpstreamError, match="credentials"):
        registry.find(f"{HOST}/r2d-unknown:1")
