"""What a plan says, as tests ask it. https://developer.hashicorp.com/terraform/internals/json-format"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

ON_WHAT = ("service_account_id", "secret_id", "bucket", "repository", "service", "topic", "subscription", "project")


# Of the examples whose settings are others than those that most begin with.
_CONFIG = {"existing_hub": "tests/existing_hub.yaml"}


def example(name: str) -> tuple[str, str]:
    """What Terraform is told to plan an example: its inputs, and settings that name an image that builds."""
    return f"-var-file=examples/{name}.tfvars", f"-var=config_file={_CONFIG.get(name, 'tests/config.yaml')}"


class Grant(NamedTuple):
    """A role that a member has on something; `narrowed` by a condition."""

    kind: str
    key: str
    role: str
    member: str
    narrowed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    document: dict[str, Any]

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The values of all planned resources of a type, by their key in for_each, else by their name."""
        found = self.document["planned_values"]["root_module"]["resources"]
        return {
            str(item.get("index", item["name"])): item["values"]
            for item in found
            if item["type"] == kind and item["mode"] == "managed"
        }

    def grants(self) -> list[Grant]:
        """Every grant of a role, whatever it is on."""
        found = self.document["planned_values"]["root_module"]["resources"]
        return [
            Grant(
                kind=item["type"].removeprefix("google_").removesuffix("_iam_member"),
                key=str(item.get("index", item["name"])),
                role=item["values"].get("role", "roles of our own").removeprefix("roles/"),
                member=item["values"].get("member", "").removeprefix("serviceAccount:").partition("@")[0],
                narrowed=bool(item["values"].get("condition")),
            )
            for item in found
            if "_iam_" in item["type"] and item["type"] != "google_project_iam_custom_role"
        ]

    def environment(self, function: str) -> dict[str, str]:
        """The environment of a function, secrets included; what is only known later has a value of its form."""
        service = self.resources("google_cloudfunctions2_function")[function]["service_config"][0]
        secrets = {item["key"]: "0123456789abcdef" * 4 for item in service["secret_environment_variables"]}
        return {**_KNOWN_LATER, **service["environment_variables"], **secrets}


_KNOWN_LATER = {"BINDERLESS_HUB__API_URL": "http://10.8.0.2:8081/hub/api"}
