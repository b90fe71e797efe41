"""What links, badges and clients made for BinderHub find here as they know it."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from functions.core.settings import PROVIDERS
from tests.fakes.provider import FakeProvider
from tests.fakes.world import Fakes

LAUNCH = "/v2/gh/owner/plots/main"


def a_client(**web: Any) -> FlaskClient:
    fakes = Fakes(settings={"web": web})
    fakes.know("owner/plots/main", built=True)
    return make_application(fakes.world()).test_client()


@pytest.fixture
def client() -> FlaskClient:
    return a_client()


def page_config(page: str) -> dict[str, Any]:
    first = re.search(r"<script[^>]*>(.*?)</script>", page[page.index("<head>") : page.index("</head>")], re.DOTALL)
    assert first is not None
    text = first.group(1)
    assert (text[:21], text[-1]) == ("window.pageConfig = {", ";")
    config: dict[str, Any] = json.loads(text.removeprefix("window.pageConfig = ").rstrip(";"))
    return config


@pytest.mark.parametrize("path", ["/", "/about", LAUNCH, "/nosuch"])
def test_pages_begin_with_the_configuration_that_binderhubs_have(path: str) -> None:
    client = a_client(version="1.2", banner_html="<b>Hi</b>", about_html="<i>Us</i></script>")
    config = page_config(client.get(path).get_data(as_text=True))
    logo = config.pop("logoUrl")
    with client.get(logo) as answer:
        assert answer.mimetype == "image/svg+xml"
    assert ("buildToken" in config) == (path == LAUNCH)
    config.pop("buildToken", None)
    assert config.pop("repoProviders") == client.get("/api/repoproviders").get_json()
    assert config == {
        "aboutMessage": "<i>Us</i></script>",
        "badgeBaseUrl": "http://localhost/",
        "bannerHtml": "<b>Hi</b>",
        "baseUrl": "/",
        "binderVersion": "1.2",
        "logoWidth": "320px",
    }


def test_what_the_operator_says_is_on_the_pages() -> None:
    client = a_client(banner_html='<b style="color: red">Closed on Monday</b>', about_html="<i>Who we are</i>")
    for path in ("/", "/about", LAUNCH, "/nosuch"):
        page = client.get(path).get_data(as_text=True)
        assert '<div class="banner"><b style="color: red">Closed on Monday</b></div>' in page
        assert ("<i>Who we are</i>" in page) == (path == "/about")
    assert 'class="banner"' not in a_client().get("/").get_data(as_text=True)


def test_a_link_has_a_preview_with_a_picture(client: FlaskClient) -> None:
    page = client.get(LAUNCH, headers={"X-Forwarded-Proto": "https"}).get_data(as_text=True)
    meta = {
        name: unescape(value)
        for name, value in re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)"', page)
    }
    assert meta["og:title"] == "Fake: owner/plots/main"
    assert meta["og:image"] == "https://localhost/logo_social.png"
    assert (meta["og:image:width"], meta["og:image:height"]) == ("1334", "700")
    assert meta["og:description"] == "Reproducible, sharable, open, interactive computing environments."
    assert meta["twitter:card"] == "summary_large_image"
    assert meta["og:image:alt"]


@pytest.mark.parametrize(
    ("path", "size"),
    [("/badge.svg", (92, 20)), ("/assets/images/badge.svg", (92, 20)), ("/badge_logo.svg", (109, 20))],
)
def test_badges_have_the_size_and_the_names_that_readme_files_use(
    client: FlaskClient, path: str, size: tuple[int, int]
) -> None:
    with client.get(path) as answer:
        assert answer.mimetype == "image/svg+xml"
        tag = re.findall(r"<svg[^>]*>", answer.get_data(as_text=True))[0]
        assert f'width="{size[0]}" height="{size[1]}"' in tag
        etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
    for headers in ({"If-None-Match": etag}, {"If-Modified-Since": modified}):
        with client.get(path, headers=headers) as answer:
            assert (answer.status_code, answer.get_data()) == (304, b"")


EVERY_PAGE = ["/", "/about", LAUNCH, "/versions", "/health", "/api/repoproviders", "/_config", "/repo/owner/plots"]
EVERY_FILE = ["/badge.svg", "/badge_logo.svg", "/assets/images/badge.svg", "/logo_social.png", "/assets/style.css"]


@pytest.mark.parametrize("path", EVERY_PAGE + EVERY_FILE)
def test_what_answers_get_answers_head_alike_and_without_body(client: FlaskClient, path: str) -> None:
    with client.get(path) as got, client.head(path) as headed:
        assert got.status_code == headed.status_code < 400
        assert headed.get_data() == b""
        assert got.content_type == headed.content_type


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/repo/owner/plots", "/v2/gh/owner/plots/master"),
        ("/repo/owner/plots/", "/v2/gh/owner/plots/master"),
        ("/repo/owner/plots/a.ipynb", "/v2/gh/owner/plots/master?urlpath=%2Fa.ipynb"),
        ("/repo/owner/plots/notebooks/a b.ipynb", "/v2/gh/owner/plots/master?urlpath=%2Fnotebooks%2Fa+b.ipynb"),
        ("/repo/owner/plots/notebooks/", "/v2/gh/owner/plots/master?urlpath=%2Fnotebooks%2F"),
        ("/repo/owner/plots/a%3Fb%26c", "/v2/gh/owner/plots/master?urlpath=%2Fa%3Fb%26c"),
        ("/repo/owner/%C3%A9?x=y", "/v2/gh/owner/%C3%A9/master"),
    ],
)
def test_the_links_of_the_first_binder_still_lead_somewhere(client: FlaskClient, path: str, location: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, location)


def test_versions_tell_that_this_is_a_binderhub(client: FlaskClient) -> None:
    image = "quay.io/jupyterhub/repo2docker:2026.04.0"
    told = {"builder_info": {"build_image": image}, "binderhub": "binderless", "builder": image}
    assert client.get("/versions").get_json() == told


@pytest.mark.parametrize(
    ("info", "builder"),
    [({"build_image": "a:1"}, {"builder": "a:1"}), ({"repo2docker-version": "2026.4"}, {})],
)
def test_a_member_of_a_federation_can_tell_the_versions_of_its_prime(
    info: dict[str, str], builder: dict[str, str]
) -> None:
    told = a_client(version="0.2.0+n1", builder_info=info).get("/versions").get_json()
    assert told == {"builder_info": info, "binderhub": "0.2.0+n1", **builder}


def test_clients_from_before_2024_learn_the_providers_too(client: FlaskClient) -> None:
    assert client.get("/_config").get_json() == {
        "gh": {
            "text": "Repository",
            "tag_text": "Git ref (branch, tag, or commit)",
            "ref_prop_disabled": False,
            "label_prop_disabled": False,
        }
    }


def test_every_provider_has_its_old_words() -> None:
    world = Fakes().world()
    world.providers.clear()  # type: ignore[attr-defined]
    world.providers.update({name: FakeProvider(name) for name in PROVIDERS})  # type: ignore[attr-defined]
    told = make_application(world).test_client().get("/_config").get_json()
    assert list(told) == list(PROVIDERS)
    assert told["gist"]["tag_text"] == "Git commit SHA"
    assert told["zenodo"]["text"] == "Zenodo DOI (10.5281/zenodo.3242074)"


OF_THE_API = [
    "/versions",
    "/health",
    "/api/repoproviders",
    "/build/gh/owner/plots/main",
    "/badge.svg",
    "/assets/logo.svg",
]
OF_THE_PAGES = ["/", "/about", LAUNCH, "/repo/owner/plots", "/_config", "/nosuch"]


@pytest.mark.parametrize(
    ("path", "status"), [*((path, 200) for path in OF_THE_API), *((path, 404) for path in OF_THE_PAGES)]
)
def test_a_hub_can_be_without_pages(path: str, status: int) -> None:
    with a_client(api_only=True).get(path) as answer:
        assert answer.status_code == status
        if status == 404:
            assert answer.mimetype == "application/json"


@pytest.mark.parametrize(
    ("spec", "sent"),
    [
        ("owner/plots/main", "owner/plots/main"),
        ("owner/plots/main/", "owner/plots/main/"),
        ("a/b/c%2Fd//", "a/b/c%2Fd//"),
    ],
)
def test_the_stream_is_asked_for_by_the_very_spec_of_the_page(client: FlaskClient, spec: str, sent: str) -> None:
    # Build tokens are made for it.
    assert f'data-spec="{sent}"' in client.get(f"/v2/gh/{spec}").get_data(as_text=True)
