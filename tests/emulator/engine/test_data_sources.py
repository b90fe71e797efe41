"""What the data providers hand to a build is what repo2docker recognises."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from repo2docker.contentproviders import CKAN, Dataverse, Figshare, Hydroshare, Zenodo
from repo2docker.utils import is_doi, normalize_doi

from functions.adapters.providers.hydroshare import HydroShare
from tests.fakes.data_web import OWN, DataWeb, data_web

RESOURCE = "142c59757ed54de1816777828c9716e7"


@pytest.fixture
def web() -> Iterator[DataWeb]:
    with data_web() as web:
        yield web


class ToldZenodo(Zenodo):  # type: ignore[misc]
    """Asks nobody where a DOI leads."""

    def doi2url(self, doi: str) -> str:
        return {"10.5281/zenodo.1": "https://zenodo.org/record/1"}.get(doi, doi)


class ToldFigshare(Figshare):  # type: ignore[misc]
    def doi2url(self, doi: str) -> str:
        return {"10.6084/m9.figshare.97.v3": "https://figshare.com/articles/code/a/97/3"}[doi]


class ToldDataverse(Dataverse):  # type: ignore[misc]
    hosts = ({"hostname": "data.example"},)

    def doi2url(self, doi: str) -> str:
        return {"10.7910/DVN/TJCLKP": "https://data.example/citation?persistentId=doi:10.7910/DVN/TJCLKP"}[doi]


class ToldHydroshare(Hydroshare):  # type: ignore[misc]
    def _fetch_version(self, host: object) -> str:
        return "1545934606"


def test_a_record_of_zenodo_is_recognised_by_its_doi_or_address(web: DataWeb) -> None:
    web.register("10.5281/zenodo.1", "zenodo.org/records/2")
    web.register("10.9999/mine", "zenodo.org/records/2")
    web.put("zenodo.org/records/2")
    zenodo = web.provider("zenodo")
    assert ToldZenodo().detect(zenodo.resolve("10.5281/zenodo.1").repo_url)["record"] == "1"
    assert ToldZenodo().detect(zenodo.resolve("10.9999/mine").repo_url)["record"] == "2"


def test_an_article_of_figshare_is_recognised_by_its_doi(web: DataWeb) -> None:
    web.register("10.6084/m9.figshare.97.v3", "figshare.com/articles/code/a/97/3")
    found = web.provider("figshare").resolve("https%3A%2F%2Fdoi.org%2F10.6084%2Fm9.figshare.97.v3")
    figshare = ToldFigshare()
    assert figshare.detect(found.repo_url)
    assert figshare.content_id == found.sha


def test_a_resource_of_hydroshare_is_recognised_by_its_address(web: DataWeb) -> None:
    dates = {"dates": [{"type": "modified", "start_date": "2018-12-27T18:16:46"}]}
    web.say(f"{OWN}/hydroshare/hsapi/resource/{RESOURCE}/scimeta/elements", dates)
    found = web.provider("hydroshare").resolve(RESOURCE)
    real = found.repo_url.replace(f"{web.web.url}/hydroshare", "https://www.hydroshare.org")
    hydroshare = ToldHydroshare()
    assert hydroshare.detect(real)
    assert hydroshare.content_id == found.sha


def test_hydroshare_is_where_repo2docker_looks_for_it() -> None:
    assert "https://www.hydroshare.org" in (HydroShare.__init__.__kwdefaults__ or {}).values()


def test_a_dataset_of_a_dataverse_is_recognised_by_its_doi(web: DataWeb) -> None:
    query = "persistentId=doi:10.7910/DVN/TJCLKP"
    latest = {"versionNumber": 4, "versionMinorNumber": 0}
    data = {"id": 5, "authority": "10.7910", "identifier": "DVN/TJCLKP", "latestVersion": latest}
    web.register("10.7910/DVN/TJCLKP", f"data.example/citation?{query}")
    web.say(f"data.example/api/datasets/:persistentId?{query}", {"status": "OK", "data": data})
    source = web.provider("dataverse").resolve("10.7910/DVN/TJCLKP").repo_url
    assert is_doi(source) and normalize_doi(source) == source
    assert query in ToldDataverse().detect(source)


@pytest.mark.parametrize(("tail", "activity"), [("", None), ("?activity_id=9f", "9f"), ("/history/9f", "9f")])
def test_a_dataset_of_ckan_is_recognised_by_its_address(web: DataWeb, tail: str, activity: str | None) -> None:
    changed = {"success": True, "result": {"metadata_modified": "2023-11-14T22:13:20.000001"}}
    api = f"{OWN}/data/api/3/action"
    web.put(f"{api}/status_show")
    web.say(f"{api}/package_show?id=x", changed)
    web.say(f"{api}/activity_data_show?id=9f&object_type=package", changed)
    found = web.provider("ckan").resolve(quote(f"{web.web.url}/data/dataset/x{tail}", safe=""))
    ckan = CKAN()
    detected = ckan.detect(found.repo_url)
    assert (detected["dataset_id"], detected["activity_id"]) == ("x", activity)
    assert ckan.content_id == found.sha
