"""Hypothesis strategies and drafts that the tests of this package share."""

from __future__ import annotations

import base64
import copy
import json
import shutil
from collections.abc import Callable
from importlib.resources import as_file
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from kite_contracts.shape import Node, json_nodes
from kite_contracts.store import Contract, SchemaStore, packaged
from kite_contracts.tick_batch import ABSENT, FIELD_COUNT, Group, TickMode

Record = dict[str, Any]
Schema = dict[str, Any]


FIRST_SUBJECTS = ["bar", "dead_letter", "feed_event", "tick"]


def records(schema: Schema) -> st.SearchStrategy[Record]:
    """Records that the JSON Schema accepts, made from nothing but the schema."""
    nodes = json_nodes(schema)
    strategy: st.SearchStrategy[Record] = _values(nodes, "")
    return strategy


def _values(nodes: dict[str, Node], path: str) -> st.SearchStrategy[Any]:
    node = nodes[path]
    if node.kind == "object":
        depth = path.count("/") + 1
        children = [
            child
            for child in nodes
            if child.count("/") == depth and child.rpartition("/")[0] == path
        ]
        inner: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {_name(one): _values(nodes, one) for one in children if nodes[one].required},
            optional={
                _name(one): _values(nodes, one) for one in children if not nodes[one].required
            },
        )
    elif node.kind == "array":
        largest = node.max_items if node.max_items is not None else node.min_items + 5
        inner = st.lists(
            _values(nodes, path + "/*"), min_size=node.min_items, max_size=min(largest, 12)
        )
    else:
        inner = _leaf(node)
    return st.none() | inner if node.nullable else inner


def _leaf(node: Node) -> st.SearchStrategy[Any]:
    if node.enum is not None:
        return st.sampled_from(node.enum)
    if node.kind == "integer":
        assert node.low is not None
        assert node.high is not None
        return st.sampled_from([node.low, node.high]) | st.integers(node.low, node.high)
    if node.kind == "boolean":
        return st.booleans()
    if node.encoding == "base64":
        return st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode("ascii"))
    if node.pattern is not None:
        return st.from_regex(node.pattern)
    return st.text(min_size=node.min_length, max_size=20)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def near(low: int, high: int) -> st.SearchStrategy[int]:
    """64-bit integers in and around a range, its edges above all."""
    edges = [edge + step for edge in (low, high) for step in (-1, 0, 1)]
    inside = [edge for edge in edges if -(2**63) <= edge < 2**63]
    return st.sampled_from(inside) | st.integers(low, high) | st.integers(-(2**63), 2**63 - 1)


@st.composite
def tick_rows(
    draw: st.DrawFn, low: list[int], high: list[int]
) -> tuple[list[int], Group, TickMode]:
    """Columns, groups and mode of any row: all within ``low`` and ``high`` but for a few."""
    seed = draw(st.integers(0, 2**32))
    values = [
        lo + (seed * (column + 1)) % (hi - lo + 1)
        for column, (lo, hi) in enumerate(zip(low, high, strict=True))
    ]
    for column in draw(st.lists(st.integers(0, FIELD_COUNT - 1), max_size=6)):
        values[column] = draw(near(low[column], high[column]) | st.just(ABSENT))
    groups = Group(draw(st.integers(0, 31)))
    return values, groups, draw(st.sampled_from(TickMode))


def copied_schemas(folder: Path) -> Path:
    """A writable copy of the first release, whatever has been released since."""
    target = folder / "schemas"
    target.mkdir()
    with as_file(packaged().directory) as source:
        for subject in FIRST_SUBJECTS:
            for path in source.glob(f"{subject}.v1.*"):
                shutil.copy(path, target)
        lines = (source / "contract.lock").read_text().splitlines(keepends=True)
    names = tuple(f"  {subject}.v1." for subject in FIRST_SUBJECTS)
    kept = [line for line in lines if any(name in line for name in names)]
    (target / "contract.lock").write_text("".join(kept))
    return target


Edit = Callable[[Schema, Schema], None]
"""Changes an Avro schema and a JSON Schema in place."""


def draft(directory: Path, subject: str, edit: Edit, version: int = 2) -> SchemaStore:
    """Write a version of ``subject``: the one before, edited, with its examples and notes."""
    before = f"{subject}.v{version - 1}"
    avro = json.loads((directory / f"{before}.avsc").read_text())
    schema = json.loads((directory / f"{before}.schema.json").read_text())
    schema["$id"] = schema["$id"].replace(f":v{version - 1}", f":v{version}")
    edit(avro, schema)
    (directory / f"{subject}.v{version}.avsc").write_text(json.dumps(avro))
    (directory / f"{subject}.v{version}.schema.json").write_text(json.dumps(schema))
    for suffix in ("valid.jsonl", "invalid.jsonl", "mapping.toml"):
        source = directory / f"{before}.{suffix}"
        if source.exists():
            shutil.copy(source, directory / f"{subject}.v{version}.{suffix}")
    return SchemaStore(directory)


def edited(contract: Contract, edit: Edit) -> Contract:
    """The next version of ``contract``, in memory."""
    avro, schema = copy.deepcopy(contract.avro), copy.deepcopy(contract.json)
    schema["$id"] = schema["$id"].replace(f":v{contract.version}", f":v{contract.version + 1}")
    edit(avro, schema)
    return Contract(contract.subject, contract.version + 1, avro, schema, b"", b"", 0)


def avro_field(schema: Schema, *names: str) -> Schema:
    """The Avro field at a path of names, through optional groups and arrays."""
    for name in names:
        (field,) = (one for one in schema["fields"] if one["name"] == name)
        schema = field["type"]
        if isinstance(schema, list):
            schema = schema[1]
        if isinstance(schema, dict) and schema["type"] == "array":
            schema = schema["items"]
    found: Schema = field
    return found


def add_auction(avro: Schema, schema: Schema) -> None:
    """The compatible change of the documentation: one more optional group."""
    doc = "Closing auction; null outside it."
    price, quantity = "Indicative closing price.", "Quantity matched at that price."
    avro["fields"].append(
        {
            "name": "auction",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Auction",
                    "doc": doc,
                    "fields": [
                        {
                            "name": "indicative_price",
                            "type": "long",
                            "scale": "price_scale",
                            "doc": price,
                        },
                        {"name": "quantity", "type": "long", "doc": quantity},
                    ],
                },
            ],
            "default": None,
            "doc": doc,
        }
    )
    schema["properties"]["auction"] = {
        "description": doc,
        "type": ["object", "null"],
        "properties": {
            "indicative_price": {
                "description": price,
                "type": "integer",
                "minimum": -(2**31),
                "maximum": 2**31 - 1,
                "scale": "price_scale",
            },
            "quantity": {
                "description": quantity,
                "type": "integer",
                "minimum": 0,
                "maximum": 2**32 - 1,
            },
        },
        "required": ["indicative_price", "quantity"],
        "additionalProperties": False,
    }


def extend_for_auction(directory: Path, version: int = 2) -> None:
    """Examples and mapping notes of the compatible draft."""
    auction = {"indicative_price": 145_990, "quantity": 1_200}
    valid = directory / f"tick.v{version}.valid.jsonl"
    lines = valid.read_text().splitlines()
    lines.append(json.dumps({**json.loads(lines[0]), "auction": auction}))
    valid.write_text("\n".join(lines) + "\n")
    notes = directory / f"tick.v{version}.mapping.toml"
    text, mark, rest = notes.read_text().partition("# What Kite or its client has")
    for name in ("indicative_price", "quantity"):
        text += f'[[field]]\npath = "/auction/{name}"\nwire = "none"\nrule = "not sent yet"\n\n'
    notes.write_text(text + mark + rest)
