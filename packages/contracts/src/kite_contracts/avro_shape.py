"""The same flat table of nodes as in :mod:`kite_contracts.shape`, from an Avro schema.

Paths are those of the JSON side, so that the two tables can be laid side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from kite_contracts.errors import SchemaError

AvroKind = Literal["object", "array", "integer", "string", "boolean", "bytes", "enum"]
INTEGER_RANGES: Final = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_PRIMITIVES: Final[dict[str, AvroKind]] = {
    "int": "integer",
    "long": "integer",
    "string": "string",
    "boolean": "boolean",
    "bytes": "bytes",
}
# What the nodes hold by name. Anything else on a field or type is an attribute: a unit, a scale, a
# logicalType and its precision. ``aliases`` change nothing for the reader of the new schema.
_STRUCTURE: Final = frozenset(
    {"name", "namespace", "type", "fields", "items", "symbols", "default", "doc", "aliases"}
)


@dataclass(frozen=True)
class AvroNode:
    """One value of a record. ``type_name`` is the primitive or the full name of a named type.

    ``default`` is that of the field, and None both for a default of null and for no default at all;
    ``has_default`` tells them apart. ``enum_default`` is what a reader makes of unknown symbols.
    """

    path: str
    kind: AvroKind
    type_name: str
    nullable: bool = False
    has_default: bool = False
    default: Any = None
    symbols: tuple[str, ...] = ()
    enum_default: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    doc: str = ""


def avro_nodes(schema: dict[str, Any], name: str = "schema") -> dict[str, AvroNode]:
    """The nodes by path, parents first, in the order of the fields.

    Raises SchemaError, naming ``name`` and the path, for a type that contracts do not use: floats
    (they lose digits of prices), maps, fixed, recursion, unions other than ``["null", T]``.
    """
    walk = _Walk(name)
    walk.visit("", {"type": schema}, "", ())
    return walk.nodes


class _Walk:
    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: dict[str, AvroNode] = {}
        self.named: dict[str, dict[str, Any]] = {}

    def fault(self, path: str, what: str) -> SchemaError:
        return SchemaError(f"{self.name} {path or '(root)'}: {what}.")

    def visit(
        self, path: str, holder: dict[str, Any], namespace: str, stack: tuple[str, ...]
    ) -> None:
        """``holder`` is a field, or ``{"type": ...}`` for the root and the items of an array."""
        declared = holder["type"]
        nullable = isinstance(declared, list)
        if nullable:
            if len(declared) != 2 or declared[0] != "null":
                raise self.fault(path, 'a union must be ["null", one type]')
            declared = declared[1]
        kind, type_name, definition = self.resolve(path, declared, namespace)
        if type_name in stack:
            raise self.fault(path, f"{type_name} holds itself, which contracts do not")
        attributes = {**definition, **holder}
        self.nodes[path] = AvroNode(
            path=path,
            kind=kind,
            type_name=type_name,
            nullable=nullable,
            has_default="default" in holder,
            default=holder.get("default"),
            symbols=tuple(definition.get("symbols", ())),
            enum_default=definition.get("default"),
            attributes={key: attributes[key] for key in attributes if key not in _STRUCTURE},
            doc=holder.get("doc", definition.get("doc", "")),
        )
        if kind == "object":
            inner = type_name.rpartition(".")[0]
            for one in definition["fields"]:
                self.visit(f"{path}/{one['name']}", one, inner, (*stack, type_name))
        elif kind == "array":
            self.visit(path + "/*", {"type": definition["items"]}, namespace, stack)

    def resolve(
        self, path: str, declared: Any, namespace: str
    ) -> tuple[AvroKind, str, dict[str, Any]]:
        """Kind, name and definition of a type: a primitive, a name seen before, or an object."""
        if isinstance(declared, str):
            if declared in _PRIMITIVES:
                return _PRIMITIVES[declared], declared, {}
            full = _full_name(declared, namespace)
            if full not in self.named:
                raise self.fault(path, f"type {declared!r} is not supported")
            definition = self.named[full]
            return _named_kind(definition), full, definition
        if not isinstance(declared, dict):
            raise self.fault(path, f"type {declared!r} is not supported")
        kind = declared.get("type")
        if kind in ("record", "enum"):
            full = _full_name(declared["name"], declared.get("namespace", namespace))
            self.named[full] = declared
            return _named_kind(declared), full, declared
        if kind == "array":
            return "array", "array", declared
        if kind in _PRIMITIVES:
            return _PRIMITIVES[kind], kind, declared
        raise self.fault(path, f"type {kind!r} is not supported")


def _named_kind(definition: dict[str, Any]) -> AvroKind:
    return "object" if definition["type"] == "record" else "enum"


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"
