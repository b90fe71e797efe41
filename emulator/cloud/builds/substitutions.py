"""`$NAME` and `${NAME}` in a build are replaced when it is created, `$$` is a dollar. Pure.

https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from emulator.cloud.builds.errors import invalid
from emulator.cloud.builds.messages import Build

USER_KEY = re.compile(r"_[A-Z0-9_]+")
_VARIABLE = re.compile(r"\$\$|\$([A-Z_][A-Z0-9_]*)|\$\{([A-Z_][A-Z0-9_]*)\}")
# Known for builds of a trigger; empty for all others.
_OF_TRIGGERS = (
    *("REPO_NAME", "REPO_FULL_NAME", "BRANCH_NAME", "TAG_NAME", "REF_NAME", "REVISION_ID", "COMMIT_SHA", "SHORT_SHA"),
    *("TRIGGER_NAME", "TRIGGER_BUILD_CONFIG_PATH", "SERVICE_ACCOUNT", "SERVICE_ACCOUNT_EMAIL"),
)
_STEP_TEXTS = ("name", "dir", "entrypoint", "id")
_STEP_LISTS = ("args", "env", "waitFor")
_TEXTS = ("logsBucket", "serviceAccount")
_LISTS = ("images", "tags")


def built_in(*, project: str, project_number: str, location: str, build_id: str) -> dict[str, str]:
    """The variables that every build has."""
    known = {"PROJECT_ID": project, "PROJECT_NUMBER": project_number, "LOCATION": location, "BUILD_ID": build_id}
    return dict.fromkeys(_OF_TRIGGERS, "") | known


def substituted(build: Build, known: Mapping[str, str]) -> Build:
    """*build* with all variables replaced. Raises ApiError for one that nobody has defined, or nobody uses.

    The latter two are errors unless the build says ALLOW_LOOSE.
    """
    given: Mapping[str, str] = build.get("substitutions", {})
    loose = build.get("options", {}).get("substitutionOption") == "ALLOW_LOOSE"
    used: set[str] = set()

    def value(match: re.Match[str]) -> str:
        key = match[1] or match[2]
        if key is None:
            return "$"
        used.add(key)
        if key not in given and key not in known and not loose:
            raise _unknown(key)
        return given.get(key, known.get(key, ""))

    done = _each_text(build, lambda text: _VARIABLE.sub(value, text))
    unused = sorted(given.keys() - used)
    if unused and not loose:
        raise invalid(f'key "{unused[0]}" in the substitution data is not matched in the template')
    return done


def _unknown(key: str) -> Exception:
    if USER_KEY.fullmatch(key):
        return invalid(f'key in the template "{key}" is not matched in the substitution data')
    field = "build.substitutions"
    return invalid(
        f"invalid value for '{field}': key in the template \"{key}\" is not a valid built-in substitution", field=field
    )


def _each_text(build: Build, change: Callable[[str], str]) -> Build:
    done = {**build, **_changed(build, _TEXTS, _LISTS, change)}
    done["steps"] = [{**step, **_changed(step, _STEP_TEXTS, _STEP_LISTS, change)} for step in build.get("steps", ())]
    options = build.get("options", {})
    if "env" in options:
        done["options"] = {**options, **_changed(options, (), ("env",), change)}
    return done


def _changed(
    part: Mapping[str, Any], texts: tuple[str, ...], lists: tuple[str, ...], change: Callable[[str], str]
) -> dict[str, Any]:
    return {name: change(part[name]) for name in texts if name in part} | {
        name: [change(each) for each in part[name]] for name in lists if name in part
    }
