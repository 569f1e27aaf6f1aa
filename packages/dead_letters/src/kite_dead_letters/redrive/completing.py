"""Fills in the fields that a record may leave out, as its Avro schema's defaults say (pure).

A JSON record, or one that a fix took a field out of, keeps the contract without its optional
fields; the bytes of Avro have a place for each.
"""

from __future__ import annotations

import copy
from typing import Any

Schema = Any


def completed(record: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """The record with every field that has a default; what has none, and what is more, stays."""
    found: dict[str, Any] = _filled(record, schema, {})
    return found


def _filled(value: Any, schema: Schema, named: dict[str, Schema]) -> Any:
    if isinstance(schema, list):
        branches = [each for each in schema if each != "null"]
        return value if value is None else _filled(value, branches[0], named)
    if isinstance(schema, str):
        return _filled(value, named[schema], named) if schema in named else value
    if schema["type"] == "record":
        named[schema["name"]] = schema
        return _filled_record(value, schema, named) if isinstance(value, dict) else value
    if schema["type"] == "array" and isinstance(value, list):
        return [_filled(each, schema["items"], named) for each in value]
    return value


def _filled_record(
    value: dict[str, Any], schema: Schema, named: dict[str, Schema]
) -> dict[str, Any]:
    found = dict(value)
    for field in schema["fields"]:
        name = field["name"]
        if name in value:
            found[name] = _filled(value[name], field["type"], named)
        elif "default" in field:
            found[name] = _filled(copy.deepcopy(field["default"]), field["type"], named)
    return found
