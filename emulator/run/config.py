"""What the runtime is told: one YAML or JSON document as frozen dataclasses, every problem reported at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

T = TypeVar("T")

FUNCTION_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# The platform's own: Cloud Run refuses a deployment that sets one of its own variables, and so do we.
RESERVED_VARIABLES = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "HOST", "PORT", "PYTHONPATH", "PYTHONUNBUFFERED", "WORKERS", "THREADS"),
        *("K_SERVICE", "K_REVISION", "K_CONFIGURATION", "LOG_EXECUTION_ID"),
        *("FUNCTION_TARGET", "FUNCTION_SOURCE", "FUNCTION_SIGNATURE_TYPE"),
    }
)


class BadConfig(Exception):
    """Carries every problem of a configuration, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    port: int
    token_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The public address. `base_path` is the functions' `web.base_path`, below which the paths of the URL map are."""

    port: int
    url_map: Path
    base_path: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function, in Cloud Run's words. `queue_s` is how long a request may wait for a place in an instance."""

    entry_point: str
    port: int
    concurrency: int = 80
    timeout_s: float = 300
    max_instances: int = 10
    idle_s: float = 900
    queue_s: float = 10
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    source: Path
    config_file: Path
    python: Path
    admin: Admin
    gateway: Gateway
    functions: Mapping[str, Function]


def load(file: Path) -> Config:
    """The configuration in *file*; relative paths in it start at its folder. Raises BadConfig."""
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadConfig([f"{file}: {error}"]) from error
    return parse(document, folder=file.parent)


def parse(document: object, *, folder: Path) -> Config:
    """The configuration that *document* describes. Raises BadConfig with every problem."""
    problems: list[str] = []
    config = _Reader(problems, folder).section(Config, document, "")
    if config is not None:
        _check(config, problems)
    if problems or config is None:
        raise BadConfig(problems)
    return config


class _Reader:
    """Turns parsed YAML into dataclasses, collecting problems; None stands for a section that has some."""

    def __init__(self, problems: list[str], folder: Path) -> None:
        self._problems = problems
        self._folder = folder

    def section(self, kind: type[T], data: object, where: str) -> T | None:
        if not isinstance(data, Mapping):
            self._problem(where or "the configuration", "must be a mapping")
            return None
        before = len(self._problems)
        known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
        for key in data:
            if key not in known:
                self._problem(_join(where, key), "no such setting")
        values: dict[str, Any] = {}
        hints = get_type_hints(kind)
        for name, each in known.items():
            if name in data:
                values[name] = self._value(hints[name], data[name], _join(where, name))
            elif each.default is MISSING and each.default_factory is MISSING:
                self._problem(_join(where, name), "required")
        return kind(**values) if len(self._problems) == before else None

    def _value(self, kind: Any, value: object, where: str) -> Any:
        if kind in (Admin, Gateway):
            return self.section(kind, value, where)
        if kind == Mapping[str, Function]:
            return {name: self.section(Function, each, _join(where, name)) for name, each in _items(value)}
        if kind == Mapping[str, str]:
            return self._variables(value, where)
        if kind is Path:
            return self._path(value, where)
        wanted = (int, float) if kind is float else (kind,)
        if isinstance(value, bool) or not isinstance(value, wanted):
            self._problem(where, f"must be {'text' if kind is str else 'a number'}")
        return value

    def _path(self, value: object, where: str) -> Path | None:
        if isinstance(value, str):
            return self._folder / value
        self._problem(where, "must be a path")
        return None

    def _variables(self, value: object, where: str) -> Mapping[str, str] | None:
        if not isinstance(value, Mapping):
            self._problem(where, "must be a mapping")
            return None
        for name, text in value.items():
            if not isinstance(name, str) or not VARIABLE.fullmatch(name):
                self._problem(_join(where, name), "not a name of a variable")
            elif name in RESERVED_VARIABLES:
                self._problem(_join(where, name), "set by the runtime")
            elif not isinstance(text, str) or "\0" in text:
                self._problem(_join(where, name), "must be text")
        return dict(value)

    def _problem(self, where: str, sentence: str) -> None:
        self._problems.append(f"{where}: {sentence}")


def _items(value: object) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _join(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _check(config: Config, problems: list[str]) -> None:
    """The rules that a type cannot say."""
    ports = {"admin.port": config.admin.port, "gateway.port": config.gateway.port}
    for name, function in config.functions.items():
        where = f"functions.{name}"
        ports[f"{where}.port"] = function.port
        if not isinstance(name, str) or not FUNCTION_NAME.fullmatch(name):
            problems.append(f"{where}: not a name of a function")
        if not IDENTIFIER.fullmatch(function.entry_point):
            problems.append(f"{where}.entry_point: not a name in Python")
        for setting, (low, high) in LIMITS.items():
            if not low <= getattr(function, setting) <= high:
                problems.append(f"{where}.{setting}: must be between {low} and {high}")
    if not config.functions:
        problems.append("functions: at least one is needed")
    _check_ports(ports, problems)


# https://cloud.google.com/run/quotas; idle_s and queue_s are the platform's choice, so any sensible time will do.
LIMITS: Mapping[str, tuple[float, float]] = {
    "concurrency": (1, 1000),
    "max_instances": (1, 1000),
    "timeout_s": (0.1, 3600),
    "idle_s": (0.1, 86_400),
    "queue_s": (0.1, 3600),
}


def _check_ports(ports: Mapping[str, int], problems: list[str]) -> None:
    """Port 0 asks for any free port."""
    taken: dict[int, str] = {}
    for where, port in ports.items():
        if not 0 <= port <= 65_535:
            problems.append(f"{where}: not a port")
        elif port and port in taken:
            problems.append(f"{where}: the same port as {taken[port]}")
        taken.setdefault(port, where)
