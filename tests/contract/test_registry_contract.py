"""What every Registry promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.adapters.http import HttpClient
from functions.adapters.registry import OCIRegistry
from functions.core.ports import ImageFound, ImageMissing, Registry
from tests.contract.cloud import Cloud
from tests.fakes.registry import FakeRegistry

# A registry, and what puts an image into it and returns its digest.
Bench = tuple[Registry, Callable[[str], str]]


def http_bench(cloud: Cloud) -> Bench:
    client = HttpClient("The registry", cloud.registry_url)

    def put(image: str) -> str:
        repository, _, tag = image.partition("/")[2].rpartition(":")
        return cloud.push_image(repository, tag)

    return OCIRegistry(client, username="builder", password=cloud.token), put


def fake_bench() -> Bench:
    registry = FakeRegistry()
    return registry, registry.put


@pytest.fixture(params=["fake", "http"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return fake_bench() if request.param == "fake" else http_bench(request.getfixturevalue("cloud"))


def test_an_unknown_image_is_missing(bench: Bench) -> None:
    registry, _ = bench
    assert registry.find("127.0.0.1:5000/r2d-unknown:1") == ImageMissing()


def test_an_image_is_found_with_its_digest(bench: Bench) -> None:
    registry, put = bench
    digest = put("127.0.0.1:5000/team/r2d-found:c0ffee")
    assert registry.find("127.0.0.1:5000/team/r2d-found:c0ffee") == ImageFound(digest)


def test_another_tag_of_an_image_is_missing(bench: Bench) -> None:
    registry, put = bench
    put("127.0.0.1:5000/r2d-tagged:one")
    assert registry.find("127.0.0.1:5000/r2d-tagged:two") == ImageMissing()


def test_an_image_that_was_missing_is_found_once_it_is_there(bench: Bench) -> None:
    registry, put = bench
    assert registry.find("127.0.0.1:5000/r2d-later:1") == ImageMissing()
    digest = put("127.0.0.1:5000/r2d-later:1")
    assert registry.find("127.0.0.1:5000/r2d-later:1") == ImageFound(digest)
