from __future__ import annotations

import pytest

from emulator.images import ImageError, Reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5000/binder/x:v1", Reference("127.0.0.1:5000", "binder/x", "v1")),
        ("127.0.0.1:5000/x", Reference("127.0.0.1:5000", "x", "latest")),
        (f"host.example/x:v1@{DIGEST}", Reference("host.example", "x", DIGEST)),
        ("localhost/x", Reference("localhost", "x", "latest")),
        ("binderless/shell", Reference("docker.io", "binderless/shell", "latest")),
        ("busybox:1", Reference("docker.io", "busybox", "1")),
    ],
)
def test_a_name_is_read_as_container_runtimes_read_it(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a b", "host.x/", "host.x/UPPER", "host.x/a/../b", "host.x/a:", "host.x/a:b/c", "host.x/a@sha256:1"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="is not the name of an image"):
        Reference.parse(text)
