from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from functions.adapters.addresses import PublicPool
from functions.core.errors import (
    BinderError,
    InvalidSpec,
    RateLimited,
    RepoNotFound,
    UpstreamError,
)
from functions.core.names import image_name
from tests.fakes.data_web import OWN, DataWeb, data_web

NAMES = (Path(__file__).parents[1] / "core" / "binderhub_names.txt").read_text()
TURTLES = "data.depositar.io:~/dataset/binder-example-sea-turtle-sightings-in-taiwan"
ACTIVITY = "93df7fd0-0edc-4ebf-bac7-fbf5f78de90b"
RESOURCE, PUBLISHED = "142c59757ed54de1816777828c9716e7", "b8f6eae9d89241cf8b5904033460af61"
HARVARD = "dataverse.harvard.edu"
PERSISTENT = "persistentId=doi:10.7910/DVN/TJCLKP"


def modified(date: Any) -> dict[str, Any]:
    return {
        "dates": [{"type": "created", "start_date": "2001-01-01T00:00:00Z"}, {"type": "modified", "start_date": date}]
    }


def dataset(**changed: Any) -> dict[str, Any]:
    latest = {"versionState": "RELEASED", "versionNumber": 4, "versionMinorNumber": 0, "files": []}
    data = {
        "id": 3035124,
        "authority": "10.7910",
        "identifier": "DVN/TJCLKP",
        "persistentUrl": "https://doi.org/10.7910/DVN/TJCLKP",
        "latestVersion": latest,
    }
    return {"status": "OK", "data": {**data, **changed}}


def package(date: Any) -> dict[str, Any]:
    return {"success": True, "result": {"metadata_modified": date}}


@pytest.fixture
def web() -> Iterator[DataWeb]:
    """The web as the worked examples have it."""
    with data_web() as web:
        web.register("10.5281/zenodo.3242074", "zenodo.org/record/3242074")
        web.register("10.5281/zenodo.3242073", "zenodo.org/doi/10.5281/zenodo.3242073")
        web.move("zenodo.org/record/3242074", "/records/3242074", 301)
        web.move("zenodo.org/doi/10.5281/zenodo.3242073", "zenodo.org/records/3242073")
        web.move("zenodo.org/records/3242073", "/records/3242074")
        web.put("zenodo.org/records/3242074", 200, b"<html>" + b"." * 100_000)
        web.register("10.6084/m9.figshare.9782777", "figshare.com/articles/a/9782777")
        web.register("10.6084/m9.figshare.9782777.v1", "figshare.com/articles/a/9782777/1")
        versions = [{"version": 2}, {"version": 3}, {"version": 1}]
        web.say(f"{OWN}/figshare/v2/articles/9782777/versions", versions, ETag='"f1"')
        elements = f"{OWN}/hydroshare/hsapi/resource/{{}}/scimeta/elements"
        web.say(elements.format(RESOURCE), modified("2018-12-27T18:16:46.306451Z"))
        web.say(elements.format(PUBLISHED), modified("2020-03-23T23:16:48"))
        web.register("10.7910/DVN/TJCLKP", f"{HARVARD}/citation?{PERSISTENT}")
        web.say(f"{HARVARD}/api/datasets/:persistentId?{PERSISTENT}", dataset())
        web.register(
            "10.70122/S6/DE95RT", "dataverse.scholarsportal.info/dataset.xhtml?persistentId=doi:10.70122/S6/DE95RT"
        )
        version = {"versionNumber": 1, "versionMinorNumber": 0}
        web.say(
            "dataverse.scholarsportal.info/api/datasets/:persistentId?persistentId=doi:10.70122/S6/DE95RT",
            dataset(id=20460, authority="10.70122", identifier="S6/DE95RT", persistentUrl=None, latestVersion=version),
        )
        turtles = package("2024-04-02T02:10:31.845631")
        web.say(f"data.depositar.io/api/3/action/activity_data_show?id={ACTIVITY}&object_type=package", turtles)
        sample = package("2023-11-14T22:13:20")
        web.say("demo.ckan.org/api/3/action/package_show?id=my-sample-dataset-001", sample, ETag='W/"c1"')
        yield web


DOI_ORG = "https://doi.org"
TURTLES_SHA = "binder-example-sea-turtle-sightings-in-taiwan.v1712023831"
TURTLES_SLUG = "ckan-binder-example-sea-turtle-sightings-in-taiwan"
# provider, spec: ref, slug, resolved spec, repository URL, ref URL. ~ is the port, which the real sites do not have.
EXAMPLES = {
    ("zenodo", "10.5281/zenodo.3242074"): (
        *("3242074", "zenodo-3242074", "10.5281/zenodo.3242074"),
        *("10.5281/zenodo.3242074", f"{DOI_ORG}/10.5281/zenodo.3242074"),
    ),
    ("zenodo", "10.5281/zenodo.3242073"): (
        *("3242074", "zenodo-3242074", "10.5281/zenodo.3242074"),
        *("10.5281/zenodo.3242073", f"{DOI_ORG}/10.5281/zenodo.3242074"),
    ),
    ("figshare", "10.6084/m9.figshare.9782777.v1"): (
        *("9782777.v1", "figshare-9782777.v1", "10.6084/m9.figshare.9782777.v1"),
        *("10.6084/m9.figshare.9782777.v1", f"{DOI_ORG}/10.6084/m9.figshare.9782777.v1"),
    ),
    ("figshare", "10.6084/m9.figshare.9782777"): (
        *("9782777.v3", "figshare-9782777.v3", "10.6084/m9.figshare.9782777.v3"),
        *("10.6084/m9.figshare.9782777", f"{DOI_ORG}/10.6084/m9.figshare.9782777.v3"),
    ),
    ("hydroshare", f"https://www.hydroshare.org/resource/{RESOURCE}"): (
        *(f"{RESOURCE}.v1545934606", f"hydroshare-{RESOURCE}.v1545934606"),
        *[f"http://{OWN}:~/hydroshare/resource/{RESOURCE}"] * 3,
    ),
    ("hydroshare", f"10.4211/hs.{PUBLISHED}"): (
        *(f"{PUBLISHED}.v1585005408", f"hydroshare-{PUBLISHED}.v1585005408"),
        *[f"http://{OWN}:~/hydroshare/resource/{PUBLISHED}"] * 3,
    ),
    ("dataverse", "10.7910/DVN/TJCLKP"): (
        *("3035124.v4.0", "dataverse-dvn-2ftjclkp", "10.7910/DVN/TJCLKP"),
        *("10.7910/DVN/TJCLKP", f"{DOI_ORG}/10.7910/DVN/TJCLKP"),
    ),
    ("dataverse", "10.70122/S6/DE95RT"): (
        *("20460.v1.0", "dataverse-s6-2fde95rt", "10.70122/S6/DE95RT"),
        *("10.70122/S6/DE95RT", f"{DOI_ORG}/10.70122/S6/DE95RT"),
    ),
    ("ckan", f"http://{TURTLES}/?activity_id={ACTIVITY}"): (
        *(TURTLES_SHA, TURTLES_SLUG),
        *[f"http://{TURTLES}/?activity_id={ACTIVITY}"] * 3,
    ),
    ("ckan", f"http://{TURTLES}/history/{ACTIVITY}"): (
        *(TURTLES_SHA, TURTLES_SLUG),
        *[f"http://{TURTLES}/history/{ACTIVITY}"] * 3,
    ),
    ("ckan", "http://demo.ckan.org:~/dataset/my-sample-dataset-001"): (
        *("my-sample-dataset-001.v1700000000", "ckan-my-sample-dataset-001"),
        *["http://demo.ckan.org:~/dataset/my-sample-dataset-001"] * 3,
    ),
}


@pytest.mark.parametrize(("example", "expected"), EXAMPLES.items(), ids=[" ".join(key) for key in EXAMPLES])
def test_what_is_resolved_is_called_as_binderhub_calls_it(
    web: DataWeb, example: tuple[str, str], expected: tuple[str, ...]
) -> None:
    prefix, spec = example[0], example[1].replace("~", str(web.port))
    if prefix in ("hydroshare", "ckan"):
        spec = quote(spec, safe="")
    found = web.provider(prefix).resolve(spec)
    assert (found.provider, found.spec) == (prefix, spec)
    names = (found.sha, found.slug, found.resolved_spec, found.repo_url, found.ref_url)
    assert names == tuple(text.replace("~", str(web.port)) for text in expected)
    # One example is not among the recorded names.
    assert f"- | {found.slug} | {found.sha} | {image_name('', found.slug, found.sha)} |" in NAMES or PUBLISHED in spec


def test_no_page_is_loaded_to_see_where_a_doi_leads(web: DataWeb) -> None:
    web.provider("zenodo").resolve("10.5281/zenodo.3242073")
    assert web.seen == [
        f"HEAD {OWN}/doi/10.5281/zenodo.3242073",
        "HEAD zenodo.org/doi/10.5281/zenodo.3242073",
        "HEAD zenodo.org/records/3242073",
        "HEAD zenodo.org/records/3242074",
    ]


def test_a_version_of_figshare_needs_one_request(web: DataWeb) -> None:
    web.provider("figshare").resolve("10.6084/m9.figshare.9782777.v1")
    assert web.seen == [f"HEAD {OWN}/doi/10.6084/m9.figshare.9782777.v1"]


def test_a_dataverse_is_asked_for_what_the_doi_leads_to(web: DataWeb) -> None:
    web.provider("dataverse").resolve("10.7910/DVN/TJCLKP")
    query = "?persistentId=doi:10.7910/DVN/TJCLKP"
    assert web.seen == [f"HEAD {OWN}/doi/10.7910/DVN/TJCLKP", f"GET {HARVARD}/api/datasets/:persistentId{query}"]


def test_a_doi_can_be_written_in_any_case(web: DataWeb) -> None:
    web.register("10.7910/dvn/tjclkp", f"{HARVARD}/citation?{PERSISTENT}")
    found = web.provider("dataverse").resolve("10.7910/dvn/tjclkp")
    assert (found.slug, found.resolved_spec) == ("dataverse-dvn-2ftjclkp", "10.7910/DVN/TJCLKP")


def test_a_strangers_doi_of_a_record_is_built_from_that_record(web: DataWeb) -> None:
    web.register("10.9999/mine", "zenodo.org/records/3242074")
    found = web.provider("zenodo").resolve("10.9999/mine")
    assert (found.slug, found.repo_url) == ("zenodo-3242074", "https://zenodo.org/records/3242074")
    assert (found.resolved_spec, found.ref_url) == ("10.9999/mine", "https://doi.org/10.9999/mine")


def test_an_address_that_was_registered_without_tls_is_asked_with_it(web: DataWeb) -> None:
    asked: list[tuple[str, int]] = []

    def names(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        asked.append((host, port))
        raise OSError("unknown")

    web.register("10.5281/zenodo.1", "http://zenodo.org/record/1")
    pool = PublicPool(allow_private=True, allow_http=False, resolve=names)
    with pytest.raises(UpstreamError, match=r"zenodo\.org is not the name of a host"):
        web.provider("zenodo", pool=pool, allow_http=False).resolve("10.5281/zenodo.1")
    assert asked == [("zenodo.org", 443)]


@pytest.mark.parametrize("prefix", ["figshare", "ckan"])
def test_an_answer_that_is_known_is_not_sent_again(web: DataWeb, prefix: str) -> None:
    spec = {
        "figshare": "10.6084/m9.figshare.9782777",
        "ckan": quote(web.url("demo.ckan.org/dataset/my-sample-dataset-001"), safe=""),
    }[prefix]
    known = web.provider(prefix).resolve(spec)
    assert known.etag in ('"f1"', 'W/"c1"')
    web.put(f"{OWN}/figshare/v2/articles/9782777/versions", 304)
    web.put("demo.ckan.org/api/3/action/package_show?id=my-sample-dataset-001", 304)
    assert web.provider(prefix).resolve(spec, known) == known
    assert web.web.seen[-1].headers["if-none-match"] == known.etag
    with pytest.raises(UpstreamError, match="JSON"):
        web.provider(prefix).resolve(spec)


DOIS = {
    "zenodo": "10.5281/zenodo.3242074",
    "figshare": "10.6084/m9.figshare.9782777",
    "dataverse": "10.7910/DVN/TJCLKP",
}


@pytest.mark.parametrize(("prefix", "doi"), DOIS.items())
def test_a_doi_that_nobody_registered_is_not_found(web: DataWeb, prefix: str, doi: str) -> None:
    with pytest.raises(RepoNotFound, match=rf"There is no DOI {doi}9\. Is it complete"):
        web.provider(prefix).resolve(f"{doi}9")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_record_that_is_not_shown_is_not_found(web: DataWeb, status: int) -> None:
    web.put("zenodo.org/records/3242074", status)
    with pytest.raises(RepoNotFound, match=r"leads to zenodo\.org, which does not show it, or not to everybody"):
        web.provider("zenodo").resolve("10.5281/zenodo.3242074")


def test_a_doi_of_another_site_is_not_zenodos(web: DataWeb) -> None:
    web.register("10.9999/evil", "zenodo.org.evil.example/records/3242074")
    with pytest.raises(InvalidSpec, match=r"leads to zenodo\.org\.evil\.example, which is not Zenodo"):
        web.provider("zenodo").resolve("10.9999/evil")
    assert web.seen == [f"HEAD {OWN}/doi/10.9999/evil"]


@pytest.mark.parametrize("path", ["communities/x", "records/", "records/abc", "records/1/files"])
def test_a_page_of_zenodo_that_is_no_record_is_not_found(web: DataWeb, path: str) -> None:
    web.register("10.5281/zenodo.5", f"zenodo.org/{path}")
    web.put(f"zenodo.org/{path}")
    with pytest.raises(RepoNotFound, match="is no record"):
        web.provider("zenodo").resolve("10.5281/zenodo.5")


def test_an_article_without_versions_is_not_found(web: DataWeb) -> None:
    web.say(f"{OWN}/figshare/v2/articles/9782777/versions", [])
    with pytest.raises(RepoNotFound, match=r"^Article 9782777 has no versions\.$"):
        web.provider("figshare").resolve("10.6084/m9.figshare.9782777")


def test_an_article_that_is_not_public_is_not_found(web: DataWeb) -> None:
    web.say(f"{OWN}/figshare/v2/articles/9782777/versions", {"message": "Entity not found"}, 404)
    with pytest.raises(RepoNotFound, match="no public article 9782777 at figshare"):
        web.provider("figshare").resolve("10.6084/m9.figshare.9782777")


@pytest.mark.parametrize("said", [{}, {"version": 1}, [{}], [1], [{"version": None}], "x", None])
def test_an_answer_that_is_no_list_of_versions_is_figshares_fault(web: DataWeb, said: Any) -> None:
    web.say(f"{OWN}/figshare/v2/articles/9782777/versions", said)
    with pytest.raises(UpstreamError, match="no list of versions"):
        web.provider("figshare").resolve("10.6084/m9.figshare.9782777")


def test_a_resource_that_is_not_public_is_not_found(web: DataWeb) -> None:
    with pytest.raises(RepoNotFound, match=f"no public resource {'0' * 32} at HydroShare"):
        web.provider("hydroshare").resolve("0" * 32)


@pytest.mark.parametrize(
    "said", [{}, {"dates": None}, {"dates": []}, {"dates": ["x", {}]}, modified(None), modified("soon")]
)
def test_a_resource_without_a_date_of_change_is_hydroshares_fault(web: DataWeb, said: Any) -> None:
    web.say(f"{OWN}/hydroshare/hsapi/resource/{RESOURCE}/scimeta/elements", said)
    with pytest.raises(UpstreamError, match=f"does not tell when resource {RESOURCE} was changed last"):
        web.provider("hydroshare").resolve(RESOURCE)


VERSION = {"versionState": "RELEASED", "versionNumber": 4, "versionMinorNumber": 0}
DATASETS = {
    "status": ({"status": "ERROR", "message": "x"}, UpstreamError, "cannot tell about the dataset"),
    "no data": ({"status": "OK"}, UpstreamError, "something else than we understand"),
    "no object": ([], UpstreamError, "something else than we understand"),
    "draft": (dataset(latestVersion={"versionState": "DRAFT"}), RepoNotFound, "no published version"),
    "withdrawn": (dataset(latestVersion={**VERSION, "versionState": "DEACCESSIONED"}), RepoNotFound, "no published"),
    "no version": (dataset(latestVersion=None), UpstreamError, "does not tell the version"),
    "text": (dataset(latestVersion={**VERSION, "versionNumber": "4\n"}), UpstreamError, "does not tell the version"),
    "negative": (dataset(latestVersion={**VERSION, "versionNumber": -4}), UpstreamError, "does not tell the version"),
    "huge": (dataset(id=10**200), UpstreamError, "does not tell the version"),
    "another": (dataset(identifier="DVN/OTHER1"), UpstreamError, "answers with another dataset"),
    "none": (dataset(identifier=None), UpstreamError, "answers with another dataset"),
}


@pytest.mark.parametrize(("said", "kind", "message"), DATASETS.values(), ids=DATASETS.keys())
def test_a_dataset_that_cannot_be_built_is_told(web: DataWeb, said: Any, kind: type[BinderError], message: str) -> None:
    web.say(f"{HARVARD}/api/datasets/:persistentId?{PERSISTENT}", said)
    with pytest.raises(kind, match=message):
        web.provider("dataverse").resolve("10.7910/DVN/TJCLKP")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_dataset_that_is_not_published_is_not_found(web: DataWeb, status: int) -> None:
    web.say(f"{HARVARD}/api/datasets/:persistentId?{PERSISTENT}", {"status": "ERROR"}, status)
    with pytest.raises(RepoNotFound, match="has no published dataset with the DOI .* DOI of a file"):
        web.provider("dataverse").resolve("10.7910/DVN/TJCLKP")


def test_a_doi_that_does_not_lead_to_a_dataverse_is_told(web: DataWeb) -> None:
    with pytest.raises(InvalidSpec, match=r"leads to zenodo\.org, which does not look like a Dataverse"):
        web.provider("dataverse").resolve("10.5281/zenodo.3242074")


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://me:pw@a.b/", "https://a.b/ x", "https://a.b\n", 5])
def test_a_link_that_is_none_is_replaced(web: DataWeb, link: Any) -> None:
    web.say(f"{HARVARD}/api/datasets/:persistentId?{PERSISTENT}", dataset(persistentUrl=link))
    assert web.provider("dataverse").resolve("10.7910/DVN/TJCLKP").ref_url == "https://doi.org/10.7910/DVN/TJCLKP"


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_dataset_that_ckan_does_not_show_is_not_found(web: DataWeb, status: int) -> None:
    web.say("demo.ckan.org/api/3/action/package_show?id=x", {"success": False}, status)
    with pytest.raises(RepoNotFound, match=r"^demo\.ckan\.org has no public dataset x\.$"):
        web.provider("ckan").resolve(quote(web.url("demo.ckan.org/dataset/x"), safe=""))
    with pytest.raises(RepoNotFound, match=r"no public dataset x as of activity 9f\.$"):
        web.provider("ckan").resolve(quote(web.url("demo.ckan.org/dataset/x/history/9f"), safe=""))


@pytest.mark.parametrize("said", [{"success": True}, {"result": []}, package(None), package("soon"), [], "x"])
def test_a_dataset_without_a_date_of_change_is_ckans_fault(web: DataWeb, said: Any) -> None:
    web.say("demo.ckan.org/api/3/action/package_show?id=x", said)
    with pytest.raises(UpstreamError):
        web.provider("ckan").resolve(quote(web.url("demo.ckan.org/dataset/x"), safe=""))


SERVICES = [
    ("zenodo", "10.5281/zenodo.3242074", f"{OWN}/doi/10.5281/zenodo.3242074"),
    ("zenodo", "10.5281/zenodo.3242074", "zenodo.org/records/3242074"),
    ("figshare", "10.6084/m9.figshare.9782777", f"{OWN}/figshare/v2/articles/9782777/versions"),
    ("hydroshare", RESOURCE, f"{OWN}/hydroshare/hsapi/resource/{RESOURCE}/scimeta/elements"),
    ("dataverse", "10.7910/DVN/TJCLKP", f"{HARVARD}/api/datasets/:persistentId?{PERSISTENT}"),
    ("ckan", "http%3A%2F%2Fdemo.ckan.org%3A~%2Fdataset%2Fx", "demo.ckan.org/api/3/action/package_show?id=x"),
]


@pytest.mark.parametrize(("prefix", "spec", "at"), SERVICES, ids=[at[:40] for _, _, at in SERVICES])
def test_a_service_that_is_out_is_told_apart_from_one_that_asks_for_patience(
    web: DataWeb, prefix: str, spec: str, at: str
) -> None:
    provider, spec = web.provider(prefix), spec.replace("~", str(web.port))
    web.put(at, 500)
    with pytest.raises(UpstreamError, match="answered 500"):
        provider.resolve(spec)
    web.put(at, 429, Retry_After="90")
    with pytest.raises(RateLimited) as caught:
        provider.resolve(spec)
    assert caught.value.retry_after_s == 90


# As BinderHub's /api/repoproviders has them.
DISPLAYED = """
{"displayName":"Zenodo DOI","id":"zenodo","spec":{"validateRegex":"10\\\\.\\\\d+\\\\/(.)+"},
"repo":{"label":"Zenodo DOI","placeholder":"example: 10.5281/zenodo.3242074","urlEncode":false},"ref":{"enabled":false}}
{"displayName":"FigShare DOI","id":"figshare","spec":{"validateRegex":"10\\\\.\\\\d+\\\\/(.)+"},
"repo":{"label":"FigShare DOI","placeholder":"example: 10.6084/m9.figshare.9782777.v1","urlEncode":false},
"ref":{"enabled":false}}
{"displayName":"Hydroshare resource","id":"hydroshare","spec":{"validateRegex":"[^/]+"},
"repo":{"label":"Hydroshare resource id","placeholder":"example: 8f7c2f0341ef4180b0dbe97f59130756","urlEncode":true},
"ref":{"enabled":false}}
{"displayName":"Dataverse DOI","id":"dataverse","spec":{"validateRegex":"10\\\\.\\\\d+\\\\/(.)+"},
"repo":{"label":"Dataverse DOI","placeholder":"example: 10.7910/DVN/TJCLKP","urlEncode":false},"ref":{"enabled":false}}
{"displayName":"CKAN dataset","id":"ckan","spec":{"validateRegex":"[^/]+"},"repo":{"label":"CKAN dataset URL",
"placeholder":"https://demo.ckan.org/dataset/my-sample-dataset-001","urlEncode":true},"ref":{"enabled":false}}
"""


@pytest.mark.parametrize("prefix", ["zenodo", "figshare", "hydroshare", "dataverse", "ckan"])
def test_display_configurations_are_binderhubs_byte_for_byte(web: DataWeb, prefix: str) -> None:
    expected = re.sub(r",\n", ",", DISPLAYED).strip().splitlines()
    assert json.dumps(web.provider(prefix).display_config(), separators=(",", ":")) in expected
