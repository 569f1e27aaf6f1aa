"""Between records and rows of the tables (pure)."""

from __future__ import annotations

from collections.abc import Iterable
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
"""The columns of the table dlq_incoming and their types, in its order."""

TEXT_LENGTH_MAX: Final = 4096
"""Characters of a text that others wrote; the headers keep the whole."""
_BIGINT: Final = range(-(2**63), 2**63)


def incoming_row(record: FailureRecord) -> list[Any]:
    """The values of `COLUMNS`."""
    return [
        record.topic,
        record.topic_id,
        record.partition,
        record.offset,
        _number(record.ts_ns),
        record.key,
        record.value,
        [name for name, _ in record.headers],
        [content for _, content in record.headers],
        clean(record.dialect),
        clean(record.reason),
        clean(record.reason_source),
        clean(record.message),
        _text(record.error_path),
        _text(record.exception),
        _text(record.component),
        _text(record.origin_topic),
        _number(record.origin_partition),
        _number(record.origin_offset),
        _number(record.feed_session),
        _number(record.feed_seq),
        _text(record.contract),
        _text(record.unit),
        min(max(record.attempt, 1), _BIGINT.stop - 1),
        _number(record.first_failure_ns),
        clean(record.fingerprint),
        [clean(problem) for problem in record.problems],
    ]


def failure(row: tuple[Any, ...]) -> Failure:
    """A row of the statement ``failures``."""
    names, values, problems = row[6], row[7], row[26]
    record = FailureRecord(
        topic=row[0],
        partition=row[1],
        offset=row[2],
        ts_ns=row[3],
        key=row[4],
        value=row[5],
        headers=headers(names, values),
        dialect=row[8],
        reason=row[9],
        reason_source=row[10],
        message=row[11],
        fingerprint=row[12],
        topic_id=row[13],
        error_path=row[14],
        exception=row[15],
        component=row[16],
        origin_topic=row[17],
        origin_partition=row[18],
        origin_offset=row[19],
        feed_session=row[20],
        feed_seq=row[21],
        contract=row[22],
        unit=row[23],
        attempt=row[24],
        first_failure_ns=row[25],
        problems=tuple(problems),
    )
    return Failure(row[27], record, row[28], row[29], Status(row[30]), row[31])


def summaries(rows: Iterable[tuple[Any, ...]]) -> list[Summary]:
    """Rows of ``summaries`` or ``neighbours``."""
    return [_summary(*row) for row in rows]


def _summary(*row: Any) -> Summary:
    values = list(row)
    values[12] = Status(row[12])
    return Summary(*values)


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


def _text(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _number(number: int | None) -> int | None:
    return number if number is not None and number in _BIGINT else None
