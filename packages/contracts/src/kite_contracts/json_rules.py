"""Compatibility of two JSON Schemas: which values a version accepts.

What became narrower turns old records away when they are checked again; what became wider meets
readers who relied on the old limits. Enum values that Avro has as symbols are left to its rules,
because an enum default makes new ones safe.
"""

from __future__ import annotations

from collections.abc import Collection

from kite_contracts.breaks import (
    Break,
    Direction,
    Rule,
    new_required_field,
    outermost,
    removed_fields,
)
from kite_contracts.shape import Node


def json_breaks(
    old: dict[str, Node], new: dict[str, Node], symbol_paths: Collection[str]
) -> list[Break]:
    """Why ``new`` may not follow ``old``; ``symbol_paths`` are those of Avro's enums."""
    found = removed_fields(old, new)
    found += [new_required_field(path) for path in outermost(new, old) if new[path].required]
    for path in old:
        if path in new:
            found += _node_breaks(old[path], new[path], path in symbol_paths)
    return found


def _node_breaks(old: Node, new: Node, is_symbol: bool) -> list[Break]:
    path = new.path
    if (old.kind, old.encoding) != (new.kind, new.encoding):
        message = f"{old.encoding or old.kind} became {new.encoding or new.kind}"
        return [Break(path, Rule.CHANGED_TYPE, Direction.FULL, message)]
    found = []
    if (old.nullable, old.required) != (new.nullable, new.required):
        tighter = new.required > old.required or old.nullable > new.nullable
        hurt = Direction.BACKWARD if tighter else Direction.FORWARD
        message = "a field stays required, or stays optional"
        found.append(Break(path, Rule.CHANGED_OPTIONALITY, hurt, message))
    for key, before, after in (("unit", old.unit, new.unit), ("scale", old.scale, new.scale)):
        if before != after:
            message = f"{key} {before!r} became {after!r}"
            found.append(Break(path, Rule.CHANGED_ATTRIBUTE, Direction.FULL, message))
    if old.pattern != new.pattern:
        message = f"pattern {old.pattern!r} became {new.pattern!r}"
        found.append(Break(path, Rule.NARROWED, Direction.FULL, message))
    if is_symbol:
        return found
    refused, added = _refused(old, new), _refused(new, old)
    if refused:
        found.append(Break(path, Rule.NARROWED, Direction.BACKWARD, "; ".join(refused)))
    if added:
        found.append(Break(path, Rule.WIDENED, Direction.FORWARD, "; ".join(added)))
    return found


def _refused(giver: Node, taker: Node) -> list[str]:
    """In what way ``taker`` refuses values that ``giver`` accepts."""
    found = []
    if giver.kind == "integer" and not _takes_integers(taker, giver):
        found.append(f"{_values(giver)} does not fit into {_values(taker)}")
    if giver.kind == "string" and taker.enum is not None:
        lost = ["any text"] if giver.enum is None else set(giver.enum) - set(taker.enum)
        if lost:
            found.append(f"{', '.join(sorted(map(str, lost)))} is none of {list(taker.enum)}")
    for name, given, taken in (
        ("minLength", giver.min_length, taker.min_length),
        ("minItems", giver.min_items, taker.min_items),
    ):
        if given < taken:
            found.append(f"{name} {given} is less than {taken}")
    if taker.max_items is not None and (
        giver.max_items is None or giver.max_items > taker.max_items
    ):
        found.append(f"maxItems {giver.max_items} is more than {taker.max_items}")
    return found


def _takes_integers(taker: Node, giver: Node) -> bool:
    if giver.enum is not None:
        return all(_takes(taker, int(value)) for value in giver.enum)
    low, high = giver.low or 0, giver.high or 0
    if taker.enum is not None:
        span = high - low + 1
        return span <= len(taker.enum) and all(
            value in taker.enum for value in range(low, high + 1)
        )
    return _takes(taker, low) and _takes(taker, high)


def _takes(node: Node, value: int) -> bool:
    if node.enum is not None:
        return value in node.enum
    return node.low is not None and node.high is not None and node.low <= value <= node.high


def _values(node: Node) -> str:
    return f"{list(node.enum)}" if node.enum is not None else f"{node.low}..{node.high}"
