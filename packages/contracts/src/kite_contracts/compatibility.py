"""FULL_TRANSITIVE compatibility: every version reads what every other version wrote.

Topics are kept for days and dead letters are replayed after weeks, so old bytes meet new code and
new bytes meet old code. Avro's own checker is asked both ways; :mod:`kite_contracts.avro_rules` and
:mod:`kite_contracts.json_rules` add what it lets pass.
"""

from __future__ import annotations

import json
from itertools import combinations

import avro.errors
import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from kite_contracts.avro_rules import avro_breaks
from kite_contracts.avro_shape import avro_nodes
from kite_contracts.breaks import Break, Direction, Rule
from kite_contracts.errors import SchemaError
from kite_contracts.json_rules import json_breaks
from kite_contracts.shape import json_nodes
from kite_contracts.store import Contract, SchemaStore


def breaks(old: Contract, new: Contract) -> list[Break]:
    """Why ``new`` may not follow ``old``; empty if it may.

    Raises SchemaError if a schema is malformed or uses what contracts do not support.
    """
    before = avro_nodes(old.avro, f"{old.name}.avsc")
    after = avro_nodes(new.avro, f"{new.name}.avsc")
    found = avro_breaks(before, after)
    symbol_paths = {path for path in before if before[path].kind == "enum"}
    for one in json_breaks(
        json_nodes(old.json, f"{old.name}.schema.json"),
        json_nodes(new.json, f"{new.name}.schema.json"),
        symbol_paths,
    ):
        if not any((one.path, one.rule) == (other.path, other.rule) for other in found):
            found.append(one)
    hurt = {one.direction for one in found}
    for direction, reader, writer in (
        (Direction.BACKWARD, new, old),
        (Direction.FORWARD, old, new),
    ):
        # Our own rules say it better; Avro's verdict is the net beneath them.
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
