"""Compatibility of two Avro schemas, including what Avro's own checker lets pass.

That checker looks at bytes. A scale, a time unit or a logicalType changes what a number means and
not its bytes, and a namespace changes neither bytes nor, for the checker, the name; for the readers
generated from the schema they are breaks.
"""

from __future__ import annotations

from kite_contracts.avro_shape import AvroNode
from kite_contracts.breaks import (
    Break,
    Direction,
    Rule,
    new_required_field,
    outermost,
    removed_fields,
)


def avro_breaks(old: dict[str, AvroNode], new: dict[str, AvroNode]) -> list[Break]:
    """Why ``new`` may not follow ``old``."""
    found = removed_fields(old, new)
    found += [new_required_field(path) for path in outermost(new, old) if not new[path].has_default]
    for path in old:
        if path in new:
            found += [
                Break(path, rule, direction, message)
                for rule, direction, message in _node_breaks(old[path], new[path])
            ]
    return found


_Found = list[tuple[Rule, Direction, str]]


def _node_breaks(old: AvroNode, new: AvroNode) -> _Found:
    became = f"{old.type_name} became {new.type_name}"
    if old.kind != new.kind:
        return [(Rule.CHANGED_TYPE, Direction.FULL, became)]
    found: _Found = []
    if old.type_name != new.type_name:
        if old.kind == "integer":
            hurt = Direction.FORWARD if new.type_name == "long" else Direction.BACKWARD
            found.append((Rule.CHANGED_TYPE, hurt, became))
        else:
            found.append((Rule.CHANGED_NAME, Direction.FULL, became))
    if old.nullable != new.nullable:
        hurt = Direction.FORWARD if new.nullable else Direction.BACKWARD
        message = "null is allowed now" if new.nullable else "null is no longer allowed"
        found.append((Rule.CHANGED_OPTIONALITY, hurt, message))
    if (old.has_default, old.default) != (new.has_default, new.default):
        message = "a field keeps its default, or its having none"
        found.append((Rule.CHANGED_DEFAULT, Direction.FULL, message))
    for key in sorted(set(old.attributes) | set(new.attributes)):
        before, after = old.attributes.get(key), new.attributes.get(key)
        if before != after:
            message = f"{key} {before!r} became {after!r}"
            found.append((Rule.CHANGED_ATTRIBUTE, Direction.FULL, message))
    return found + _symbol_breaks(old, new)


def _symbol_breaks(old: AvroNode, new: AvroNode) -> _Found:
    found: _Found = []
    gone = [symbol for symbol in old.symbols if symbol not in new.symbols]
    come = [symbol for symbol in new.symbols if symbol not in old.symbols]
    if gone:
        found.append((Rule.REMOVED_SYMBOL, Direction.BACKWARD, ", ".join(gone)))
    if come and old.enum_default is None:
        found.append((Rule.ADDED_SYMBOL, Direction.FORWARD, ", ".join(come)))
    if old.enum_default != new.enum_default:
        message = f"enum default {old.enum_default!r} became {new.enum_default!r}"
        found.append((Rule.CHANGED_DEFAULT, Direction.FULL, message))
    return found
