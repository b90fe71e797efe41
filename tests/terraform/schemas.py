"""The schemas of Terraform's providers, read out of the wheels that CDK Terrain generates from them.

Of each resource a wheel holds JavaScript with its attributes and their flags, and TypeScript with which of them are
blocks. Missing there, and so unchecked: allowed values, rules between attributes, `min_items` above 1.

A block is `{"attributes": {name: ...}, "blocks": {name: {"nesting", "min", "max", "block"}}}`. An attribute has
`required`, `optional`, `computed`, and a `type` as Terraform writes types in JSON, or `nested` attributes.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Block = dict[str, Any]

KINDS = {
    "TerraformResource": "resource",
    "TerraformDataSource": "data",
    "TerraformProvider": "provider",
    "TerraformEphemeralResource": "ephemeral",
}
_CLASS = re.compile(r"^class (\w+) extends cdktn\.(Terraform\w+|Complex\w+) \{", re.M)
_TYPE_NAME = re.compile(r'static tfResourceType = "([\w-]+)"')
_ATTRIBUTE = re.compile(
    r"// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n((?:.*\n){0,6}?)"
    r"\s+get \w+\(\) \{\n\s+(?://[^\n]*\n\s+)?return ([^\n]*);"
)
_WRITTEN = re.compile(
    r"^\s{8,12}(\w+): \{\n\s+value: .*\n\s+isBlock: (\w+),\n\s+type: \"(\w+)\",\n\s+storageClassType: \"([\w.]+)\",",
    re.M,
)
_WRITER = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.M | re.S)
_INTERFACE = re.compile(r"^export interface (\w+) (?:extends [\w.]+ )?\{(.*?)^\}", re.M | re.S)
_PROPERTY = re.compile(r"/\*\*(.*?)\*/\s+readonly \w+(\??):", re.S)

_TYPE_OF_GETTER: dict[str, Any] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getBooleanMapAttribute": ["map", "bool"],
    "getNumberMapAttribute": ["map", "number"],
}
_TYPE_OF_CLASS: dict[str, Any] = {
    "StringMap": ["map", "string"],
    "BooleanMap": ["map", "bool"],
    "NumberMap": ["map", "number"],
    "StringMapList": ["list", ["map", "string"]],
}
_TYPE_OF_STORAGE: dict[str, Any] = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringList": ["list", "string"],
    "stringMap": ["map", "string"],
    "numberList": ["list", "number"],
    "booleanMap": ["map", "bool"],
    "numberMap": ["map", "number"],
}


@dataclass(frozen=True, slots=True)
class Written:
    """How an attribute is written into HCL."""

    is_block: bool = False
    collection: str | None = None
    storage: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the interface of a block's settings says of one of them."""

    required: bool = False
    is_block: bool = True


@dataclass(frozen=True, slots=True)
class Flags:
    computed: bool
    optional: bool
    required: bool

    def as_dict(self) -> dict[str, bool]:
        return {"required": self.required, "optional": self.optional and not self.required, "computed": self.computed}


@dataclass(slots=True)
class Module:
    """One folder of a wheel: the JavaScript and TypeScript of a resource."""

    classes: dict[str, tuple[str, str]]
    writers: dict[str, dict[str, Written]]
    interfaces: dict[str, dict[str, Declared]]
    open: list[str] = field(default_factory=list)

    def schemas(self) -> Iterator[tuple[str, str, Block]]:
        """Kind, name and block of all that this folder defines."""
        for name, (base, body) in self.classes.items():
            found = _TYPE_NAME.search(body)
            if base in KINDS and found:
                yield KINDS[base], found[1], self._block(name)

    def _block(self, name: str) -> Block:
        block: Block = {"attributes": {}, "blocks": {}}
        # A type that holds itself is cut where it does.
        if name in self.open or name not in self.classes:
            return block
        self.open.append(name)
        base, body = self.classes[name]
        key = name.removesuffix("OutputReference").lower()
        is_object = base == "ComplexObject"
        written = dict(self.writers.get(key, {}) if is_object else _written(body))
        declared = self.interfaces.get(key if is_object else f"{name.lower()}config", {})
        for attribute, computed, optional, required, stored, returned in _ATTRIBUTE.findall(body):
            flags = Flags(computed == "true", optional == "true", required == "true")
            how = written.pop(attribute, Written())
            self._place(block, attribute, how, declared.get(attribute, Declared()), flags, stored, returned)
        if base == "TerraformProvider":
            self._place_rest(block, written, declared)
            block["attributes"].pop("alias", None)
        self.open.pop()
        return block

    def _struct(self, name: str) -> Block:
        """A block that can only be set, never read."""
        block: Block = {"attributes": {}, "blocks": {}}
        self._place_rest(block, self.writers.get(name.lower(), {}), self.interfaces.get(name.lower(), {}))
        return block

    def _place_rest(self, block: Block, written: dict[str, Written], declared: dict[str, Declared]) -> None:
        for attribute, how in written.items():
            said = declared.get(attribute, Declared())
            flags = Flags(computed=False, optional=True, required=said.required)
            self._place(block, attribute, how, said, flags, "", "")

    def _place(
        self, block: Block, name: str, how: Written, said: Declared, flags: Flags, stored: str, returned: str
    ) -> None:
        """Put the attribute or block *name* into *block*. *stored* and *returned* are the JavaScript of its getter."""
        made = re.search(rf'new (?:(cdktn)\.|\w+\.)?(\w+)\(this, "{name}"(?:, (\w+))?\)', stored)
        if made and not made[1]:
            single = made[2].endswith("OutputReference")
            inner = self._block(made[2] if single else f"{re.sub(r'(List|Map)$', '', made[2])}OutputReference")
            many = not single
        elif how.is_block:
            inner, many = self._struct(how.storage.removesuffix("List")), how.storage.endswith("List")
        else:
            block["attributes"][name] = {"type": _type(how, made, returned), **flags.as_dict()}
            return
        nesting = _nesting(how, made)
        if how.is_block and said.is_block:
            most = 0 if many or nesting in ("single", "map") else 1
            block["blocks"][name] = {"nesting": nesting, "min": int(flags.required), "max": most, "block": inner}
        elif how.is_block and (flags.optional or not flags.computed):
            block["attributes"][name] = {"nested": {"nesting": nesting, "block": inner}, **flags.as_dict()}
        else:
            kind = _object(inner) if nesting == "single" else [nesting, _object(inner)]
            block["attributes"][name] = {"type": kind, "required": False, "optional": False, "computed": True}


def _type(how: Written, made: re.Match[str] | None, returned: str) -> Any:
    getter = re.search(r"this\.(get\w+)\(", returned)
    if made:
        kind = _TYPE_OF_CLASS.get(made[2], "dynamic")
    elif getter:
        kind = _TYPE_OF_GETTER.get(getter[1], "dynamic")
    else:
        kind = _TYPE_OF_STORAGE.get(how.storage, "dynamic")
    is_set = "Fn.tolist" in returned or how.collection == "set"
    return ["set", kind[1]] if isinstance(kind, list) and is_set else kind


def _nesting(how: Written, made: re.Match[str] | None) -> str:
    said = {"list": "list", "set": "set", "map": "map", "struct": "single"}.get(how.collection or "")
    if said:
        return said
    if made and made[2].endswith("Map"):
        return "map"
    return "set" if made and made[3] == "true" else "list"


def _object(block: Block) -> Any:
    types = {
        name: attribute.get("type") or ["list", _object(attribute["nested"]["block"])]
        for name, attribute in block["attributes"].items()
    }
    return ["object", types | {name: ["list", _object(inner["block"])] for name, inner in block["blocks"].items()}]


def _written(text: str) -> dict[str, Written]:
    return {name: Written(block == "true", kind, storage) for name, block, kind, storage in _WRITTEN.findall(text)}


def _declared(text: str) -> dict[str, Declared]:
    declared = {}
    for comment, question in _PROPERTY.findall(text):
        name = re.search(r"#(\w+) \w+#", comment)
        if name:
            is_block = bool(re.search(rf"^\s*\*\s+{name[1]} block\s*$", comment, re.M))
            declared[name[1]] = Declared(required=not question, is_block=is_block)
    return declared


def _module(javascript: str, typescript: str) -> Module:
    begins = [*_CLASS.finditer(javascript)]
    ends = [match.start() for match in begins[1:]] + [len(javascript)]
    return Module(
        classes={m[1]: (m[2], javascript[m.start() : end]) for m, end in zip(begins, ends, strict=True)},
        writers={m[1].lower(): _written(m[2]) for m in _WRITER.finditer(javascript)},
        interfaces={m[1].lower(): _declared(m[2]) for m in _INTERFACE.finditer(typescript)},
    )


def read_schemas(package: Path) -> dict[str, dict[str, Block]]:
    """All schemas in the archive *package* (the `*.jsii.tgz` of a wheel), by kind and name."""
    texts: dict[str, dict[str, str]] = {}
    with tarfile.open(package) as archive:
        for member in archive:
            found = re.fullmatch(r"package/lib/([\w-]+)/(?:index-structs/)?\w+(\.js|\.d\.ts)", member.name)
            content = archive.extractfile(member) if found else None
            if found and content:
                text = content.read().decode().replace("cdktf.", "cdktn.")
                folder = texts.setdefault(found[1], {".js": "", ".d.ts": ""})
                folder[found[2]] += f"{text}\n"
    schemas: dict[str, dict[str, Block]] = {kind: {} for kind in KINDS.values()}
    for folder in texts.values():
        if _TYPE_NAME.search(folder[".js"]):
            for kind, name, block in _module(folder[".js"], folder[".d.ts"]).schemas():
                schemas[kind][name] = block
    return schemas
