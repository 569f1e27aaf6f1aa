"""For tests here and elsewhere: Hypothesis strategies over every kind of tick, plain batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from kite_contracts.tick_batch import (
    ABSENT,
    FEED_SEQ,
    FEED_SESSION,
    FIELD_COUNT,
    INSTRUMENT_TOKEN,
    LAST_TRADE_TIME_NS,
    PRICE_SCALE,
    TS_EVENT_NS,
    TS_RECV_NS,
    Group,
    TickBatch,
    TickMode,
)
from kite_contracts.tick_rows import NULLABLE_COLUMNS, group_of
from kite_kafka_io.settings import KafkaSettings

NOW_NS: Final = 1_795_000_000_123_456_789
KINDS: Final = (
    (TickMode.LTP, Group.NONE),
    (TickMode.QUOTE, Group.OHLC | Group.INDEX),
    (TickMode.FULL, Group.OHLC | Group.INDEX),
    (TickMode.QUOTE, Group.OHLC | Group.TRADE),
    (TickMode.FULL, Group.OHLC | Group.TRADE | Group.OPEN_INTEREST | Group.DEPTH),
)
_LONG: Final = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.sampled_from([0, -1, 1, 63, 64, -64, -65, 2**63 - 1, -(2**63) + 1, 2**31, 2**62]),
)
_INT: Final = st.integers(-(2**31), 2**31 - 1)
_INT_COLUMNS: Final = {PRICE_SCALE, *range(23, FIELD_COUNT, 3)}


@dataclass(frozen=True)
class Broker:
    """A broker to test on, and how to make a topic of four partitions there."""

    settings: KafkaSettings
    make_topic: Callable[[], str]


@st.composite
def rows(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    """(mode, groups, values) of one tick of any kind, with extreme values."""
    mode, groups = draw(st.sampled_from(KINDS))
    values = []
    for column in range(FIELD_COUNT):
        if group_of(column) and not groups & group_of(column):
            values.append(ABSENT)
        elif column in NULLABLE_COLUMNS:
            values.append(draw(st.one_of(st.just(ABSENT), _LONG)))
        else:
            values.append(draw(_INT if column in _INT_COLUMNS else _LONG))
    return int(mode), int(groups), values


def batches(max_size: int = 6) -> st.SearchStrategy[TickBatch]:
    """Batches of good ticks."""
    return st.lists(rows(), min_size=1, max_size=max_size).map(_batch)


def _batch(chosen: list[tuple[int, int, list[int]]]) -> TickBatch:
    batch = TickBatch(len(chosen))
    batch.size = len(chosen)
    for row, (mode, groups, values) in enumerate(chosen):
        batch.mode[row], batch.groups[row], batch.values[row] = mode, groups, values
    return batch


def full_batch(count: int, *, first_seq: int = 0, instruments: int = 50) -> TickBatch:
    """``count`` full-mode ticks of ``instruments`` instruments, numbered from ``first_seq``."""
    generator = np.random.default_rng(first_seq)
    batch = TickBatch(count)
    batch.size = count
    values = batch.values
    values[:] = generator.integers(100_000, 5_000_000, (count, FIELD_COUNT))
    seq = np.arange(first_seq, first_seq + count)
    values[:, INSTRUMENT_TOKEN] = 256_265 + 256 * (seq % instruments)
    for column in (TS_RECV_NS, TS_EVENT_NS, LAST_TRADE_TIME_NS):
        values[:, column] = NOW_NS + seq
    values[:, FEED_SESSION] = NOW_NS & ~15
    values[:, FEED_SEQ] = seq
    values[:, PRICE_SCALE] = 2
    values[:, 20] = ABSENT
    values[:, 23::3] = generator.integers(1, 300, (count, 10))
    batch.mode[:] = TickMode.FULL
    batch.groups[:] = int(Group.OHLC | Group.TRADE | Group.OPEN_INTEREST | Group.DEPTH)
    return batch


def same_rows(left: TickBatch, right: TickBatch) -> bool:
    """Whether both hold the same ticks."""
    size = left.size
    pairs: list[tuple[Any, Any]] = [
        (left.values[:size], right.values[:size]),
        (left.mode[:size], right.mode[:size]),
        (left.groups[:size], right.groups[:size]),
    ]
    return size == right.size and all(bool((a == b).all()) for a, b in pairs)
