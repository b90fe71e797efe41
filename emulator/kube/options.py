"""Options that every write has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulator.kube.errors import Cause, invalid_options
from emulator.kube.users import User

LONGEST_MANAGER = 128


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write. `warnings` collects what the client is told beside the answer.

    `user` is who asks, whose rights may matter to what is written; None is the server itself.
    """

    dry_run: bool = False
    field_validation: str = "Ignore"
    field_manager: str = ""
    force: bool = False
    warnings: list[str] = field(default_factory=list)
    user: User | None = None


def write_options(
    query: Mapping[str, str], kind: str, *, user_agent: str = "", user: User | None = None
) -> WriteOptions:
    """Read the options of a write; *kind* names them in the refusal of what they cannot be."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        listed = '"", "Ignore", "Strict", "Warn"'
        message = f'Unsupported value: "{validation}": supported values: {listed}'
        raise invalid_options(kind, [Cause("fieldValidation", "FieldValueNotSupported", message)])
    manager = query.get("fieldManager", "")
    if len(manager) > LONGEST_MANAGER:
        message = f'Invalid value: "{manager}": must be no more than {LONGEST_MANAGER} characters'
        raise invalid_options(kind, [Cause("fieldManager", "FieldValueInvalid", message)])
    # Who gives no name is known by the program it says it is.
    return WriteOptions(
        dry_run=dry_run(query, kind),
        field_validation=validation,
        field_manager=manager or user_agent.partition("/")[0][:LONGEST_MANAGER],
        force=query.get("force", "").lower() in ("1", "true"),
        user=user,
    )


def dry_run(query: Mapping[str, str], kind: str) -> bool:
    """Tell whether a write shall store nothing; *kind* names the options in the refusal of other values."""
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        message = f'Unsupported value: []string{{"{value}"}}: supported values: "All"'
        raise invalid_options(kind, [Cause("dryRun", "FieldValueNotSupported", message)])
    return value == "All"
