"""One stack for all end-to-end tests, started and stopped by the commands a user would type."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from emulator.stack.state import BACKENDS
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.e2e.stack import ROOT, Stack
from tests.ports import free_port

UP_S = 120
# Of a browser, with a build in it.
PATIENCE_MS = 90_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=BACKENDS, default=BACKENDS[0], help="what builds the images of the stack")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Stack]:
    """A stack of its own; KUBECONFIG and other settings of the shell do not reach it."""
    state = tmp_path_factory.mktemp("stack") / "state"
    port = free_port()
    others = {name: value for name, value in os.environ.items() if not name.startswith("BINDERLESS_")}
    environment = {**others, "BINDERLESS_STATE": str(state), "BINDERLESS_PORT": str(port)}
    backend = pytestconfig.getoption("--backend", default=BACKENDS[0])
    up = [sys.executable, "-m", "emulator", "up", "--detach", "--backend", backend]
    started = subprocess.run(
        up, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=UP_S
    )
    assert started.returncode == 0, started.stdout
    yield Stack(state, f"http://127.0.0.1:{port}", backend)
    down = [sys.executable, "-m", "emulator", "down"]
    subprocess.run(down, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60)


# One browser a module, no longer: while it runs, nothing else in this thread can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def make_repository(stack: Stack, tmp_path: Path) -> MakeRepository:
    """Publishes a small repository under a name; returns its address."""
    return MakeRepository(stack, tmp_path)


class MakeRepository:
    """Repositories for one test. A name of its own makes an image of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder = stack, folder

    def __call__(self, name: str, **files: str) -> str:
        folder = self._folder / name
        folder.mkdir()
        for file, text in (files or {"README.md": f"# {name}\n"}).items():
            (folder / file).write_text(text)
        return self._stack.publish(folder, name)
