"""What the command line shows: schemas, differences and topics as rich tables."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from kite_contracts.avro_shape import AvroNode, avro_nodes
from kite_contracts.breaks import Break
from kite_contracts.lock import is_released
from kite_contracts.mapping import FieldMapping, Mapping
from kite_contracts.reasons import ReasonCode
from kite_contracts.shape import Node, json_nodes
from kite_contracts.store import Contract, SchemaStore
from kite_contracts.topics import TopicSpec
from kite_runtime.tables import make_table

_DAY_MS = 86_400_000


def contracts_table(
    store: SchemaStore, locked: dict[str, str], topics: Iterable[TopicSpec]
) -> Table:
    """One line a version: what it is for, whether it is released, how its values start."""
    table = _table(
        "Contracts",
        "contract",
        "record",
        "state",
        "topics",
        "value prefix (hex)",
        spare=("record",),
    )
    names: dict[str, list[str]] = {}
    for topic in topics:
        if topic.subject is not None:
            names.setdefault(topic.subject, []).append(topic.name)
    for one in store:
        state = "released" if is_released(one, locked) else "draft"
        served = ", ".join(names.get(one.subject, ["-"]))
        prefix = one.single_object_prefix.hex()
        _row(table, one.name, str(one.avro.get("name")), state, served, prefix)
    return table


def topics_table(topics: Iterable[TopicSpec]) -> Table:
    """One line a topic, with the retention in force."""
    columns = ("topic", "values", "partitions", "retention", "cleanup", "dead letters", "owner")
    table = _table("Topics", *columns, spare=("owner", "cleanup", "partitions"))
    for one in topics:
        _row(
            table,
            one.name,
            one.subject or "raw bytes",
            str(one.partitions),
            _retention(one.retention_ms),
            one.cleanup_policy,
            one.dlq or "-",
            one.owner,
        )
    return table


def reasons_table(*, actions: bool = False) -> Table:
    """One line a reason code of dead letters; with ``actions`` also what to do about it."""
    columns = ["code", "retryable", "owner", "meaning", *(["what to do"] if actions else [])]
    table = _table("Reason codes of dead letters", *columns)
    for code in ReasonCode:
        cells = [code.value, "yes" if code.retryable else "no", code.owner, code.meaning]
        _row(table, *cells, *([code.action] if actions else []))
    return table


def fields_table(contract: Contract, notes: Mapping | None) -> Table:
    """One line a field: type, whether it may be missing, values, unit, Kite's source, meaning."""
    nodes = json_nodes(contract.json, contract.name)
    avro = avro_nodes(contract.avro, contract.name)
    sources = {one.path: _source(one) for one in notes.fields} if notes else {}
    headers = ["field", "Avro type", "optional", "values", "unit"]
    headers += ["Kite"] if notes else []
    table = _table(contract.name, *headers, "meaning", spare=("Kite", "Avro type", "unit"))
    for path, node in nodes.items():
        if not path:
            continue
        cells = [path, avro[path].type_name.rpartition(".")[2]]
        cells += ["yes" if not node.required else "", _values(node), _unit(node)]
        cells += [sources.get(path, "")] if notes else []
        _row(table, *cells, node.doc)
    return table


def difference_table(old: Contract, new: Contract, breaks: Iterable[Break]) -> Table:
    """One line for each field that differs, with the reason where the difference is a break."""
    table = _table(
        f"{old.name} against {new.name}", "field", f"v{old.version}", f"v{new.version}", "verdict"
    )
    before, after = _descriptions(old), _descriptions(new)
    reasons: dict[str, list[str]] = {}
    for one in breaks:
        text = f"{one.rule} ({one.direction}): {one.message}"
        reasons.setdefault(one.path, []).append(text)
    for path in dict.fromkeys([*before, *after, *reasons]):
        left, right = before.get(path, "-"), after.get(path, "-")
        if left != right or path in reasons:
            verdict = "; ".join(reasons.get(path, ["compatible"]))
            _row(table, path or "(root)", left, right, verdict)
    return table


def _descriptions(contract: Contract) -> dict[str, str]:
    nodes = json_nodes(contract.json, contract.name)
    avro = avro_nodes(contract.avro, contract.name)
    return {
        path: _description(nodes.get(path), avro.get(path))
        for path in dict.fromkeys([*nodes, *avro])
    }


def _description(node: Node | None, avro: AvroNode | None) -> str:
    parts = []
    if avro is not None:
        parts.append(avro.type_name)
        parts += [f"{key}={value}" for key, value in avro.attributes.items()]
    if node is not None:
        parts += [_values(node), "" if node.required else "optional"]
    return " ".join(part for part in parts if part)


def _values(node: Node) -> str:
    if node.enum is not None:
        return " | ".join(str(one) for one in node.enum)
    if node.kind == "integer":
        return f"{node.low} .. {node.high}"
    if node.kind == "array":
        if node.min_items == node.max_items:
            return f"{node.min_items} items"
        return f"{node.min_items} .. {node.max_items} items"
    if node.encoding is not None:
        return f"{node.encoding} in JSON"
    if node.pattern is not None:
        return f"/{node.pattern}/"
    return f"at least {node.min_length} character" if node.min_length else ""


def _unit(node: Node) -> str:
    return node.unit or (f"10^-{node.scale}" if node.scale else "")


def _source(one: FieldMapping) -> str:
    if not one.offset:
        return one.client or ("-" if one.wire == "none" else one.wire)
    offsets = sorted(set(one.offset.values()))
    return f"{one.wire} at {', '.join(map(str, offsets))}"


def _retention(retention_ms: int) -> str:
    if retention_ms < 0:
        return "indefinitely"
    days, rest = divmod(retention_ms, _DAY_MS)
    return f"{retention_ms} ms" if rest else f"{days} days"


def _table(title: str, *headers: str, spare: tuple[str, ...] = ()) -> Table:
    return make_table(*headers, title=title, whole=headers[:1], spare=spare)


def _row(table: Table, *cells: str) -> None:
    # Text, not markup: descriptions and patterns hold square brackets.
    table.add_row(*(Text(cell) for cell in cells))
