"""The mapping notes: from which Kite value each field of a contract comes, as data.

``<subject>.v<N>.mapping.toml`` stands beside the schemas of those contracts that mirror something
of Kite's. Each field of the contract must be covered, and nothing else may be named.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, Final

from kite_contracts.errors import SchemaError
from kite_contracts.shape import json_nodes
from kite_contracts.store import Contract

PACKET_KINDS: Final = ("ltp", "index_quote", "index_full", "quote", "full")


@dataclass(frozen=True)
class FieldMapping:
    """One field: ``offset`` in bytes by packet kind, ``client`` the official client's key."""

    path: str
    wire: str
    rule: str
    client: str | None = None
    offset: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Unmapped:
    """Something of Kite's that deliberately has no field of ours."""

    client: str
    reason: str


@dataclass(frozen=True)
class Mapping:
    """The mapping notes of one contract, fields in the order of the contract."""

    fields: tuple[FieldMapping, ...]
    unmapped: tuple[Unmapped, ...] = ()


def load_mapping(directory: Traversable, contract: Contract) -> Mapping | None:
    """The mapping notes of ``contract``, or None if it has none. Raises SchemaError."""
    name = f"{contract.name}.mapping.toml"
    source = directory / name
    if not source.is_file():
        return None
    try:
        entries: dict[str, Any] = tomllib.loads(source.read_text("utf-8"))
        if not set(entries) <= {"field", "unmapped"}:
            raise SchemaError(f"{name} may hold [[field]] and [[unmapped]] only.")
        mapping = Mapping(
            tuple(FieldMapping(**entry) for entry in entries.get("field", [])),
            tuple(Unmapped(**entry) for entry in entries.get("unmapped", [])),
        )
    except (ValueError, TypeError) as exc:
        raise SchemaError(f"{name} is malformed: {exc}.") from exc
    return mapping


def faults(mapping: Mapping, contract: Contract) -> list[str]:
    """Where ``mapping`` and ``contract`` do not fit each other: a sentence each."""
    nodes = json_nodes(contract.json, f"{contract.name}.schema.json")
    leaves = [path for path, node in nodes.items() if node.kind not in ("object", "array")]
    mapped = [one.path for one in mapping.fields]
    found = [f"{path} has no mapping note" for path in leaves if path not in mapped]
    found += [f"{path} is mapped, but is no field" for path in mapped if path not in leaves]
    if not found and mapped != leaves:
        found.append("the mapping notes have another order than the fields, or one twice")
    for one in mapping.fields:
        for kind in set(one.offset) - set(PACKET_KINDS):
            found.append(f"{one.path} names the packet kind {kind!r}, which Kite does not have")
    return found
