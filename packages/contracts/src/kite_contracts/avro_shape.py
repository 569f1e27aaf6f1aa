"""The same flat table of nodes as in :mod:`kite_contracts.shape`, from an Avro schema.

Paths are those of the JSON side, so that the two tables can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fastavro.schema import SchemaParseException, expand_schema

from kite_contracts.errors import SchemaError

AvroKind = Literal["object", "array", "integer", "string", "boolean", "bytes", "enum"]
INTEGER_RANGES: Final = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_KINDS: Final[dict[str, AvroKind]] = {
    "record": "object",
    "array": "array",
    "enum": "enum",
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

    Raises SchemaError for what is no Avro schema, and, naming ``name`` and the path, for a type
    that contracts do not use: floats (they lose digits of prices), maps, fixed, recursion, unions
    other than ``["null", T]``.
    """
    try:
        # With each named type in full wherever it is used, under its full name.
        whole = expand_schema(schema)
    except (SchemaParseException, KeyError, TypeError, ValueError) as exc:
        raise SchemaError(f"{name} is no Avro schema: {exc}.") from exc
    return {node.path: node for node in _walk("", {"type": whole}, (), name)}


def _walk(
    path: str, holder: dict[str, Any], above: tuple[str, ...], name: str
) -> Iterator[AvroNode]:
    """``holder`` is a field, or ``{"type": ...}`` for the root and the items of an array; ``above``
    are the records around it."""

    def fault(what: str) -> SchemaError:
        return SchemaError(f"{name} {path or '(root)'}: {what}.")

    declared = holder["type"]
    nullable = isinstance(declared, list)
    if nullable:
        if len(declared) != 2 or declared[0] != "null":
            raise fault('a union must be ["null", one type]')
        declared = declared[1]
    if declared in above:
        raise fault(f"{declared} holds itself, which contracts do not")
    definition: dict[str, Any] = declared if isinstance(declared, dict) else {"type": declared}
    if definition["type"] not in _KINDS:
        raise fault(f"type {definition['type']!r} is not supported")
    kind = _KINDS[definition["type"]]
    attributes = {**definition, **holder}
    node = AvroNode(
        path=path,
        kind=kind,
        type_name=str(definition.get("name", definition["type"])),
        nullable=nullable,
        has_default="default" in holder,
        default=holder.get("default"),
        symbols=tuple(definition.get("symbols", ())),
        enum_default=definition.get("default"),
        attributes={key: attributes[key] for key in attributes if key not in _STRUCTURE},
        doc=str(holder.get("doc", definition.get("doc", ""))),
    )
    yield node
    for field_ in definition.get("fields", ()):
        yield from _walk(f"{path}/{field_['name']}", field_, (*above, node.type_name), name)
    if kind == "array":
        yield from _walk(path + "/*", {"type": definition["items"]}, above, name)
