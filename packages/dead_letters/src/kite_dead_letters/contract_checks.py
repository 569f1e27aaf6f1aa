"""Whether a record keeps a released contract: fast when it does, explained when it does not (pure).

``kite_contracts.validate`` is the reference and explains a rejection, thousands a second.
jsonschema-rs reads the same JSON Schema and answers most records before it comes to that.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any, Final

import jsonschema_rs

from kite_contracts.reasons import ReasonCode
from kite_contracts.schemas import json_schema
from kite_contracts.validate import Violation, explain

_STRUCTURE: Final = frozenset({"type", "required", "additionalProperties", "dependentRequired"})


def violation_of(subject: str, version: int, record: Any) -> Violation | None:
    """The first rule that the record breaks, or None."""
    if _quick(subject, version).is_valid(record):
        # Draft 2020-12 takes 1.0 for an integer and our contract does not; Avro has no such case.
        return None
    return explain(subject, version, record)


def reason_of_violation(violation: Violation) -> ReasonCode:
    """A wrong structure and a value outside its range are different codes."""
    if violation.keyword in _STRUCTURE:
        return ReasonCode.SCHEMA_INVALID
    return ReasonCode.SEMANTIC_RANGE


def json_form(value: Any) -> Any:
    """An Avro record as JSON has it: bytes as base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: json_form(each) for key, each in value.items()}
    if isinstance(value, list):
        return [json_form(each) for each in value]
    return value


@cache
def _quick(subject: str, version: int) -> Any:
    return jsonschema_rs.Draft202012Validator(json_schema(subject, version))
