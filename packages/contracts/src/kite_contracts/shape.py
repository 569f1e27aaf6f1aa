"""One flat table of nodes from a JSON Schema: what bounds, checks and tables are made from.

A node's path is a JSON Pointer in which ``*`` stands for the items of an array, such as
``/depth/bids/*/price``; the root is the empty string. Only the keywords below are understood. Any
other is an error, because a rule that is silently left out is a rule that two places see
differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeGuard

from kite_contracts.errors import SchemaError

Kind = Literal["object", "array", "integer", "string", "boolean"]
KINDS: Final = ("object", "array", "integer", "string", "boolean")
ANNOTATIONS: Final = frozenset({"title", "description", "$comment", "unit", "scale"})
_ROOT_KEYWORDS: Final = frozenset({"$schema", "$id", "$defs"})
_KEYWORDS: Final[dict[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "integer": frozenset({"minimum", "maximum", "enum"}),
    "string": frozenset({"enum", "minLength", "pattern", "contentEncoding"}),
    "boolean": frozenset(),
}


@dataclass(frozen=True)
class Node:
    """One value of a record. ``low`` and ``high`` are inclusive; counts are of array items."""

    path: str
    kind: Kind
    nullable: bool = False
    required: bool = True
    enum: tuple[int, ...] | tuple[str, ...] | None = None
    low: int | None = None
    high: int | None = None
    min_items: int = 0
    max_items: int | None = None
    min_length: int = 0
    pattern: str | None = None
    encoding: str | None = None
    unit: str | None = None
    scale: str | None = None
    doc: str = ""


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a value is an integer as Avro and the batch mean it: neither bool nor 100.0."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_string(value: Any) -> TypeGuard[str]:
    """Whether a value is a string."""
    return isinstance(value, str)


def json_nodes(schema: dict[str, Any], name: str = "schema") -> dict[str, Node]:
    """The nodes by path, parents first, in the order of the schema.

    Raises SchemaError, naming ``name`` and the path, for what is malformed or not supported.
    """
    walk = _Walk(name, schema)
    walk.visit("", {key: schema[key] for key in schema if key not in _ROOT_KEYWORDS}, required=True)
    return walk.nodes


class _Walk:
    def __init__(self, name: str, root: dict[str, Any]) -> None:
        self.name = name
        self.root = root
        self.nodes: dict[str, Node] = {}

    def fault(self, path: str, what: str) -> SchemaError:
        return SchemaError(f"{self.name} {path or '(root)'}: {what}.")

    def visit(self, path: str, schema: Any, required: bool) -> None:
        schema = self.resolve(path, schema)
        kind, nullable = self.kind_of(path, schema)
        for keyword in schema:
            if keyword != "type" and keyword not in ANNOTATIONS | _KEYWORDS[kind]:
                raise self.fault(path, f"keyword {keyword!r} is not supported for type {kind}")
        if "enum" in schema and nullable:
            raise self.fault(path, "keyword 'enum' is not supported where null is allowed")
        low, high, enum = self.range_of(path, kind, schema)
        self.nodes[path] = Node(
            path=path,
            kind=kind,
            nullable=nullable,
            required=required,
            enum=enum,
            low=low,
            high=high,
            min_items=schema.get("minItems", 0),
            max_items=schema.get("maxItems"),
            min_length=schema.get("minLength", 0),
            pattern=schema.get("pattern"),
            encoding=schema.get("contentEncoding"),
            unit=schema.get("unit"),
            scale=schema.get("scale"),
            doc=schema.get("description", ""),
        )
        if kind == "object":
            self.visit_object(path, schema)
        elif kind == "array":
            self.visit(path + "/*", schema.get("items"), required=True)

    def visit_object(self, path: str, schema: dict[str, Any]) -> None:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            raise self.fault(path, "an object needs 'properties'")
        if schema.get("additionalProperties") is not False:
            raise self.fault(path, "an object needs 'additionalProperties': false")
        required = schema.get("required", [])
        for missing in [key for key in required if key not in properties]:
            raise self.fault(path, f"'required' names {missing!r}, which is no property")
        for key, value in properties.items():
            self.visit(f"{path}/{key}", value, key in required)

    def resolve(self, path: str, schema: Any) -> dict[str, Any]:
        if not isinstance(schema, dict):
            raise self.fault(path, "there must be an object that describes the value")
        if "$ref" not in schema:
            return schema
        prefix = "#/$defs/"
        target = schema["$ref"]
        if not set(schema) <= {"$ref"} | ANNOTATIONS or not target.startswith(prefix):
            raise self.fault(path, f"'$ref' must stand alone and start with {prefix}")
        found = self.root.get("$defs", {}).get(target.removeprefix(prefix))
        if not isinstance(found, dict) or "$ref" in found:
            raise self.fault(path, f"{target} must name one definition in this file")
        return found

    def kind_of(self, path: str, schema: dict[str, Any]) -> tuple[Kind, bool]:
        declared = schema.get("type")
        types = declared if isinstance(declared, list) else [declared]
        kinds = [one for one in types if one != "null"]
        if len(kinds) != 1 or kinds[0] not in KINDS or len(types) > 2:
            raise self.fault(path, f"type {declared!r} is not supported")
        return kinds[0], len(types) == 2

    def range_of(
        self, path: str, kind: Kind, schema: dict[str, Any]
    ) -> tuple[int | None, int | None, tuple[Any, ...] | None]:
        enum = schema.get("enum")
        if enum is not None:
            fits = is_integer if kind == "integer" else is_string
            if not enum or not all(fits(one) for one in enum):
                raise self.fault(path, f"'enum' must list values of type {kind}")
        if kind != "integer":
            return None, None, None if enum is None else tuple(enum)
        if enum is not None:
            if {"minimum", "maximum"} & set(schema):
                raise self.fault(path, "'enum' and a range together are not supported")
            return min(enum), max(enum), tuple(enum)
        low, high = schema.get("minimum"), schema.get("maximum")
        if not (is_integer(low) and is_integer(high) and low <= high):
            raise self.fault(path, "an integer needs 'minimum' and 'maximum', or 'enum'")
        return low, high, None
