"""Terraform providers that know their schemas and nothing else, served to the real Terraform by its plugin protocol.

They check attributes, blocks and types, and plan: what only a provider can know is unknown. They never apply. The one
data source that they really read is archive_file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import msgpack

from tests.terraform.archive import write_archive
from tests.terraform.schemas import Block

# Where Terraform looks for a provider that it is not to start itself: go-plugin's reattach configuration.
ADDRESS_PREFIX = "registry.terraform.io/hashicorp/"
# https://github.com/hashicorp/terraform/blob/v1.11.4/docs/plugin-protocol/object-wire-format.md
UNKNOWN = msgpack.ExtType(0, b"\0")
_WITHOUT_ANSWER: dict[Any, Any] = {"string": "read", "number": 1, "bool": False, "list": [], "set": [], "map": {}}

_messages, _services = grpc.protos_and_services("tests/terraform/plugin.proto")


class Provider(_services.ProviderServicer):  # type: ignore[misc, name-defined]
    """Answers for one provider from its schemas, by kind (provider, resource, data, ephemeral) and name.

    *folder* is Terraform's own, which what it names is relative to.
    """

    def __init__(self, schemas: dict[str, dict[str, Block]], folder: Path) -> None:
        self._schemas = schemas
        self._folder = folder

    def GetProviderSchema(self, _request: Any, _context: Any) -> Any:
        nothing: Block = {"attributes": {}, "blocks": {}}
        own = next(iter(self._schemas["provider"].values()), nothing)
        return _messages.Schemas(
            provider=_schema(own),
            resource_schemas=_schemas(self._schemas["resource"]),
            data_source_schemas=_schemas(self._schemas["data"]),
            ephemeral_resource_schemas=_schemas(self._schemas["ephemeral"]),
            server_capabilities=_messages.Capabilities(plan_destroy=True),
        )

    def UpgradeResourceState(self, request: Any, _context: Any) -> Any:
        return _messages.Upgraded(upgraded_state=_messages.DynamicValue(json=request.raw_state.json))

    def PlanResourceChange(self, request: Any, _context: Any) -> Any:
        value = _unpacked(request.proposed_new_state)
        if value is not None and _unpacked(request.prior_state) is None:
            value = _planned(self._schemas["resource"][request.type_name], value)
            value |= _KNOWN_BEFORE.get(request.type_name, _nothing_more)(value)
        return _messages.Planned(planned_state=_packed(value), legacy_type_system=True)

    def ReadDataSource(self, request: Any, _context: Any) -> Any:
        value = _answered(self._schemas["data"][request.type_name], _unpacked(request.config))
        if request.type_name == "archive_file":
            source, output = (self._folder / value[name] for name in ("source_dir", "output_path"))
            value |= write_archive(source, output, value["excludes"] or [])
        return _messages.DataRead(state=_packed(value))

    def OpenEphemeralResource(self, request: Any, _context: Any) -> Any:
        value = _answered(self._schemas["ephemeral"][request.type_name], _unpacked(request.config))
        return _messages.Opened(result=_packed(value))

    def _nothing(self, _request: Any, _context: Any) -> Any:
        return _messages.Empty()

    ValidateProviderConfig = ValidateResourceConfig = ValidateDataResourceConfig = _nothing
    ValidateEphemeralResourceConfig = ConfigureProvider = CloseEphemeralResource = StopProvider = _nothing


class Served:
    """Providers on ports of the loopback, by name; a context manager. `reattach` is for TF_REATTACH_PROVIDERS."""

    def __init__(self, providers: dict[str, Provider], *, pid: int) -> None:
        self._servers = []
        addresses = {}
        for name, provider in providers.items():
            server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", 256 << 20)])
            _services.add_ProviderServicer_to_server(provider, server)
            port = server.add_insecure_port("127.0.0.1:0")
            address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
            addresses[f"{ADDRESS_PREFIX}{name}"] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": pid,
                "Test": True,
                "Addr": address,
            }
            self._servers.append(server)
        self.reattach = json.dumps(addresses)

    def __enter__(self) -> Served:
        for server in self._servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop(None).wait()


def _schemas(blocks: dict[str, Block]) -> dict[str, Any]:
    return {name: _schema(block) for name, block in blocks.items()}


def _schema(block: Block) -> Any:
    return _messages.Schema(block=_block(block))


def _block(block: Block) -> Any:
    message = _messages.Schema.Block(attributes=_attributes(block))
    for name, inner in sorted(block["blocks"].items()):
        counted = inner["nesting"] in ("list", "set")
        message.block_types.add(
            type_name=name,
            block=_block(inner["block"]),
            nesting=_messages.Schema.Nesting.Value(inner["nesting"].upper()),
            min_items=inner["min"] if counted else 0,
            max_items=inner["max"] if counted else 0,
        )
    return message


def _attributes(block: Block) -> list[Any]:
    return [_attribute(name, attribute) for name, attribute in sorted(block["attributes"].items())]


def _attribute(name: str, attribute: dict[str, Any]) -> Any:
    flags = {flag: attribute[flag] for flag in ("required", "optional", "computed")}
    message = _messages.Schema.Attribute(name=name, write_only=_is_write_only(name), **flags)
    if attribute["required"]:
        message.computed = False
    elif not (attribute["optional"] or attribute["computed"]):
        message.optional = True
    if "nested" in attribute:
        message.nested_type.attributes.extend(_attributes(attribute["nested"]["block"]))
        message.nested_type.nesting = _messages.Schema.Nesting.Value(attribute["nested"]["nesting"].upper())
    else:
        message.type = json.dumps(attribute["type"]).encode()
    return message


def _nothing_more(_value: dict[str, Any]) -> dict[str, Any]:
    return {}


def _account(value: dict[str, Any]) -> dict[str, Any]:
    email = f"{value['account_id']}@{value['project']}.iam.gserviceaccount.com"
    return {"email": email, "member": f"serviceAccount:{email}"}


# What the real provider knows of a resource before it is made, by type.
_KNOWN_BEFORE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"google_service_account": _account}


def _is_write_only(name: str) -> bool:
    # By convention: https://developer.hashicorp.com/terraform/plugin/sdkv2/resources/write-only-arguments
    return name.endswith("_wo")


def _planned(block: Block, value: dict[str, Any]) -> dict[str, Any]:
    """A resource that is to be made: what is computed and not set is unknown, what is write-only is not told."""
    for name, attribute in block["attributes"].items():
        if _is_write_only(name):
            value[name] = None
        elif attribute["computed"] and value.get(name) is None:
            value[name] = UNKNOWN
    for name, inner in block["blocks"].items():
        there = value.get(name)
        if there == [] and _tells(inner["block"]):
            value[name] = UNKNOWN
        elif isinstance(there, list):
            value[name] = [_planned(inner["block"], item) for item in there]
        elif isinstance(there, dict):
            value[name] = _planned(inner["block"], there)
    return value


def _tells(block: Block) -> bool:
    """Whether a provider has something to tell in this block, set or not."""
    return any(it["computed"] and not it["optional"] for it in block["attributes"].values())


def _answered(block: Block, value: dict[str, Any]) -> dict[str, Any]:
    for name, attribute in block["attributes"].items():
        if attribute["computed"] and value.get(name) is None:
            kind = attribute.get("type")
            value[name] = _WITHOUT_ANSWER.get(kind[0] if isinstance(kind, list) else kind)
    return value


def _unpacked(value: Any) -> Any:
    return msgpack.unpackb(value.msgpack, ext_hook=msgpack.ExtType, strict_map_key=False)


def _packed(value: Any) -> Any:
    return _messages.DynamicValue(msgpack=msgpack.packb(value))
