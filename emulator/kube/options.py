"""Options that every write has."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.kube.errors import Cause, invalid_options


def dry_run(query: Mapping[str, str], kind: str) -> bool:
    """Tell whether a write shall store nothing; *kind* names the options in the refusal of other values."""
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        message = f'Unsupported value: []string{{"{value}"}}: supported values: "All"'
        raise invalid_options(kind, [Cause("dryRun", "FieldValueNotSupported", message)])
    return value == "All"
