"""From one YAML document and the environment to a checked `Config`, reporting all problems at once.

A setting is taken from `BINDERLESS_<SECTION>__<SETTING>`, else from the document, else from its default.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import yaml

from functions.core import settings
from functions.core.build_tokens import token_keys
from functions.core.cloud_build import cloud_build_problems
from functions.core.errors import ConfigError
from functions.core.idleness import limit_problems
from functions.core.operators import token_problems
from functions.core.settings import Config, RegistrySettings, Secret, WebhookSettings, WebSettings

PREFIX = "BINDERLESS_"
# What other parts of an installation call theirs: not settings, not mistakes.
FOREIGN_VARIABLES = frozenset({"BINDERLESS_CONFIG", "BINDERLESS_PORT", "BINDERLESS_REPOSITORIES", "BINDERLESS_STATE"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a setting came from, for `python -m functions config`."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class _Setting:
    section: str
    field: dataclasses.Field[Any]
    type: Any

    @property
    def name(self) -> str:
        return f"{self.section}.{self.field.name}"

    @property
    def default(self) -> str:
        """For people: the default, "required", or nothing when it is empty."""
        if self.field.default_factory is not dataclasses.MISSING:
            return ""
        if self.field.default is dataclasses.MISSING:
            return "required"
        default = self.field.default
        text = ", ".join(default) if isinstance(default, tuple) else str(default)
        return f"`{text}`" if default not in ("", (), Secret()) else ""

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.section}__{self.field.name}".upper()


def every_setting() -> Iterator[_Setting]:
    """All settings in the order of `settings.py`."""
    for section, section_type in get_type_hints(Config).items():
        hints = get_type_hints(section_type, vars(settings))
        for field in dataclasses.fields(section_type):
            yield _Setting(section, field, hints[field.name])


def load(document: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Config, list[Origin]]:
    """Check *document* (the parsed config.yaml) and *environ*; raise ConfigError with every problem."""
    sections, origins = _read(document, environ, tuple(get_type_hints(Config)))
    problems = list(_cross_checks(config := Config(**sections)))
    if problems:
        raise ConfigError(problems)
    return config, origins


def load_store(
    document: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[settings.StoreSettings, settings.FirestoreSettings]:
    """Where the records are, for who needs nothing else and has none of the secrets. Raises ConfigError as `load`."""
    sections, _ = _read(document, environ, ("store", "firestore"))
    problems = list(_store_checks(**sections))
    if problems:
        raise ConfigError(problems)
    return sections["store"], sections["firestore"]


def _read(
    document: Mapping[str, Any], environ: Mapping[str, str], sections: Collection[str]
) -> tuple[dict[str, Any], list[Origin]]:
    problems = [*_unknown_keys(document), *_unknown_variables(environ)]
    origins: list[Origin] = []
    values: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for item in every_setting():
        if item.section not in values:
            continue
        try:
            origin = _value(item, document, environ)
        except ValueError as error:
            problems.append(f"{item.name}: {error}")
            continue
        origins.append(origin)
        values[item.section][item.field.name] = origin.value
    if problems:
        raise ConfigError(problems)
    kinds = get_type_hints(Config)
    return {name: kinds[name](**values[name]) for name in sections}, origins


def parse(text: str) -> Mapping[str, Any]:
    """The document in config.yaml; an empty one is fine."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"config.yaml is not valid YAML: {error}"]) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(["config.yaml must be a mapping of sections"])
    return document


def _value(item: _Setting, document: Mapping[str, Any], environ: Mapping[str, str]) -> Origin:
    if item.variable in environ:
        return Origin(item.name, _from_text(item, environ[item.variable]), item.variable)
    section = document.get(item.section)
    if isinstance(section, Mapping) and item.field.name in section:
        return Origin(item.name, _checked(item, section[item.field.name]), "config.yaml")
    if item.field.default_factory is not dataclasses.MISSING:
        return Origin(item.name, item.field.default_factory(), "default")
    if item.field.default is dataclasses.MISSING:
        raise ValueError(f"required; set it in config.yaml or as {item.variable}")
    return Origin(item.name, item.field.default, "default")


def _from_text(item: _Setting, text: str) -> Any:
    if item.type in (str, Secret):
        return _checked(item, text)
    try:
        return _checked(item, yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"cannot read {text!r}") from error


def _checked(item: _Setting, value: Any) -> Any:
    convert: Callable[[Any], Any] = _CONVERTERS.get(item.type, _mapping)
    converted = convert(value)
    choices = item.field.metadata["choices"]
    if choices and converted not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}, not {converted!r}")
    if item.field.name.endswith("url") and converted and not str(converted).startswith(("https://", "http://")):
        raise ValueError("must start with https:// or http://")
    return converted


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r}")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"must be a whole number, not {value!r}")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a list of texts, not {value!r}")
    return tuple(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping, not {value!r}")
    return value


_CONVERTERS: Mapping[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _integer,
    bool: _boolean,
    # Whoever types a secret into a file or a pipe ends it with a line end, which no header may hold.
    Secret: lambda value: Secret(_text(value).rstrip("\r\n")),
    tuple[str, ...]: _texts,
}


def _unknown_keys(document: Mapping[str, Any]) -> Iterator[str]:
    known: dict[str, set[str]] = {}
    for item in every_setting():
        known.setdefault(item.section, set()).add(item.field.name)
    for section, content in document.items():
        if section not in known:
            yield f"{section}: no such section"
        elif not isinstance(content, Mapping):
            yield f"{section}: must be a mapping of settings"
        else:
            yield from (f"{section}.{name}: no such setting" for name in content if name not in known[section])


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = {item.variable for item in every_setting()} | FOREIGN_VARIABLES
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known:
            yield f"{variable}: no such setting"


# RFC 6454: scheme, host and port, as browsers send it.
DAY_S = 86400
_FORGE = re.compile(r"https?://[^/\s]+/(\S*/)?")
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")
_BASE_PATH = re.compile(r"/([A-Za-z0-9._~-]+/)*")


def _web_problems(web: WebSettings) -> Iterator[str]:
    if not _BASE_PATH.fullmatch(web.base_path):
        yield "web.base_path: must begin and end with a slash, with letters, digits and . _ ~ - between slashes"
    for origin in web.cors_allow_origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            yield f"web.cors_allow_origins: {origin!r} is neither * nor like https://example.org, without a path"


def _cross_checks(config: Config) -> Iterator[str]:
    yield from _registry_checks(config.registry)
    yield from _store_checks(config.store, config.firestore)
    yield from cloud_build_problems(config.builds, config.cloud_build)
    if any(len(key) < 32 for key in token_keys(config.launches)):
        yield "launches.token_secrets: each must have at least 32 bytes, which are 64 hexadecimal digits"
    unknown = sorted(set(config.providers.enabled) - set(settings.PROVIDERS))
    if unknown:
        yield f"providers.enabled: no such provider: {', '.join(unknown)}"
    yield from _web_problems(config.web)
    yield from token_problems(config.web)
    yield from _webhook_checks(config.webhooks)
    keep_s = config.cull.image_keep_s
    if keep_s and keep_s < max(DAY_S, 2 * config.cull.max_age_s):
        yield "cull.image_keep_s: must be 0, or at least a day (86400) and twice cull.max_age_s"
    yield from (f"cull.limits: {problem}" for problem in limit_problems(config.cull.limits))
    if len(config.launches.secret.reveal()) < 32:
        yield "launches.secret: must have at least 32 characters"
    for name in ("hub.token",):
        if not config.hub.token:
            yield f"{name}: must not be empty"


def _store_checks(store: settings.StoreSettings, firestore: settings.FirestoreSettings) -> Iterator[str]:
    if store.backend == "sqlite" and not store.path:
        yield "store.path: required for the sqlite store"
    if store.backend == "firestore" and not firestore.project:
        yield "firestore.project: required for the firestore store"


def _webhook_checks(webhooks: WebhookSettings) -> Iterator[str]:
    for forge in webhooks.forges:
        # Without the slash it would be the beginning of other hosts' names, too.
        if not _FORGE.fullmatch(forge):
            yield f"webhooks.forges: {forge!r} must begin with https:// and end with a slash"


def _registry_checks(registry: RegistrySettings) -> Iterator[str]:
    if registry.password and not registry.username:
        yield "registry.username: required with a password"
    if registry.credentials == "google" and registry.username:
        yield "registry.username: must be empty when registry.credentials is google"
    # What another metadata server gives opens nothing of Google's.
    googles = registry.credentials == "google" and registry.metadata_url == settings.METADATA_URL
    if googles and not registry.url.startswith("https://"):
        yield "registry.url: must start with https:// when registry.credentials is google"
