from __future__ import annotations

import contextlib
import re
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.data_specs import (
    CkanSpec,
    FigshareSpec,
    changed_at,
    parse_ckan,
    parse_doi,
    parse_figshare,
    parse_hydroshare,
)
from functions.core.errors import BinderError, InvalidSpec, NotAllowed

ID = "142c59757ed54de1816777828c9716e7"


@pytest.mark.parametrize(
    ("spec", "doi"),
    [
        ("10.5281/zenodo.3242074", "10.5281/zenodo.3242074"),
        ("10.5281/zenodo.3242074/", "10.5281/zenodo.3242074"),
        ("10.7910%2FDVN%2FTJCLKP", "10.7910/DVN/TJCLKP"),
        ("10.1000.5/a_b;(c):d-e", "10.1000.5/a_b;(c):d-e"),
        ("doi:10.7910/DVN/TJCLKP", "10.7910/DVN/TJCLKP"),
        ("https://doi.org/10.7910/DVN/TJCLKP", "10.7910/DVN/TJCLKP"),
        ("http%3A%2F%2Fdx.doi.org%2F10.7910%2FDVN%2FTJCLKP", "10.7910/DVN/TJCLKP"),
    ],
)
def test_a_doi_is_found_with_or_without_a_prefix(spec: str, doi: str) -> None:
    assert parse_doi(spec) == doi


BAD_DOIS = {
    "no DOI": "zenodo.3242074",
    "no suffix": "10.5281/",
    "another directory": "11.5281/x",
    "other digits": "10.%D9%A1/x",
    "dots": "10.5281/../admin",
    "dot": "10.5281/x/./y",
    "space": "10.5281/x%20y",
    "query": "10.5281/x%3Fy",
    "fragment": "10.5281/x%23y",
    "user name": "10.5281/x@y",
    "backslash": "10.5281/x%5Cy",
    "line end": "10.5281/x%0d%0aHost:%20y",
    "line end at the end": "10.5281/x%0a",
    "escaped twice": "10.5281/x%252Fy",
    "broken percent": "10.5281/x%z",
    "look-alike": "10.5281/z%D0%B5nodo.1",
    "another address": "https://example.org/10.5281/x",
    "option": "--10.5281/x",
    "too long": "10.5281/" + "x" * 3000,
}


@pytest.mark.parametrize("spec", BAD_DOIS.values(), ids=BAD_DOIS.keys())
def test_what_is_no_doi_is_refused(spec: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_doi(spec)


def test_a_figshare_doi_has_an_article_and_perhaps_a_version() -> None:
    assert parse_figshare("10.6084/m9.figshare.97.v3") == FigshareSpec("10.6084/m9.figshare.97.v3", 97, 3)
    assert parse_figshare("10.6084/M9.FIGSHARE.97") == FigshareSpec("10.6084/M9.FIGSHARE.97", 97, None)


@pytest.mark.parametrize(
    "spec",
    ["10.6084/m9.figshare", "10.6084/m9.figshare.x", "10.6084/m9.figshare.97.v", "10.6084/m9.figshare.97.v0"]
    # Whoever has a prefix of their own could call their data as another's.
    + ["10.9999/m9.figshare.97.v1", "10.6084/m9.figshare.097", "10.6084/m9.figshare.97.v1.v2"],
)
def test_what_is_no_doi_of_figshare_is_refused(spec: str) -> None:
    with pytest.raises(InvalidSpec, match="Unexpected figshare doi: 10"):
        parse_figshare(spec)


@pytest.mark.parametrize(
    "spec", [ID, f"10.4211/hs.{ID}", quote(f"https://www.hydroshare.org/resource/{ID}/", safe=""), f"0{ID}", f"{ID}.x"]
)
def test_a_hydroshare_resource_is_found_by_its_id_anywhere(spec: str) -> None:
    assert parse_hydroshare(spec) == ID


@pytest.mark.parametrize("spec", ["", ID[:31], ID.upper(), f"{ID[:16]}%20{ID[16:]}", f"{ID}%0a"])
def test_what_holds_no_hydroshare_id_is_refused(spec: str) -> None:
    with pytest.raises(InvalidSpec, match=r"resource id was not recognized|cannot be printed"):
        parse_hydroshare(spec)


CKAN = {
    "plain": ("https://a.b/dataset/my_data-1", "https://a.b", "my_data-1", ""),
    "slash": ("https://a.b/dataset/my-data/", "https://a.b", "my-data", ""),
    "below a path": ("https://a.b:8443/catalogue/en/dataset/x", "https://a.b:8443/catalogue/en", "x", ""),
    "activity": ("https://a.b/dataset/x?activity_id=9f-0", "https://a.b", "x", "9f-0"),
    "activity behind a slash": ("https://a.b/dataset/x/?lang=en&activity_id=9f", "https://a.b", "x", "9f"),
    "history": ("https://a.b/dataset/x/history/9f", "https://a.b", "x", "9f"),
    "history goes before": ("https://a.b/dataset/x/history/9f?activity_id=aa", "https://a.b", "x", "9f"),
    "called history": ("https://a.b/dataset/history", "https://a.b", "history", ""),
    "no activity": ("https://a.b/dataset/x?activity_id=", "https://a.b", "x", ""),
    "dataset in the query": ("https://a.b/dataset/x?from=/dataset/y", "https://a.b", "x", ""),
}


@pytest.mark.parametrize(("url", "site", "dataset", "activity"), CKAN.values(), ids=CKAN.keys())
def test_a_ckan_spec_is_the_address_of_a_dataset(url: str, site: str, dataset: str, activity: str) -> None:
    assert parse_ckan(quote(url, safe="")) == CkanSpec(url, f"{site}/api/3/action", dataset, activity)
    # Slashes that nobody escaped are understood all the same; the last one is not part of a spec.
    assert parse_ckan(quote(url, safe="/:")).url == url.rstrip("/")


BAD_CKAN = {
    "no address": ("x", "begins with https"),
    "other scheme": ("ftp://a.b/dataset/x", "begins with https"),
    "no dataset": ("https://a.b/group/x", "has the form"),
    "no name": ("https://a.b/dataset/?x", "name of a CKAN dataset"),
    "dataset twice": ("https://a.b/dataset/x/dataset/y", "only once"),
    "option": ("https://a.b/dataset/-x", "name of a CKAN"),
    "not a tag": ("https://a.b/dataset/_x", "name of a CKAN"),
    "colon": ("https://a.b/dataset/x:y", "name of a CKAN"),
    "parameters": ("https://a.b/dataset/x;y", "name of a CKAN"),
    "percent": ("https://a.b/dataset/x%20y", "name of a CKAN"),
    "long": ("https://a.b/dataset/" + "x" * 101, "name of a CKAN"),
    "history of nothing": ("https://a.b/dataset/x/history", "activity"),
    "activity with a query": ("https://a.b/dataset/x?activity_id=a%26object_type=x", "activity"),
    "user name": ("https://me:sec@a.b/dataset/x", "user name or password"),
    "user name after a backslash": ("https://a.b\\@c.d/dataset/x", "user name"),
    "no host": ("https:///dataset/x", "no valid host"),
    "space in a host": ("https://a b/dataset/x", "no valid host"),
    "percent in a host": ("https://127.0.0%2e1/dataset/x", "no valid host"),
    "full-width digits": ("https://①②⑦.0.0.1/dataset/x", "no valid host"),
    "query for a host": ("https://a.b?/dataset/x", "no valid host"),
    "fragment": ("https://a.b/dataset/x#y", "must not hold #"),
    "backslash": ("https://a.b/x\\y/dataset/x", "must not hold #"),
    "space": ("https://a.b/x y/dataset/x", "must not hold #"),
    "umlaut": ("https://a.b/ü/dataset/x", "must not hold #"),
    "dots": ("https://a.b/../dataset/x", r"\. or \.\."),
    "escaped dots": ("https://a.b/%2e%2e/dataset/x", r"\. or \.\."),
    "line end": ("https://a.b/\r\nX:y/dataset/x", "cannot be printed"),
    "too long": ("https://a.b/dataset/x?" + "y" * 3000, "longer than"),
}


@pytest.mark.parametrize(("url", "message"), BAD_CKAN.values(), ids=BAD_CKAN.keys())
def test_what_is_no_address_of_a_dataset_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidSpec, match=message) as caught:
        parse_ckan(quote(url, safe=""), allow_http=True)
    assert "sec" not in str(caught.value)


def test_http_is_not_permitted_unless_switched_on() -> None:
    with pytest.raises(NotAllowed, match="Use https"):
        parse_ckan("http%3A%2F%2Fa.b%2Fdataset%2Fx")
    assert parse_ckan("HTTP%3A%2F%2Fa.b%2Fdataset%2Fx", allow_http=True).url == "http://a.b/dataset/x"


@pytest.mark.parametrize(
    "date",
    ["2018-12-27T18:16:46.306451", "2018-12-27T18:16:46.306Z", "2018-12-27T18:16:46", "2018-12-27T18:16:46Z"]
    + ["2018-12-27T19:16:46.5+01:00", "2018-12-27 18:16:46"],
)
def test_a_date_is_utc_unless_it_says_otherwise(date: str) -> None:
    assert changed_at(date) == 1545934606


@pytest.mark.parametrize("date", [None, 5, [], "", "yesterday", "2018-13-01T00:00:00", "9999-12-31T23:59:59-23:59\n"])
def test_what_is_no_date_is_told_apart(date: object) -> None:
    assert changed_at(date) is None


ODD = st.text() | st.text(alphabet="10./zenodofigshr:%2F@#? \n\\-_v") | st.binary().map(lambda noise: quote(noise))
PREFIXES = ["", "10.", "10.5281/", "10.6084/m9.figshare.", "https%3A%2F%2F", "https://a.b/", "https://a.b/dataset/", ID]


@given(st.sampled_from(PREFIXES), ODD)
def test_any_text_is_parsed_or_refused(prefix: str, text: str) -> None:
    for parse in (parse_doi, parse_figshare, parse_hydroshare, parse_ckan):
        with contextlib.suppress(InvalidSpec, NotAllowed):
            parse(prefix + text)


@given(st.sampled_from(PREFIXES), ODD)
def test_what_is_parsed_can_be_in_addresses_and_tags(prefix: str, text: str) -> None:
    with contextlib.suppress(BinderError):
        assert re.fullmatch(r"10\.[!-~]+", parse_doi(prefix + text))
    with contextlib.suppress(BinderError):
        named = parse_ckan(prefix + text)
        assert re.fullmatch(r"https://[!-~]+", named.url) and re.fullmatch(r"[!-~]+/api/3/action", named.api_url)
        assert urlsplit(named.url).username is None and urlsplit(named.api_url).netloc == urlsplit(named.url).netloc
        assert re.fullmatch(r"\w[\w.-]{0,127}", f"{named.dataset}.v1712023831", re.ASCII)
