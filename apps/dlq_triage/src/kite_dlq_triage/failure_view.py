"""One failure as ``show`` prints it: tables for a terminal, objects for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kite_bars_store.failures import (
    Event,
    Failure,
    FailureRecord,
    LedgerLine,
    Summary,
)
from kite_contracts.reasons import ReasonCode
from kite_dead_letters.classify import Classifier
from kite_dead_letters.page.views import hex_page, readable, tree_lines
from kite_dead_letters.records import Decoded
from kite_dead_letters.stored import NEIGHBOURS, Around
from kite_dlq_triage.moments import moment
from kite_runtime.tables import make_table

ROWS_SHOWN: Final = 32
RECORDS_SHOWN: Final = 10
_NS: Final = 10**9


def view(
    found: Failure,
    decoded: Decoded | None,
    neighbours: Table | Text,
    events: list[Event],
    lines: list[LedgerLine],
    whole: bool,
) -> Iterator[Any]:
    yield _facts(found)
    if found.record.headers:
        yield _headers(found.record)
    yield _side_by_side(found.record, decoded, whole)
    yield neighbours
    if lines:
        yield _redrives(lines)
    if events:
        yield event_table(events)


def _facts(found: Failure) -> Table:
    record = found.record
    code = ReasonCode.__members__.get(record.reason)
    whose = f", assigned to {found.assignee}" if found.assignee else ""
    facts: dict[str, str | None] = {
        "failure": f"{found.failure_id} ({found.status}{whose})",
        "place": f"{record.topic}/{record.partition}/{record.offset}",
        "reason": f"{record.reason} ({record.reason_source})",
        "meaning": code.meaning if code else None,
        "to do": code.action if code else None,
        "message": record.message or None,
        "field at fault": record.error_path,
        "exception": record.exception,
        "given up by": record.component,
        "origin": _origin(record),
        "feed": None if record.feed_session is None else f"{record.feed_session}/{record.feed_seq}",
        "contract": record.contract,
        "bytes are": record.unit,
        "attempt": str(record.attempt),
        "first failed": _time(record.first_failure_ns),
        "seen": f"{moment(found.seen_at)} UTC",
        "key": readable(record.key),
        "group": record.fingerprint,
        "problems": "; ".join(record.problems) or None,
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value is not None:
            table.add_row(f"[bold]{name}[/bold]", escape(value))
    return table


def _origin(record: FailureRecord) -> str | None:
    if record.origin_topic is None:
        return None
    numbers = (record.origin_partition, record.origin_offset)
    return "/".join([record.origin_topic, *("?" if n is None else str(n) for n in numbers)])


def _time(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    return f"{moment(datetime.fromtimestamp(time_ns // _NS, UTC))} UTC"


def _headers(record: FailureRecord) -> Table:
    table = make_table("name", "value", title="headers")
    for name, content in record.headers:
        table.add_row(escape(readable(name)), escape(readable(content)))
    return table


def _side_by_side(record: FailureRecord, decoded: Decoded | None, whole: bool) -> Table:
    form = "not decoded" if decoded is None else decoded.form
    contract = f" {decoded.contract}" if decoded is not None and decoded.contract else ""
    size = "null" if record.value is None else f"{len(record.value):,} bytes"
    value = f"value: {size}"
    table = make_table(value, f"decoded: {form}{contract}", whole={value})
    table.add_row(_hex(record.value, whole), _tree(decoded, record.error_path))
    return table


def _hex(value: bytes | None, whole: bool) -> Text:
    if not value:
        return Text("(null)" if value is None else "(empty)")
    page = hex_page(value, 0)
    rows = page.rows if whole else page.rows[:ROWS_SHOWN]
    text = Text()
    for row in rows:
        text.append(f"{row.at}  ", "dim").append(f"{row.left:<23}  {row.right:<23}  {row.text}\n")
    left = len(value) - len(rows) * 16
    if left > 0:
        text.append(f"… {left:,} more bytes", "dim")
    return text


def _tree(decoded: Decoded | None, error_path: str | None) -> Text:
    text = Text()
    if decoded is None:
        return text
    for number, record in enumerate(decoded.records[:RECORDS_SHOWN]):
        if number:
            text.append("────\n", "dim")
        for line in tree_lines(record, error_path)[0]:
            style = "bold red" if line.marked else ""
            mark = "  ◀ here" if line.marked else ""
            name = f"{line.name}: " if line.name else ""
            text.append(f"{'  ' * line.depth}{name}{line.text}{mark}\n", style)
    return text


def around_view(near: Around, stored: list[Summary], classifier: Classifier) -> Table | Text:
    """The records around it that Kafka has or that are stored: Kafka keeps them for a while."""
    if not near.records and not stored:
        why = f"Kafka has nothing within {NEIGHBOURS} offsets"
        if near.problem is not None:
            why = f"its topic cannot be read: {near.problem}"
        return Text(f"around it nothing is stored, and {why}")
    title = "around it in the topic"
    if near.problem is not None:
        title = f"stored failures around it (its topic cannot be read: {near.problem})"
    rows = {each.offset: {**neighbour_object(each), "found in": "Postgres"} for each in stored}
    for row in topic_neighbours(near, stored, classifier):
        row["found in"] = "both" if row["offset"] in rows else "Kafka"
        rows[row["offset"]] = row
    columns = ("offset", "found in", "failure_id", "status", "reason", "message")
    table = make_table(*(each.removesuffix("_id") for each in columns), title=escape(title))
    for _, row in sorted(rows.items()):
        cells = ["not stored" if row[column] is None else str(row[column]) for column in columns]
        table.add_row(*map(escape, cells))
    return table


def _redrives(lines: list[LedgerLine]) -> Table:
    columns = ("when (UTC)", "who", "try", "into", "state", "transform", "redrive id")
    table = make_table(*columns, title="sent back")
    for line in lines:
        table.add_row(
            moment(line.reserved_at),
            escape(line.who),
            str(line.attempt),
            line.target,
            line.status,
            escape(line.transform or ""),
            line.redrive_id.hex()[:16],
        )
    return table


def neighbour_object(each: Summary) -> dict[str, Any]:
    return {
        "failure_id": each.failure_id,
        "offset": each.offset,
        "reason": each.reason,
        "status": each.status,
        "message": each.message,
    }


def topic_neighbours(
    near: Around, stored: list[Summary], classifier: Classifier
) -> list[dict[str, Any]]:
    """What Kafka has, each with what is stored of it."""
    known = {each.offset: each for each in stored}
    rows: list[dict[str, Any]] = []
    for raw in near.records:
        seen = classifier.classify(raw)
        failure = known.get(raw.offset)
        rows.append(
            {
                "failure_id": None if failure is None else failure.failure_id,
                "offset": raw.offset,
                "ts_ns": raw.ts_ns,
                "reason": seen.failure.reason,
                "status": None if failure is None else failure.status,
                "message": seen.message,
            }
        )
    return rows


def fields_of(found: Event | LedgerLine, *, without: str) -> dict[str, Any]:
    """Its fields but one, as machines read them."""
    fields = {name: value for name, value in asdict(found).items() if name != without}
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}


def event_table(events: list[Event]) -> Table:
    """The events as a table."""
    table = make_table("when (UTC)", "who", "what", "note", title="history")
    for event in events:
        what = event.kind if event.assignee is None else f"assign to {event.assignee or 'no one'}"
        table.add_row(moment(event.decided_at), event.who, what, event.note)
    return table
