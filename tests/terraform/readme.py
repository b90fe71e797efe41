"""Writes the tables of inputs and outputs into terraform/README.md: `python -m tests.terraform.readme`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- begin: inputs and outputs -->", "<!-- end: inputs and outputs -->"
_BLOCK = r'^{kind} "(\w+)" \{{\n(.*?)^\}}'


@dataclass(frozen=True, slots=True)
class Variable:
    """`default` is as it is written; None when there is none."""

    name: str
    description: str
    default: str | None
    validations: int


def variables(folder: Path) -> list[Variable]:
    text = (folder / "variables.tf").read_text()
    return [
        Variable(name, _description(body), _default(body), len(re.findall(r"^  validation \{", body, re.MULTILINE)))
        for name, body in re.findall(_BLOCK.format(kind="variable"), text, re.MULTILINE | re.DOTALL)
    ]


def wanted(folder: Path) -> str:
    """The tables, as they should be."""
    lines = ["| Input | Meaning | Default |", "|---|---|---|"]
    for variable in variables(folder):
        default = "required" if variable.default is None else f"`{variable.default}`"
        lines.append(f"| `{variable.name}` | {variable.description} | {default} |")
    lines += ["", "| Output | Meaning |", "|---|---|"]
    text = (folder / "outputs.tf").read_text()
    for name, body in re.findall(_BLOCK.format(kind="output"), text, re.MULTILINE | re.DOTALL):
        lines.append(f"| `{name}` | {_description(body)} |")
    return "\n".join(lines)


def current(folder: Path) -> str:
    """The tables, as they are."""
    return (folder / "README.md").read_text().partition(BEGIN)[2].partition(END)[0].strip()


def _description(body: str) -> str:
    found = re.search(r'^  description\s*= "(.*)"$', body, re.MULTILINE)
    return found[1].replace('\\"', '"') if found else ""


def _default(body: str) -> str | None:
    found = re.search(r"^  default\s*= (.*)$", body, re.MULTILINE)
    return found[1] if found else None


def main() -> None:
    folder = Path(__file__).parents[2] / "terraform"
    before, _, rest = (folder / "README.md").read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    (folder / "README.md").write_text(f"{before}{BEGIN}\n{wanted(folder)}\n{END}{after}")


if __name__ == "__main__":
    main()
