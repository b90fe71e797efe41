"""The URL map: which function answers which path."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.run.routing import BadUrlMap, load, parse

DOCUMENT = {
    "default": "pages",
    "paths": {"build": ["/build/*", "/api/*", "/versions"], "webhook": ["/webhooks/*"], "deep": ["/build/deep/*"]},
}
FUNCTIONS = ("pages", "build", "webhook", "deep")


@pytest.mark.parametrize(
    ("target", "function"),
    [
        ("/", "pages"),
        ("/build", "build"),
        ("/build/", "build"),
        ("/build/gh/a/b/HEAD?x=/webhooks/a", "build"),
        ("/build?x=1", "build"),
        ("/builder/gh", "pages"),
        ("/versions", "build"),
        ("/versions/", "pages"),
        ("/versions?x", "build"),
        ("/build/deep/er", "deep"),
        ("/build/deep", "deep"),
        ("/build/deeper", "build"),
        ("/webhooks/github", "webhook"),
        ("//build/x", "pages"),
        ("/BUILD/x", "pages"),
        ("/%62uild/x", "pages"),
        ("/build%2Fx", "pages"),
        ("/x/../build/y", "pages"),
        ("", "pages"),
    ],
)
def test_the_longest_match_wins_on_the_path_as_sent(target: str, function: str) -> None:
    assert parse(DOCUMENT, FUNCTIONS).function_for(target) == function


def test_a_bare_wildcard_matches_everything() -> None:
    url_map = parse({"default": "pages", "paths": {"build": "/*"}}, FUNCTIONS)
    assert url_map.function_for("/any/thing") == "build"


def test_everything_may_be_below_a_base_path() -> None:
    url_map = parse(DOCUMENT, FUNCTIONS, base_path="/binder/")
    targets = ("/binder/build/gh/a/b/c", "/binder/versions", "/build/gh/a/b/c", "/binder/")
    assert [url_map.function_for(target) for target in targets] == ["build", "build", "pages", "pages"]


def test_the_url_map_of_the_load_balancer_can_be_read() -> None:
    url_map = load(Path(__file__).parents[3] / "terraform" / "url_map.yaml", ("pages", "build", "webhook"))
    assert url_map.function_for("/build/gh/a/b/c") == "build"
    assert url_map.function_for("/v2/gh/a/b/c") == "pages"


def test_all_problems_are_told_at_once() -> None:
    document = {"default": "nobody", "colour": 1, "paths": {"build": ["build", "/a/*/b", "/c", "/c"], "ghost": []}}
    with pytest.raises(BadUrlMap) as caught:
        parse(document, FUNCTIONS)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        *("colour", "nobody", "ghost", "build", "/a/*/b", "/c")
    ]


@pytest.mark.parametrize("document", [None, [], {"default": "pages"}, {"default": "pages", "paths": []}])
def test_what_is_no_url_map_is_refused(document: object) -> None:
    with pytest.raises(BadUrlMap):
        parse(document, FUNCTIONS)
