"""The examples beside the schemas: records that keep a contract, and records that break it.

``<subject>.v<N>.valid.jsonl`` holds one record a line. A line of ``<subject>.v<N>.invalid.jsonl``
is an object with ``why``, the ``path`` and ``keyword`` that ``jsonschema`` must name, ``avro``
(whether fastavro ``writes`` the record, its rule being one of values, or ``refuses`` it), and the
``record``.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, Final

import fastavro

from kite_contracts.avro_shape import avro_nodes
from kite_contracts.errors import RecordError, SchemaError
from kite_contracts.store import Contract
from kite_contracts.validate import first_violation, make_validator

Record = dict[str, Any]

_INVALID_KEYS: Final = {"why", "path", "keyword", "avro", "record"}
_AVRO_ANSWERS: Final = ("writes", "refuses")


@dataclass(frozen=True)
class InvalidExample:
    """A record that breaks its contract and how this shows."""

    why: str
    path: str
    keyword: str
    avro: str
    record: Record


def valid_examples(directory: Traversable, contract: Contract) -> list[Record]:
    """The records that keep ``contract``. Raises SchemaError for a faulty file."""
    return [line for _, line in _lines(directory, f"{contract.name}.valid.jsonl")]


def invalid_examples(directory: Traversable, contract: Contract) -> list[InvalidExample]:
    """The records that break ``contract``. Raises SchemaError for a faulty file."""
    name = f"{contract.name}.invalid.jsonl"
    found = []
    for number, line in _lines(directory, name):
        if set(line) != _INVALID_KEYS or line["avro"] not in _AVRO_ANSWERS:
            keys = ", ".join(sorted(_INVALID_KEYS))
            raise SchemaError(f"{name} line {number} must hold {keys}; avro writes or refuses.")
        found.append(InvalidExample(**line))
    return found


def faults(directory: Traversable, contract: Contract) -> list[str]:
    """What is wrong with the examples of ``contract``: a sentence each. Raises SchemaError."""
    validator = make_validator(contract.json)
    valid, invalid = valid_examples(directory, contract), invalid_examples(directory, contract)
    found = []
    for number, record in enumerate(valid, start=1):
        violation = first_violation(validator, record)
        if violation is not None:
            found.append(f"valid example {number} breaks the JSON Schema: {violation}")
        elif without_nulls(read_back(contract, record)) != without_nulls(record):
            found.append(f"valid example {number} does not come back from Avro as it was")
    for number, example in enumerate(invalid, start=1):
        violation = first_violation(validator, example.record)
        said = None if violation is None else (violation.path, violation.keyword)
        if said != (example.path, example.keyword):
            wanted = (example.path, example.keyword)
            found.append(f"invalid example {number} ({example.why}) gives {said}, not {wanted}")
        if _avro_answer(contract, example.record) != example.avro:
            found.append(f"invalid example {number} ({example.why}): Avro does not {example.avro}")
    return found


def read_back(contract: Contract, record: Record) -> Record:
    """``record`` written by fastavro and read again, bytes as base64 text.

    Raises RecordError if Avro refuses the record.
    """
    schema = fastavro.parse_schema(contract.avro)
    stream = io.BytesIO()
    try:
        fastavro.schemaless_writer(stream, schema, _with_bytes(contract, record), strict=False)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as exc:
        raise RecordError(f"Avro refuses the record: {exc}.") from exc
    stream.seek(0)
    read = fastavro.schemaless_reader(stream, schema, None)
    return {key: _as_text(value) for key, value in dict(read).items()}  # type: ignore[arg-type]


def without_nulls(value: Any) -> Any:
    """``value`` without its null fields: null and left out mean the same in every contract."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_nulls(part) for part in value]
    return value


def _lines(directory: Traversable, name: str) -> list[tuple[int, Record]]:
    try:
        text = (directory / name).read_text("utf-8")
    except OSError as exc:
        raise SchemaError(f"{name} cannot be read: {exc.strerror}.") from exc
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as exc:
            raise SchemaError(f"{name} line {number} is no JSON: {exc}.") from exc
        if not isinstance(record, dict):
            raise SchemaError(f"{name} line {number} must be a JSON object.")
        found.append((number, record))
    if not found:
        raise SchemaError(f"{name} holds no example.")
    return found


def _avro_answer(contract: Contract, record: Record) -> str:
    try:
        read_back(contract, record)
    except RecordError:
        return "refuses"
    return "writes"


def _with_bytes(contract: Contract, record: Record) -> Record:
    """Base64 text as the bytes that Avro wants; contracts have bytes at the top level only."""
    nodes = avro_nodes(contract.avro, contract.name)
    return {
        key: base64.b64decode(value, validate=True)
        if f"/{key}" in nodes and nodes[f"/{key}"].kind == "bytes" and isinstance(value, str)
        else value
        for key, value in record.items()
    }


def _as_text(value: Any) -> Any:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
