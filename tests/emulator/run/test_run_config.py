"""The configuration of the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.run.config import BadConfig, load, parse


def document(**changes: Any) -> dict[str, Any]:
    return {
        "source": "checkout",
        "config_file": "/etc/config.yaml",
        "python": "/venv/bin/python",
        "admin": {"port": 9000, "token_file": "token"},
        "gateway": {"port": 8585, "url_map": "url_map.yaml"},
        "functions": {"build": {"entry_point": "build", "port": 9001}},
        **changes,
    }


def problems(given: object) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        parse(given, folder=Path("/stack"))
    return list(caught.value.problems)


def test_relative_paths_start_at_the_folder_of_the_file() -> None:
    config = parse(document(), folder=Path("/stack"))
    assert (config.source, config.config_file) == (Path("/stack/checkout"), Path("/etc/config.yaml"))


def test_yaml_and_json_are_read(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(str(document()).replace("'", '"'))
    assert load(file).functions["build"].concurrency == 80


def test_every_problem_is_told_at_once() -> None:
    functions = {
        "build": {"entry_point": "build", "port": "many", "timeout": 5},
        "pages": {"port": True, "environment": {"PORT": "1", "A": 5, "B=": "x"}},
    }
    assert problems(document(functions=functions, colour="red", python=3, admin=None)) == [
        "colour: no such setting",
        "python: must be a path",
        "admin: must be a mapping",
        "functions.build.timeout: no such setting",
        "functions.build.port: must be a number",
        "functions.pages.entry_point: required",
        "functions.pages.port: must be a number",
        "functions.pages.environment.PORT: set by the runtime",
        "functions.pages.environment.A: must be text",
        "functions.pages.environment.B=: not a name of a variable",
    ]


def test_values_out_of_range_are_told() -> None:
    function = {"entry_point": "os.system", "port": 8585, "concurrency": 0, "timeout_s": 7200, "max_instances": 5000}
    assert problems(document(functions={"../x": function})) == [
        "functions.../x: not a name of a function",
        "functions.../x.entry_point: not a name in Python",
        "functions.../x.concurrency: must be between 1 and 1000",
        "functions.../x.max_instances: must be between 1 and 1000",
        "functions.../x.timeout_s: must be between 0.1 and 3600",
        "functions.../x.port: the same port as gateway.port",
    ]


@pytest.mark.parametrize("given", [None, [], "text", {}])
def test_what_is_no_configuration_is_refused(given: object) -> None:
    assert problems(given)


def test_no_function_is_a_problem() -> None:
    assert problems(document(functions={})) == ["functions: at least one is needed"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="nowhere"):
        load(tmp_path / "nowhere.yaml")


def test_values_of_the_environment_are_not_shown() -> None:
    function = {"entry_point": "build", "port": 1, "environment": {"TOKEN": "hush"}}
    assert "hush" not in repr(parse(document(functions={"build": function}), folder=Path("/")))
