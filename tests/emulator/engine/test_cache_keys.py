from __future__ import annotations

from datetime import date
from pathlib import Path

from emulator.engine.environment_cache import key_of
from emulator.engine.interpreter import Interpreter
from emulator.engine.repository import Repository

PYTHON = Interpreter(Path("/usr/bin/python3.11"), "3.11.7")
MONDAY, TUESDAY = date(2026, 1, 5), date(2026, 1, 6)


def key(
    *requirements: str, python: Interpreter = PYTHON, root: str = "/srv", today: date = MONDAY, **more: bool
) -> str:
    repository = Repository(folder=Path("/x"), requirements=requirements, **more)  # type: ignore[arg-type]
    return key_of(repository, python=python, root=Path(root), today=today)


def test_the_same_requirements_are_the_same_environment() -> None:
    assert key("numpy", "") == key(" numpy ")
    assert key("numpy") != key("numpy==2")


def test_another_python_or_place_is_another_environment() -> None:
    other = Interpreter(Path("/usr/bin/python3.11"), "3.11.8")
    assert len({key(), key(python=other), key(root="/elsewhere")}) == 3


def test_requirements_are_resolved_again_every_day_and_the_locked_base_is_not() -> None:
    assert key(today=MONDAY) == key(today=TUESDAY)
    assert key("numpy", today=MONDAY) != key("numpy", today=TUESDAY)


def test_an_environment_with_files_of_the_repository_is_not_shared() -> None:
    assert key(package=True) == key("-r more.txt") == key("./here") == ""
