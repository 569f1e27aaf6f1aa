"""Archived ticks come back in the order in which they were received, frames whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from archive_stage import SESSION, fill, ticks

from kite_contracts.tick_batch import FEED_SEQ, FEED_SESSION, TS_RECV_NS, TickBatch
from kite_kafka_io.testing import NOW_NS
from kite_lake import replaying
from kite_lake.catalog import Lake
from kite_lake.reading import read_ticks
from kite_lake.replaying import received
from kite_lake.tables import day_of, trading_day
from kite_runtime.errors import OutputUnusable

DAY = day_of(trading_day(NOW_NS))
FRAME = 7


def in_frames(count: int, session: int = SESSION) -> TickBatch:
    """Ticks of which seven come in one frame, and three frames a minute."""
    batch = ticks(count, session=session)
    number = batch.values[:count, FEED_SEQ] // FRAME
    batch.values[:count, TS_RECV_NS] = NOW_NS + number * 20_000_000_000
    return batch


def keys(batch: TickBatch) -> list[list[int]]:
    found: list[list[int]] = batch.values[
        : len(batch), [TS_RECV_NS, FEED_SESSION, FEED_SEQ]
    ].tolist()
    return found


def test_two_sessions_are_merged_by_time_and_no_frame_is_divided(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "ROWS", 10)
    one, other = in_frames(500), in_frames(300, SESSION + 1)
    fill(lake, other)
    fill(lake, one)
    batches = list(received(read_ticks(lake, start=DAY, as_="batches")))
    found = [key for batch in batches for key in keys(batch)]
    assert found == sorted(keys(one) + keys(other))
    assert max(map(len, batches)) <= 10 + FRAME
    for before, after in pairwise(batches):
        assert keys(before)[-1][:2] != keys(after)[0][:2]


def test_every_value_is_the_one_that_was_archived(lake: Lake) -> None:
    sent = in_frames(100)
    fill(lake, sent)
    batches = list(received(read_ticks(lake, start=DAY, as_="batches")))
    for name in ("values", "mode", "groups"):
        found = np.concatenate([getattr(each, name)[: len(each)] for each in batches])
        assert np.array_equal(found, getattr(sent, name)), name


def test_no_room_for_sorting_is_one_sentence(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake, in_frames(100))
    reader = read_ticks(lake, start=DAY, as_="batches")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.ipc.new_stream", full)
    with pytest.raises(OutputUnusable, match="cannot be written .no space left on device"):
        next(received(reader))
