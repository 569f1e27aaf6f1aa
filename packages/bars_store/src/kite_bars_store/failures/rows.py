"""Between records and rows of the tables (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from kite_bars_store.failures.records import Failure, FailureRecord, Headers, Status, Summary

COLUMNS: Final = {
    "topic": "text",
    "topic_id": "uuid",
    "partition_id": "int4",
    "record_offset": "int8",
    "record_ts_ns": "int8",
    "record_key": "bytea",
    "record_value": "bytea",
    "header_names": "bytea[]",
    "header_values": "bytea[]",
    "dialect": "text",
    "reason": "text",
    "reason_source": "text",
    "message": "text",
    "error_path": "text",
    "exception": "text",
    "component": "text",
    "origin_topic": "text",
    "origin_partition": "int8",
    "origin_offset": "int8",
    "feed_session": "int8",
    "feed_seq": "int8",
    "contract": "text",
    "unit": "text",
    "attempt": "int8",
    "first_failure_ns": "int8",
    "fingerprint": "text",
    "problems": "text[]",
}
"""The columns of the table dlq_incoming and their types, in its order; the statement ``failures``
begins with the same ones."""

TEXT_LENGTH_MAX: Final = 4096
"""Characters of a text that others wrote; the headers keep the whole."""
_BIGINT: Final = range(-(2**63), 2**63)
_HEADERS: Final = ("header_names", "header_values")
_RENAMED: Final = {
    "partition_id": "partition",
    "record_offset": "offset",
    "record_ts_ns": "ts_ns",
    "record_key": "key",
    "record_value": "value",
}
_ATTRIBUTES: Final = {name: _RENAMED.get(name, name) for name in COLUMNS if name not in _HEADERS}
"""The attribute of a FailureRecord by column."""


def incoming_row(record: FailureRecord) -> list[Any]:
    """The values of `COLUMNS`."""
    values: dict[str, Any] = {
        "header_names": [name for name, _ in record.headers],
        "header_values": [content for _, content in record.headers],
    }
    for column, attribute in _ATTRIBUTES.items():
        values[column] = _stored(COLUMNS[column], getattr(record, attribute))
    values["attempt"] = min(max(record.attempt, 1), _BIGINT.stop - 1)
    return [values[column] for column in COLUMNS]


def _stored(kind: str, value: Any) -> Any:
    """The value as a column of this type takes it."""
    if value is None:
        return None
    if kind == "text":
        return clean(value)
    if kind == "text[]":
        return [clean(each) for each in value]
    return value if kind != "int8" or value in _BIGINT else None


def failure(row: tuple[Any, ...]) -> Failure:
    """A row of the statement ``failures``."""
    values = dict(zip(COLUMNS, row, strict=False))
    given = {attribute: values[column] for column, attribute in _ATTRIBUTES.items()}
    given["problems"] = tuple(values["problems"])
    record = FailureRecord(headers=headers(*(values[name] for name in _HEADERS)), **given)
    failure_id, seen_at, stored_at, status, assignee = row[len(COLUMNS) :]
    return Failure(failure_id, record, seen_at, stored_at, Status(status), assignee)


def summaries(rows: Iterable[tuple[Any, ...]]) -> list[Summary]:
    """Rows of ``summaries`` or ``neighbours``."""
    found = (Summary(*row) for row in rows)
    return [replace(each, status=Status(each.status)) for each in found]


def headers(names: Iterable[bytes], values: Iterable[bytes | None]) -> Headers:
    """Both columns as pairs."""
    return list(zip(names, values, strict=True))


def clean(text: str) -> str:
    """A text that Postgres takes: no NUL, no half of a surrogate pair, not longer than is read."""
    if len(text) > TEXT_LENGTH_MAX:
        text = text[: TEXT_LENGTH_MAX - 1] + "…"
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
