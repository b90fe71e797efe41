"""What most adapters are tried against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.web import Web, web_server


@pytest.fixture
def web() -> Iterator[Web]:
    """A service that answers as a test says."""
    with web_server() as web:
        yield web
