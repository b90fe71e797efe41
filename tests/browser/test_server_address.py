"""Where the loading page sends people: BinderHub's rules, and never anywhere else than into their own server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser

from tests.browser.site import serve_site

SERVER = "https://hub.example.org/user/plots-abc/"


@pytest.fixture(scope="module")
def addresses(browser: Browser) -> Iterator[Callable[[str], str]]:
    """`serverAddress` of links.js, as a Python function of the query."""
    with serve_site() as site:
        page = browser.new_page()
        page.goto(f"{site.url}about")

        def address(query: str) -> str:
            script = """async ([url, token, query]) =>
                (await import("/assets/links.js")).serverAddress({ url, token }, new URLSearchParams(query))"""
            return str(page.evaluate(script, [SERVER, "t0ken", query]))

        yield address
        page.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("urlpath=lab", "lab"),
        ("urlpath=/lab/tree/a%20b.ipynb", "lab/tree/a%20b.ipynb"),
        ("urlpath=%2Frstudio%2F", "rstudio/"),
        (
            "urlpath=git-pull%3Frepo%3Dhttps%253A%252F%252Fgit.example%252Fx",
            "git-pull?repo=https%3A%2F%2Fgit.example%2Fx",
        ),
        ("urlpath=lab%3Freset%23cell", "lab?reset=#cell"),
        ("urlpath=doc/tree/a:b.ipynb", "doc/tree/a:b.ipynb"),
        ("labpath=index.ipynb", "doc/tree/index.ipynb"),
        ("labpath=/deep/a b.ipynb", "doc/tree/deep/a%20b.ipynb"),
        ("labpath=folder/", "doc/tree/folder"),
        ("filepath=index.ipynb", "tree/index.ipynb"),
        ("filepath=f%C3%BCr/index.ipynb", "tree/f%C3%BCr/index.ipynb"),
        ("urlpath=x&filepath=y&labpath=z", "doc/tree/z"),
        ("urlpath=x&filepath=y", "tree/y"),
        ("filepath=&urlpath=x", "x"),
    ],
)
def test_three_parameters_say_what_to_open(addresses: Callable[[str], str], query: str, expected: str) -> None:
    address, wanted = urlsplit(addresses(query)), urlsplit(SERVER + expected)
    assert (address.scheme, address.netloc, address.path) == (wanted.scheme, wanted.netloc, wanted.path)
    assert address.fragment == wanted.fragment
    asked = parse_qs(address.query, keep_blank_values=True)
    assert asked.pop("token") == ["t0ken"]
    assert asked == parse_qs(wanted.query, keep_blank_values=True)


@pytest.mark.parametrize("parameter", ["urlpath", "labpath", "filepath"])
@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "HTTPS:evil.example",
        "//evil.example/",
        "///evil.example",
        "\\\\evil.example",
        "/\\evil.example/",
        "\t//evil.example",
        " https://evil.example",
        "ht\ntps://evil.example",
        "../../other/",
        "../other",
        "..\\..\\other",
        "%2e%2e/%2e%2e/other",
        "a/../../../other",
        "..%2f..%2fother",
        "..%252f..%252fother",
        "javascript:alert(1)",
        "data:text/html,x",
        "blob:https://hub.example.org/x",
        "https://a:b@hub.example.org/user/plots-abc/",
        "?token=other",
        "@evil.example",
        ":443@evil.example",
    ],
)
def test_no_path_leads_out_of_the_server(addresses: Callable[[str], str], parameter: str, path: str) -> None:
    address = addresses(urlencode({parameter: path}))
    assert address.startswith(SERVER)
    assert ".." not in urlsplit(address).path.replace("%2e", ".").replace("%252f", "").split("/")
    assert parse_qs(urlsplit(address).query)["token"] == ["t0ken"]
