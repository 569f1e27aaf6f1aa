"""``jsonschema`` as the reference: whether a record keeps its contract, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError as JsonSchemaError
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from kite_contracts.errors import SchemaError
from kite_contracts.schemas import json_schema
from kite_contracts.shape import is_integer

MESSAGE_LENGTH_MAX: Final = 300


@dataclass(frozen=True)
class Violation:
    """The first broken rule in the schema's order.

    ``path`` is the JSON Pointer of the value at fault ("" is the record itself), ``keyword`` the
    JSON Schema keyword that it breaks, ``message`` a sentence for a person, cut at 300 characters.
    """

    path: str
    keyword: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or '(record)'}: {self.message} [{self.keyword}]"


def explain(subject: str, version: int, record: Any) -> Violation | None:
    """Why ``record`` breaks the contract, or None if it keeps it.

    Raises UnknownContractError for a subject or version that is not there.
    """
    return first_violation(_validator(subject, version), record)


def first_violation(validator: Validator, record: Any) -> Violation | None:
    """The first thing that ``validator`` finds wrong with ``record``."""
    for error in validator.iter_errors(record):
        return Violation(_pointer(error), str(error.validator), error.message[:MESSAGE_LENGTH_MAX])
    return None


def make_validator(schema: dict[str, Any]) -> Validator:
    """A validator for one schema. Raises SchemaError if it is no JSON Schema (draft 2020-12)."""
    try:
        Draft202012Validator.check_schema(schema)
    except JsonSchemaError as exc:
        raise SchemaError(f"{schema.get('$id', 'The schema')} is invalid: {exc.message}.") from exc
    validator: Validator = _StrictValidator(schema)
    return validator


@cache
def _validator(subject: str, version: int) -> Validator:
    return make_validator(json_schema(subject, version))


def _is_integer(_checker: Any, value: Any) -> bool:
    # Draft 2020-12 takes 100.0 for an integer. Avro and the tick batch do not, and a price that
    # has been a float may have lost digits.
    return is_integer(value)


_StrictValidator: Final[Any] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def _pointer(error: ValidationError) -> str:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in error.absolute_path)
    return "".join("/" + step for step in steps)
