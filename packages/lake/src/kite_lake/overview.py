"""`status`: what the archive holds by day, and how far it is behind Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa  # type: ignore[import-untyped]

from kite_lake.catalog import Lake
from kite_lake.filters import on_days
from kite_lake.progress import progress_of
from kite_lake.tables import TICKS, TRADING_DAY, TableSpec, day_of


@dataclass
class ArchivedDay:
    """One trading day of the table of ticks."""

    day: date
    rows: int = 0
    files: int = 0
    size: int = 0


def days(lake: Lake, spec: TableSpec = TICKS) -> list[ArchivedDay]:
    """The days that are archived, the newest at the end."""
    table = lake.existing(spec)
    found: dict[date, ArchivedDay] = {}
    with lake.explained():
        for task in table.scan().plan_files() if table is not None else ():
            key = task.file.partition[0]
            day = key if isinstance(key, date) else day_of(key)
            each = found.setdefault(day, ArchivedDay(day))
            each.rows += task.file.record_count
            each.files += 1
            each.size += task.file.file_size_in_bytes
    return [found[day] for day in sorted(found)]


def lag(lake: Lake, spec: TableSpec, topic: str, ends: Mapping[int, int]) -> int:
    """How many offsets of ``topic`` are not archived yet, given the partitions' ends."""
    table = lake.existing(spec)
    progress = {} if table is None else progress_of(table.metadata)
    archived = {place[1]: each.offset for place, each in progress.items() if place[0] == topic}
    return sum(max(0, end - archived.get(number, 0)) for number, end in ends.items())


def tokens_of(lake: Lake, first: date, last: date) -> dict[int, set[date]]:
    """Token → the days between ``first`` and ``last``, both included, that have ticks of it."""
    table = lake.existing(TICKS)
    found: dict[int, set[date]] = {}
    if table is None:
        return found
    chosen = on_days(first.isoformat(), last.isoformat())
    names = (TRADING_DAY, "instrument_token")
    with lake.explained():
        for batch in table.scan(chosen, selected_fields=names).to_arrow_batch_reader():
            pairs = pa.Table.from_batches([batch]).group_by(list(names)).aggregate([])
            for each in pairs.to_pylist():
                found.setdefault(each["instrument_token"], set()).add(each[TRADING_DAY])
    return found
