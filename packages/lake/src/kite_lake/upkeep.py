"""Compacting closed days, dropping old ones, and removing files that nothing refers to.

Each change is one snapshot that carries the progress on; readers and writers go on beside it.
"""

from __future__ import annotations

import time
from calendar import monthrange
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import structlog
from pyarrow import fs  # type: ignore[import-untyped]
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from kite_lake.catalog import Lake
from kite_lake.commits import commit, replace, write_parts
from kite_lake.errors import ProgressMoved
from kite_lake.filters import where
from kite_lake.progress import PROPERTY, Place, Progress, to_text
from kite_lake.rows import Part
from kite_lake.tables import TABLES, TRADING_DAY, TableSpec, day_of

log = structlog.get_logger()

FILE_ROWS: Final = 400_000
"""Rows of a compacted file, which are in memory at once."""
GRACE_S: Final = 86_400.0
"""How long a replaced file stays, for readers that are at work."""
APPENDED_S: Final = 600.0
"""How long a snapshot stays that only had something added to it since: its files are all in use."""


@dataclass
class Compacted:
    """What a compaction did."""

    partitions: int = 0
    files_before: int = 0
    files_after: int = 0
    rows: int = 0
    left: int = 0
    """Partitions that another process changed meanwhile."""


def compact(
    lake: Lake,
    today: date,
    days: Collection[date] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> Compacted:
    """Merge the files of each partition of closed days (all, or ``days``) that has several.

    A day is closed when it is over in India. Files then hold up to ``FILE_ROWS`` rows, in order.
    """
    done = Compacted()
    for spec in TABLES:
        table = lake.existing(spec)
        if table is None:
            continue
        with lake.explained():
            for (day, bucket), files in _partitions(table).items():
                if day >= today or len(files) < 2 or (days and day not in days):
                    continue
                if stopped():
                    return done
                if spec.bucketed and _is_compact(spec, table, files):
                    continue
                _compact_partition(spec, table, day, bucket, files, done)
    return done


def _partitions(table: Table) -> dict[tuple[date, int | None], list[DataFile]]:
    found: dict[tuple[date, int | None], list[DataFile]] = {}
    for task in table.scan().plan_files():
        key = task.file.partition
        day = key[0] if isinstance(key[0], date) else day_of(key[0])
        found.setdefault((day, key[1] if len(key) > 1 else None), []).append(task.file)
    return dict(sorted(found.items(), key=lambda each: (each[0][0], each[0][1] or 0)))


def _is_compact(spec: TableSpec, table: Table, files: Sequence[DataFile]) -> bool:
    """Whether these are files of a compaction: no more than it makes, and apart in their tokens."""
    if len(files) > 1 + 2 * sum(each.record_count for each in files) // FILE_ROWS:
        return False
    number = table.schema().find_field(spec.order[0]).field_id
    spans = sorted(
        (_integer(each.lower_bounds[number]), _integer(each.upper_bounds[number])) for each in files
    )
    return all(one[1] < other[0] for one, other in pairwise(spans))


def _integer(bound: bytes) -> int:
    return int.from_bytes(bound, "little", signed=True)


def _compact_partition(
    spec: TableSpec,
    table: Table,
    day: date,
    bucket: int | None,
    files: list[DataFile],
    done: Compacted,
) -> None:
    parts = (Part(day, bucket, rows) for rows in _sorted(spec, table, day, bucket, files))
    new = write_parts(table, parts)
    rows = sum(each.record_count for each in new)
    if rows != sum(each.record_count for each in files):
        done.left += 1  # they are not all in the table any more
        return
    try:
        replace(table, files, new)
    except ProgressMoved:
        done.left += 1
        return
    done.partitions += 1
    done.files_before += len(files)
    done.files_after += len(new)
    done.rows += rows


def _sorted(
    spec: TableSpec, table: Table, day: date, bucket: int | None, files: Sequence[DataFile]
) -> Iterator[Any]:
    """All rows of the partition in order, ``FILE_ROWS`` at a time or an instrument's, if it has
    more."""
    schema, order = table.schema().as_arrow(), [(name, "ascending") for name in spec.order]
    of_day = where.EqualTo(TRADING_DAY, day.isoformat())
    paths = {each.file_path for each in files}
    if bucket is None or sum(each.record_count for each in files) <= FILE_ROWS:
        rows = _of_files(table, paths, of_day)
        yield rows.select(schema.names).cast(schema).sort_by(order)
        return
    tokens = np.concatenate(
        [
            batch["instrument_token"].to_numpy()
            for batch in _of_files(table, paths, of_day, ("instrument_token",)).to_batches()
        ]
    )
    different, counts = np.unique(tokens, return_counts=True)
    begin = 0
    while begin < len(different):
        within = np.cumsum(counts[begin:]) <= FILE_ROWS
        end = begin + max(1, int(np.count_nonzero(within)))
        chosen = where.And(of_day, where.In("instrument_token", different[begin:end].tolist()))
        rows = _of_files(table, paths, chosen)
        yield rows.select(schema.names).cast(schema).sort_by(order)
        begin = end


def _of_files(
    table: Table, paths: Collection[str], chosen: Any, names: tuple[str, ...] = ("*",)
) -> Any:
    """The rows of these files alone."""
    from pyiceberg.io.pyarrow import ArrowScan

    scan = table.scan(chosen, selected_fields=names)
    tasks = [task for task in scan.plan_files() if task.file.file_path in paths]
    reading = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
    return reading.to_table(tasks)


@dataclass(frozen=True)
class OldDay:
    """A day that ``prune`` drops."""

    day: date
    rows: int
    files: int
    size: int


def old_days(lake: Lake, before: date) -> dict[str, list[OldDay]]:
    """Table → its days before ``before``."""
    found: dict[str, list[OldDay]] = {}
    for spec in TABLES:
        table = lake.existing(spec)
        days: dict[date, list[DataFile]] = {}
        with lake.explained():
            for (day, _), files in ({} if table is None else _partitions(table)).items():
                if day < before:
                    days.setdefault(day, []).extend(files)
        found[spec.name] = [
            OldDay(
                day,
                sum(each.record_count for each in files),
                len(files),
                sum(each.file_size_in_bytes for each in files),
            )
            for day, files in days.items()
        ]
    return found


def prune(lake: Lake, before: date) -> None:
    """Drop the days before ``before`` from every table; their files go with the next ``sweep``."""
    chosen = where.LessThan(TRADING_DAY, before.isoformat())

    def build(progress: dict[Place, Progress]) -> dict[str, str]:
        return {PROPERTY: to_text(progress)}

    def change(transaction: Any, properties: dict[str, str]) -> None:
        transaction.delete(chosen, snapshot_properties=properties)

    for spec in TABLES:
        table = lake.existing(spec)
        if table is None:
            continue
        with lake.explained():
            if any(day < before for day, _ in _partitions(table)):
                commit(table, build, change)


def expire(table: Table, now_s: float, grace_s: float = GRACE_S) -> int:
    """Forget snapshots that were replaced long enough ago; how many.

    One that was only added to since is forgotten after ``APPENDED_S``: that frees no file.
    """
    metadata = table.metadata
    child = {each.parent_snapshot_id: each for each in metadata.snapshots}
    current = metadata.current_snapshot_id
    doomed = []
    for each in metadata.snapshots:
        after = child.get(each.snapshot_id)
        if each.snapshot_id == current or after is None or after.summary is None:
            continue
        keep_s = min(APPENDED_S, grace_s) if after.summary.operation.value == "append" else grace_s
        if after.timestamp_ms < (now_s - keep_s) * 1000:
            doomed.append(each.snapshot_id)
    if doomed:
        try:
            table.maintenance.expire_snapshots().by_ids(doomed).commit()
        except CommitFailedException:
            return 0  # another process commits; the next call finds them too
    return len(doomed)


@dataclass
class Swept:
    """What ``sweep`` removed."""

    snapshots: int = 0
    files: int = 0
    size: int = 0


def sweep(lake: Lake, grace_s: float = GRACE_S) -> Swept:
    """Expire old snapshots, and remove files that no snapshot refers to and that are older than
    ``grace_s``: what a compaction replaced, a prune dropped or a killed process left."""
    done = Swept()
    now_s = time.time()
    for spec in TABLES:
        table = lake.existing(spec)
        if table is None:
            continue
        with lake.explained():
            done.snapshots += expire(table, now_s, grace_s)
            table.refresh()
            # What is on the disk first: a file that is committed in between is then not doomed.
            files, root = _files_below(table.location())
            table.refresh()
            used = _used(table)
            for info in files:
                old = info.mtime_ns < (now_s - grace_s) * 1e9
                if old and info.path not in used:
                    root.delete_file(info.path)
                    done.files += 1
                    done.size += info.size
    return done


def _files_below(location: str) -> tuple[list[Any], Any]:
    root, path = fs.FileSystem.from_uri(location)
    found = root.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return [each for each in found if each.is_file], root


def _used(table: Table) -> set[str]:
    """The paths of all files that the table's snapshots refer to, and of its own metadata."""
    metadata = table.metadata
    used = {table.metadata_location, *(each.metadata_file for each in metadata.metadata_log)}
    manifests: dict[str, Any] = {}
    for snapshot in metadata.snapshots:
        used.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            manifests[manifest.manifest_path] = manifest
    for path, manifest in manifests.items():
        used.add(path)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            used.add(entry.data_file.file_path)
    return {_path_of(each) for each in used}


def _path_of(location: str) -> str:
    parts = urlsplit(location)
    return parts.path if parts.scheme in ("", "file") else parts.netloc + parts.path


def keep_from(keep: str, today: date) -> date:
    """The first day that is kept by ``2y``, ``18m`` or ``90d``. Raises ValueError."""
    count, unit = int(keep[:-1]), keep[-1:]
    if count < 1 or unit not in "dmy":
        raise ValueError(keep)
    if unit == "d":
        return today - timedelta(days=count)
    months = today.year * 12 + today.month - 1 - count * (12 if unit == "y" else 1)
    # The 31st of a shorter month is its last day.
    return date(
        months // 12, months % 12 + 1, min(today.day, monthrange(months // 12, months % 12 + 1)[1])
    )
