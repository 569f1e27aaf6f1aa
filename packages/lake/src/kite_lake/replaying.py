"""Archived ticks in the order in which they were received, as tick batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_contracts.tick_batch import ABSENT, FIELDS, TickBatch, TickMode
from kite_contracts.tick_rows import group_of
from kite_runtime.errors import OutputUnusable

ROWS: Final = 8192
"""Ticks of a batch, about: one ends with the frame that reaches it."""

_MINUTE_NS: Final = 60 * 10**9
_ORDER: Final = [(name, "ascending") for name in ("ts_recv", "feed_session", "feed_seq")]


def received(reader: pa.RecordBatchReader) -> Iterator[TickBatch]:
    """The ticks of ``read_ticks(..., as_="batches")`` ordered by receive time, session, sequence.

    A frame is never divided. The archive is ordered by instrument, so all is read before the first
    batch is given: into temporary files, one for each minute, of which one at a time is sorted in
    memory. Raises OutputUnusable where they cannot be written (``TMPDIR`` says where).
    """
    with TemporaryDirectory(prefix="tick_archive-") as folder:
        try:
            minutes = _by_minute(reader, Path(folder))
        except OSError as exc:
            raise OutputUnusable(Path(folder), exc) from exc
        for path in minutes:
            with pa.ipc.open_stream(path) as stream:
                rows = stream.read_all().sort_by(_ORDER).combine_chunks()
            path.unlink()
            bounds = _bounds(rows)
            for first, end in pairwise(bounds):
                yield tick_batch(rows.slice(first, end - first))


def _by_minute(reader: pa.RecordBatchReader, folder: Path) -> list[Path]:
    """A file of each minute that has ticks, in order."""
    writers: dict[int, Any] = {}
    with ExitStack() as stack:
        for batch in reader:
            minute = batch["ts_recv"].cast(pa.int64()).to_numpy() // _MINUTE_NS
            for each in np.unique(minute).tolist():
                if each not in writers:
                    sink = pa.ipc.new_stream(folder / str(each), reader.schema)
                    writers[each] = stack.enter_context(sink)
                writers[each].write_batch(batch.filter(pa.array(minute == each)))
    return [folder / str(each) for each in sorted(writers)]


def _bounds(rows: pa.Table) -> list[int]:
    """Where batches begin and end: at frames, the first one after each ``ROWS`` ticks."""
    keys = np.stack(
        [rows[name].cast(pa.int64()).to_numpy() for name in ("ts_recv", "feed_session")]
    )
    frames = np.flatnonzero((np.diff(keys, axis=1) != 0).any(axis=0)) + 1
    chosen = np.searchsorted(frames, np.arange(ROWS, len(rows), ROWS))
    ends = np.append(frames, len(rows))[chosen]
    return [0, *np.unique(np.append(ends, len(rows))).tolist()]


def tick_batch(rows: pa.Table) -> TickBatch:
    """Rows of the archive as ticks; the inverse of how they were archived."""
    batch = TickBatch(max(1, len(rows)))
    batch.size = len(rows)
    for number, name in enumerate(FIELDS):
        column = rows[name.removesuffix("_ns")].cast(pa.int64())
        if group := int(group_of(number)):
            batch.groups[: batch.size] |= column.is_valid().to_numpy().astype(np.uint8) * group
        batch.values[: batch.size, number] = column.fill_null(ABSENT).to_numpy()
    modes = pa.array([mode.name.lower() for mode in TickMode])
    batch.mode[: batch.size] = pc.index_in(rows["mode"].cast(pa.string()), modes).to_numpy()
    return batch
