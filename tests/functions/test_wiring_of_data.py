"""The settings of published data reach the providers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from functions.application import make_application
from functions.core import config as configuration
from functions.core.errors import NotAllowed
from functions.wiring import make_world
from functions.world import World
from tests.fakes.data_web import OWN, DataWeb, data_web
from tests.fakes.world import DOCUMENT, events

RESOURCE = "142c59757ed54de1816777828c9716e7"


@pytest.fixture
def web() -> Iterator[DataWeb]:
    with data_web() as web:
        yield web


def world(web: DataWeb, folder: Path, **providers: Any) -> World:
    document = DOCUMENT | {
        "store": {"path": str(folder / "store.sqlite")},
        "providers": {"doi_url": f"{web.web.url}/doi", **providers},
        "figshare": {"api_url": f"{web.web.url}/figshare"},
        "hydroshare": {"url": f"{web.web.url}/hydroshare"},
    }
    return make_world(configuration.load(document, {})[0])


def test_published_data_is_found_where_the_settings_say(web: DataWeb, tmp_path: Path) -> None:
    web.register("10.6084/m9.figshare.97", "figshare.com/articles/a/97")
    web.say(f"{OWN}/figshare/v2/articles/97/versions", [{"version": 2}])
    web.say(
        f"{OWN}/hydroshare/hsapi/resource/{RESOURCE}/scimeta/elements",
        {"dates": [{"type": "modified", "start_date": "2018-12-27T18:16:46Z"}]},
    )
    providers = world(web, tmp_path).providers
    assert providers["figshare"].resolve("10.6084/m9.figshare.97").sha == "97.v2"
    assert providers["hydroshare"].resolve(RESOURCE).sha == f"{RESOURCE}.v1545934606"


def test_hosts_that_strangers_choose_are_outside_unless_the_settings_say_so(web: DataWeb, tmp_path: Path) -> None:
    query = "persistentId=doi:10.1/X"
    latest = {"versionNumber": 1, "versionMinorNumber": 0}
    data = {"id": 5, "authority": "10.1", "identifier": "X", "latestVersion": latest}
    web.register("10.1/X", f"{OWN}/dataset.xhtml?{query}")
    web.say(f"{OWN}/api/datasets/:persistentId?{query}", {"status": "OK", "data": data})
    web.say(
        f"{OWN}/api/3/action/package_show?id=x",
        {"success": True, "result": {"metadata_modified": "2018-12-27T18:16:46"}},
    )
    specs = {"dataverse": "10.1/X", "ckan": quote(f"{web.web.url}/dataset/x", safe="")}
    opened = world(web, tmp_path, allow_http=True, allow_private_addresses=True).providers
    assert {prefix: opened[prefix].resolve(spec).sha for prefix, spec in specs.items()} == {
        "dataverse": "5.v1.0",
        "ckan": "x.v1545934606",
    }
    for settings in ({}, {"allow_http": True}, {"allow_private_addresses": True}):
        shut = world(web, tmp_path, **settings).providers
        for prefix, spec in specs.items():
            with pytest.raises(NotAllowed):
                shut[prefix].resolve(spec)


def test_a_resource_that_is_not_recognised_is_told_inside_the_stream(web: DataWeb, tmp_path: Path) -> None:
    client = make_application(world(web, tmp_path)).test_client()
    answer = client.get("/build/hydroshare/nonsense", headers={"Accept": "text/event-stream"})
    [told] = events(answer.get_data(as_text=True).split("\n\n"))
    assert (told["phase"], told["status_code"]) == ("failed", 400)
    assert told["message"].startswith("The specified Hydroshare resource id was not recognized.")


def test_providers_are_shown_in_the_order_of_the_settings(web: DataWeb, tmp_path: Path) -> None:
    assert list(world(web, tmp_path, enabled=["ckan", "zenodo"]).providers) == ["ckan", "zenodo"]
    data = ["zenodo", "figshare", "hydroshare", "dataverse", "ckan"]
    assert [prefix for prefix in world(web, tmp_path).providers if prefix in data] == data
