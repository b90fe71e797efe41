"""What links to published data name: a DOI, a HydroShare resource or a CKAN dataset, and when it changed last.

As in `specs.py` everything comes from strangers, is decoded once, and raises InvalidSpec with a text for the person who
clicked unless it can name what it should.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from functions.core.errors import InvalidSpec, NotAllowed
from functions.core.specs import AUTHORITY, MAX_SPEC, decoded

# The characters that registration agencies recommend, and that new DOIs are made of. People paste them with a prefix.
DOI = re.compile(r"(?:doi: ?|https?://(?:dx\.|www\.)?doi\.org/)?(10\.[0-9]+(?:\.[0-9]+)*/[-._;()/:A-Za-z0-9]+)", re.I)
# Prefixes of the services themselves: nobody else can register a DOI with them, or change where it leads.
ZENODO_DOI = re.compile(r"10\.5281/zenodo\.[0-9]+", re.I)
FIGSHARE_DOI = re.compile(r"10\.6084/m9\.figshare\.([1-9][0-9]{0,11})(?:\.v([1-9][0-9]{0,5}))?", re.I)
HYDROSHARE_ID = re.compile(r".*([0-9a-f]{32})")
# https://docs.ckan.org/en/2.11/api/#ckan.logic.action.create.package_create, and what an image tag can begin with.
DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
ACTIVITY = re.compile(r"[A-Za-z0-9-]{1,100}")
# Visible ASCII, without user names and what servers read differently.
WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[!\"$-\[\]-~]*)?")


@dataclass(frozen=True, slots=True)
class FigshareSpec:
    """`version` is None for a DOI that stands for the newest one."""

    doi: str
    article: int
    version: int | None


@dataclass(frozen=True, slots=True)
class CkanSpec:
    """`api_url` ends in `/api/3/action`; `activity` is the id of one change of the dataset, empty for the newest."""

    url: str
    api_url: str
    dataset: str
    activity: str


def parse_doi(spec: str) -> str:
    """The DOI in *spec*, such as `10.5281/zenodo.3242074`, without a `doi:` or `https://doi.org/` before it."""
    text = _decoded(spec)
    found = DOI.fullmatch(text)
    if not found:
        raise InvalidSpec(f'"{text[:100]}" is not a DOI. A DOI looks like 10.5281/zenodo.3242074.')
    doi = found[1]
    if any(part in (".", "..") for part in doi.split("/")):
        raise InvalidSpec("A DOI must not hold . or .. between slashes.")
    return doi


def parse_figshare(spec: str) -> FigshareSpec:
    """`10.6084/m9.figshare.<article>`, perhaps with `.v<version>` at its end."""
    doi = parse_doi(spec)
    found = FIGSHARE_DOI.fullmatch(doi)
    if not found:
        raise InvalidSpec(f"Unexpected figshare doi: {doi}. It looks like 10.6084/m9.figshare.9782777.v1.")
    return FigshareSpec(doi, int(found[1]), int(found[2]) if found[2] else None)


def parse_hydroshare(spec: str) -> str:
    """The id of a HydroShare resource: the last 32 hexadecimal digits of its id, address or DOI."""
    found = HYDROSHARE_ID.match(_decoded(spec))
    if not found:
        raise InvalidSpec(
            "The specified Hydroshare resource id was not recognized. "
            "It is the 32 hexadecimal digits at the end of the resource's address."
        )
    return found[1]


def parse_ckan(spec: str, *, allow_http: bool = False) -> CkanSpec:
    """The percent-encoded address of a dataset: `<site>/dataset/<name>`, perhaps with `/history/<activity>` behind it
    or `?activity_id=<activity>`. Raises NotAllowed for http unless *allow_http*."""
    url = _checked_address(_decoded(spec), allow_http=allow_http)
    parts = urlsplit(url)
    site, slash, rest = parts.path.partition("/dataset/")
    if not slash:
        raise InvalidSpec("The address of a CKAN dataset has the form https://<site>/dataset/<name>.")
    if "/dataset/" in rest:
        raise InvalidSpec("The address of a CKAN dataset must hold /dataset/ only once.")
    dataset, *behind = rest.split("/")
    if not DATASET.fullmatch(dataset):
        raise InvalidSpec(f'"{dataset[:100]}" cannot be the name of a CKAN dataset.')
    api_url = f"{parts.scheme}://{parts.netloc}{site}/api/3/action"
    return CkanSpec(url, api_url, dataset, _activity(behind, parts.query))


def changed_at(date: object) -> int | None:
    """Seconds since the epoch of an ISO 8601 *date*, in UTC unless it says otherwise; None if it is no such date."""
    try:
        moment = datetime.fromisoformat(str(date))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _decoded(spec: str) -> str:
    if len(spec) > MAX_SPEC:
        raise InvalidSpec(f"This name is longer than {MAX_SPEC} characters.")
    return decoded(spec.rstrip("/"))


def _checked_address(url: str, *, allow_http: bool) -> str:
    scheme, colon, rest = url.partition("://")
    scheme = scheme.lower()
    if not colon or scheme not in ("http", "https"):
        raise InvalidSpec("The address of a CKAN dataset begins with https://.")
    if scheme == "http" and not allow_http:
        raise NotAllowed("Datasets with http:// addresses are not permitted here. Use https://.")
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise InvalidSpec("The address of a dataset must not hold a user name or password.")
    if not AUTHORITY.fullmatch(authority):
        raise InvalidSpec("The address of the dataset holds no valid host. Write international names as xn--….")
    if not WEB_ADDRESS.fullmatch(f"https://host/{path}"):
        raise InvalidSpec("The address of a dataset must not hold #, backslashes, spaces or letters beyond ASCII.")
    if any(part in (".", "..") for part in decoded(path.partition("?")[0]).replace("\\", "/").split("/")):
        raise InvalidSpec("The address of a dataset must not hold . or .. as a folder.")
    return f"{scheme}://{rest}"


def _activity(behind: list[str], query: str) -> str:
    if "history" in behind:
        found = [*behind[behind.index("history") + 1 :], ""][0]
    elif ids := parse_qs(query).get("activity_id"):
        found = ids[0]
    else:
        return ""
    if not ACTIVITY.fullmatch(found):
        raise InvalidSpec("The id of an activity is missing in the address of the dataset, or cannot be one.")
    return found
