from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.names import ImageName, build_name, image_name, job_name, parse_image, user_name

SHA = "1479e0252b2e648bb755ee913292b79495931717"
DIGEST = "sha256:" + "0" * 64
TABLE = [
    tuple("" if cell == "-" else cell for cell in line.split(" | "))
    for line in (Path(__file__).parent / "binderhub_names.txt").read_text().splitlines()
    if not line.startswith("#")
]
IDS = [f"{prefix or 'no prefix'} {slug[:30]} {ref[:8]}" for prefix, slug, ref, _, _ in TABLE]


@pytest.mark.parametrize(("prefix", "slug", "ref", "image", "repository"), TABLE, ids=IDS)
def test_an_image_is_called_as_binderhub_calls_it(
    prefix: str, slug: str, ref: str, image: str, repository: str
) -> None:
    assert image_name(prefix, slug, ref) == image
    # BinderHub finds no repository in a name without registry.
    expected = (repository or image.partition(":")[0], ref)
    assert (parse_image(image).repository, parse_image(image).reference) == expected


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("127.0.0.1:5000/a/b:1", ("127.0.0.1:5000", "a/b", "1")),
        ("europe-docker.pkg.dev/project/images/a:b", ("europe-docker.pkg.dev", "project/images/a", "b")),
        ("r.example.org/a:1", ("r.example.org", "a", "1")),
        ("localhost/a:1", ("localhost", "a", "1")),
        ("docker.io/jupyterhub/r2d-a:b", ("docker.io", "jupyterhub/r2d-a", "b")),
        ("jupyterhub/r2d-a:b", ("", "jupyterhub/r2d-a", "b")),
        ("a:1", ("", "a", "1")),
        ("r.example.org:5000/a", ("r.example.org:5000", "a", "latest")),
        (f"r.example.org/a:1@{DIGEST}", ("r.example.org", "a", DIGEST)),
    ],
    ids=["port", "artifact registry", "short", "localhost", "docker hub", "owner", "no registry", "no tag", "digest"],
)
def test_an_image_name_is_split(image: str, name: tuple[str, str, str]) -> None:
    assert parse_image(image) == ImageName(*name)


@pytest.mark.parametrize("image", ["r.example.org/../x:1", "r/a b:1", "r/a:1/../x", "r/a?b:1", "r.example.org/", ""])
def test_a_name_that_could_leave_its_place_in_an_address_is_none(image: str) -> None:
    with pytest.raises(ValueError, match="no image is called"):
        parse_image(image)


def test_underscores_in_a_prefix_become_dashes() -> None:
    assert image_name("quay.io/mybinder-org/r2d_x-", "a", SHA).startswith("quay.io/mybinder-org/r2d-x-a-")


# Computed by BinderHub's _generate_build_name at commit b9fad995.
BUILDS = [
    ("binder-examples-octave", SHA, "build-binder-2dexamples-2doctave-03025a-147-e2"),
    ("Foo-Bar", SHA, "build-foo-2dbar-e32b2c-147-e2"),
    ("foo-bar", SHA, "build-foo-2dbar-7d89c4-147-e2"),
    ("user-repo_", SHA, "build-user-2drepo-5f-4de81b-147-e2"),
    (
        "https://github.com/jupyterhub/zero-to-jupyterhub-k8s",
        "f7f3ff6d1bf708bdc12e5f10e18b2a90a4795603",
        "build-https-3a-2f-2fgithub-2ecom-2fjupyterhub-2fz-e903f9-f7f-b4",
    ),
    ("zenodo-3242074", "3242074", "build-zenodo-2d3242074-b993d2-324-ea"),
    ("figshare-9782777.v3", "9782777.v3", "build-figshare-2d9782777-2ev3-cf7eea-978-60"),
    ("dataverse-dvn-2ftjclkp", "3035124.v4.0", "build-dataverse-2ddvn-2d2ftjclkp-a1371f-303-24"),
    (
        "ckan-my-sample-dataset-001",
        "my-sample-dataset-001.v1700000000",
        "build-ckan-2dmy-2dsample-2ddataset-2d001-5226f9-my--70",
    ),
]


@pytest.mark.parametrize(("slug", "ref", "expected"), BUILDS, ids=[name for _, _, name in BUILDS])
def test_a_build_is_called_as_binderhub_calls_it(slug: str, ref: str, expected: str) -> None:
    assert build_name(slug, ref) == expected


@pytest.mark.parametrize(
    ("repo_url", "expected"),
    [
        ("https://github.com/minrk/binder-example.git", "minrk-binder-example-x"),
        ("https://github.com/jupyterhub/zero-to-jupyterhub-k8s", "jupyterhub-zero--jupyterhub-k8s-x"),
        ("10.5281/zenodo.3242074", "10.5281-zenodo.3242074-x"),
        ("git@github.com:Owner/Name.git", "owner-name-x"),
        ("ssh://git@github.com/owner/name", "owner-name-x"),
        ("https://example.org/", "repo-x"),
        ("https://example.org/a%2e%2e/b c/ü?d#e", "a-2e-2e-b-c---x"),
    ],
    ids=["github", "long", "doi", "scp", "ssh", "no path", "strange characters"],
)
def test_a_user_is_called_after_the_repository(repo_url: str, expected: str) -> None:
    assert user_name(repo_url, "x") == expected


@given(st.text(max_size=400), st.text(max_size=400), st.integers(0, 10**9))
def test_a_job_name_is_a_dns_label_whatever_the_image(prefix: str, slug: str, attempt: int) -> None:
    name = job_name(f"{prefix}{slug}:{SHA}", attempt)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert name == job_name(f"{prefix}{slug}:{SHA}", attempt)


def test_job_names_differ_by_image_and_attempt() -> None:
    images = [image_name("gcr.io/proj/r2d-", slug, sha) for slug in ("a" * 90, "a" * 91) for sha in (SHA, "0" * 40)]
    assert len({job_name(image, attempt) for image in images for attempt in range(3)}) == 12
    assert job_name(images[0], 1).startswith("build-r2d-aaaa")


@given(st.text(min_size=1, max_size=200))
def test_an_image_name_is_what_a_registry_takes(slug: str) -> None:
    name, tag = image_name("registry.example.org/binder-", slug, SHA).rsplit(":", 1)
    assert re.fullmatch(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+", name)
    assert (len(name) <= 255, tag) == (True, SHA)


@given(st.text(max_size=200))
def test_a_user_name_needs_no_escaping(path: str) -> None:
    assert re.fullmatch(r"[a-z0-9._-]{1,41}", user_name(f"https://example.org/{path}", "suffix00"))
