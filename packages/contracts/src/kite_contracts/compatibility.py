"""FULL_TRANSITIVE compatibility: every version reads what every other version wrote.

Topics are kept for days and dead letters are replayed after weeks, so old bytes meet new code and
new bytes meet old code. Avro's own checker is asked both ways, and looks at bytes alone. A scale, a
time unit or a logicalType changes what a number means and not its bytes; a field that goes takes
with it what old records hold; a namespace is another class for readers that were generated. And the
JSON Schema may not take other values: narrower ones turn old records away when they are checked
again, wider ones meet readers who relied on the old limits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import combinations

import avro.errors
import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from kite_contracts.avro_shape import AvroNode, avro_nodes
from kite_contracts.breaks import Break, Direction, Rule
from kite_contracts.errors import SchemaError
from kite_contracts.shape import Node, json_nodes
from kite_contracts.store import Contract, SchemaStore

_Found = Iterator[tuple[Rule, Direction, str]]


def breaks(old: Contract, new: Contract) -> list[Break]:
    """Why ``new`` may not follow ``old``; empty if it may.

    Raises SchemaError if a schema is malformed or uses what contracts do not support.
    """
    before = avro_nodes(old.avro, f"{old.name}.avsc")
    after = avro_nodes(new.avro, f"{new.name}.avsc")
    values_before = json_nodes(old.json, f"{old.name}.schema.json")
    values_after = json_nodes(new.json, f"{new.name}.schema.json")
    found = _structure(before, after, {path for path in after if not after[path].has_default})
    for path in before:
        if path in after:
            found += [Break(path, *each) for each in _avro(before[path], after[path])]
    seen = {(one.path, one.rule) for one in found}
    by_values = _structure(
        values_before, values_after, {path for path in values_after if values_after[path].required}
    )
    for path in values_before:
        if path in values_after:
            # An enum default makes new symbols safe, so Avro's rules judge them.
            is_symbol = path in before and before[path].kind == "enum"
            differences = _json(values_before[path], values_after[path], is_symbol)
            by_values += [Break(path, *each) for each in differences]
    found += [one for one in by_values if (one.path, one.rule) not in seen]
    hurt = {one.direction for one in found}
    for direction, reader, writer in (
        (Direction.BACKWARD, new, old),
        (Direction.FORWARD, old, new),
    ):
        # Our own rules name it better; Avro's verdict is the net beneath them.
        if not hurt & {direction, Direction.FULL}:
            found += resolution_breaks(reader, writer, direction)
    return found


def transitive_breaks(store: SchemaStore, subject: str) -> list[tuple[Contract, Contract, Break]]:
    """The breaks between all pairs of versions of ``subject``, the older one first."""
    contracts = [store.contract(subject, version) for version in store.versions(subject)]
    return [(old, new, one) for old, new in combinations(contracts, 2) for one in breaks(old, new)]


def resolution_breaks(reader: Contract, writer: Contract, direction: Direction) -> list[Break]:
    """Why Avro's own schema resolution cannot read ``writer``'s records as ``reader``'s."""
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(_apache(reader), _apache(writer))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    places, reasons = sorted(result.locations), sorted(result.messages)
    message = f"{'; '.join(reasons)} at {', '.join(places)} of the Avro schema"
    return [Break("", Rule.AVRO, direction, message)]


def _apache(contract: Contract) -> avro.schema.Schema:
    try:
        return avro.schema.parse(json.dumps(contract.avro))
    except avro.errors.AvroException as exc:
        raise SchemaError(f"{contract.name}.avsc is no Avro schema: {exc}.") from exc


def _structure(
    old: Mapping[str, object], new: Mapping[str, object], required: set[str]
) -> list[Break]:
    """Fields that are gone, and new ones among ``required``; the outermost ones only.

    Avro lets a field with a default go; here none goes, because what producers still write, or dead
    letters still hold, would be lost unnoticed.
    """
    gone = "old records hold it, and it would be lost in silence"
    come = "old records do not hold it; make it optional, with default null"
    return [
        *(Break(each, Rule.REMOVED_FIELD, Direction.FULL, gone) for each in _only_in(old, new)),
        *(
            Break(each, Rule.NEW_REQUIRED_FIELD, Direction.BACKWARD, come)
            for each in _only_in(new, old)
            if each in required
        ),
    ]


def _only_in(left: Mapping[str, object], right: Mapping[str, object]) -> list[str]:
    """Paths only in ``left``, without those whose parent is missing from ``right`` too."""
    missing = [path for path in left if path not in right]
    return [path for path in missing if path.rpartition("/")[0] not in missing]


def _avro(old: AvroNode, new: AvroNode) -> _Found:
    became = f"{old.type_name} became {new.type_name}"
    if old.kind != new.kind:
        yield Rule.CHANGED_TYPE, Direction.FULL, became
        return
    if old.type_name != new.type_name:
        if old.kind == "integer":
            hurt = Direction.FORWARD if new.type_name == "long" else Direction.BACKWARD
            yield Rule.CHANGED_TYPE, hurt, became
        else:
            yield Rule.CHANGED_NAME, Direction.FULL, became
    if old.nullable != new.nullable:
        hurt = Direction.FORWARD if new.nullable else Direction.BACKWARD
        message = "null is allowed now" if new.nullable else "null is no longer allowed"
        yield Rule.CHANGED_OPTIONALITY, hurt, message
    if (old.has_default, old.default) != (new.has_default, new.default):
        message = "a field keeps its default, or its having none"
        yield Rule.CHANGED_DEFAULT, Direction.FULL, message
    yield from _attributes(old.attributes, new.attributes)
    gone = [symbol for symbol in old.symbols if symbol not in new.symbols]
    come = [symbol for symbol in new.symbols if symbol not in old.symbols]
    if gone:
        yield Rule.REMOVED_SYMBOL, Direction.BACKWARD, ", ".join(gone)
    if come and old.enum_default is None:
        yield Rule.ADDED_SYMBOL, Direction.FORWARD, ", ".join(come)
    if old.enum_default != new.enum_default:
        message = f"enum default {old.enum_default!r} became {new.enum_default!r}"
        yield Rule.CHANGED_DEFAULT, Direction.FULL, message


def _attributes(old: Mapping[str, object], new: Mapping[str, object]) -> _Found:
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if before != after:
            yield Rule.CHANGED_ATTRIBUTE, Direction.FULL, f"{key} {before!r} became {after!r}"


def _json(old: Node, new: Node, is_symbol: bool) -> _Found:
    if (old.kind, old.encoding) != (new.kind, new.encoding):
        message = f"{old.encoding or old.kind} became {new.encoding or new.kind}"
        yield Rule.CHANGED_TYPE, Direction.FULL, message
        return
    if (old.nullable, old.required) != (new.nullable, new.required):
        tighter = new.required > old.required or old.nullable > new.nullable
        hurt = Direction.BACKWARD if tighter else Direction.FORWARD
        message = "a field stays required, or stays optional"
        yield Rule.CHANGED_OPTIONALITY, hurt, message
    own = [{"unit": each.unit, "scale": each.scale} for each in (old, new)]
    yield from _attributes(*own)
    if old.pattern != new.pattern:
        message = f"pattern {old.pattern!r} became {new.pattern!r}"
        yield Rule.NARROWED, Direction.FULL, message
    if is_symbol:
        return
    if refused := _refused(old, new):
        yield Rule.NARROWED, Direction.BACKWARD, "; ".join(refused)
    if added := _refused(new, old):
        yield Rule.WIDENED, Direction.FORWARD, "; ".join(added)


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
