"""Ticks and faulty packets as the JSON objects that ``decode`` and ``tail`` print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np

from kite_broker_zerodha.frames import count_slots, decode_frames
from kite_broker_zerodha.wire import HEARTBEAT
from kite_contracts.bounds import TickBounds
from kite_contracts.reasons import reason_of
from kite_contracts.tick_batch import (
    ABSENT,
    DEPTH,
    DEPTH_LEVELS,
    FIELDS,
    INDEX_CHANGE,
    LAST_TRADE_TIME_NS,
    OHLC,
    OHLC_FIELDS,
    OPEN_INTEREST,
    OPEN_INTEREST_FIELDS,
    TRADE,
    TRADE_FIELDS,
    Group,
    TickBatch,
    TickMode,
    Verdict,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PRICES: Final = frozenset(OHLC_FIELDS) | {"average_price"}
_LEVEL_WIDTH: Final = 3


@dataclass
class DecodeSummary:
    """What was decoded so far."""

    frames: int = 0
    ticks: int = 0
    faults: int = 0
    heartbeats: int = 0


def decode_objects(
    frame: bytes, bounds: TickBounds, summary: DecodeSummary
) -> Iterator[dict[str, Any]]:
    """One object for each packet of the frame, good or faulty; a heartbeat has none."""
    if len(frame) == len(HEARTBEAT):
        summary.heartbeats += 1
        return
    summary.frames += 1
    batch = TickBatch(max(1, count_slots(frame)))
    index = np.array([[0, len(frame), 0, 0, 0]], np.int64)
    decode_frames(np.frombuffer(frame, np.uint8), index, batch, bounds)
    for row in range(batch.size):
        if batch.verdict[row] == Verdict.OK:
            summary.ticks += 1
            yield tick_object(batch, row)
        else:
            summary.faults += 1
            yield fault_object(batch, row, frame)


def price_text(raw: int, scale: int) -> str:
    """A scaled integer as an exact decimal, every place written: ``(256265, 2)`` → ``2562.65``."""
    return f"{Decimal(raw).scaleb(-scale):.{scale}f}"


def time_text(ns: int) -> str | None:
    """Nanoseconds since the epoch as ISO 8601 UTC, whole seconds where exact; None if absent."""
    if ns == ABSENT:
        return None
    seconds, rest = divmod(ns, 1_000_000_000)
    stamp = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest:09d}Z" if rest else f"{stamp}Z"


def tick_object(batch: TickBatch, row: int) -> dict[str, Any]:
    """One good row as the object that ``decode`` and ``tail`` print.

    A field that the packet does not carry is null, and ``bids`` and ``asks`` are then empty.
    """
    values = batch.values[row].tolist()
    groups = Group(int(batch.groups[row]))
    scale = values[FIELDS.index("price_scale")]
    result: dict[str, Any] = {
        "instrument_token": values[0],
        "mode": TickMode(int(batch.mode[row])).name.lower(),
        "last_price": price_text(values[FIELDS.index("last_price")], scale),
        "ts_event": time_text(values[FIELDS.index("ts_event_ns")]),
    }
    for group, first, names in (
        (Group.OHLC, OHLC, OHLC_FIELDS),
        (Group.TRADE, TRADE, TRADE_FIELDS[:-1]),
        (Group.OPEN_INTEREST, OPEN_INTEREST, OPEN_INTEREST_FIELDS),
    ):
        for offset, name in enumerate(names):
            raw = values[first + offset]
            shown = price_text(raw, scale) if name in _PRICES else raw
            result[name] = shown if group in groups else None
    traded = Group.TRADE in groups
    result["last_trade_time"] = time_text(values[LAST_TRADE_TIME_NS]) if traded else None
    indexed = Group.INDEX in groups
    result["index_change"] = price_text(values[INDEX_CHANGE], scale) if indexed else None
    deep = Group.DEPTH in groups
    result["bids"] = _levels(values, DEPTH, scale) if deep else []
    result["asks"] = _levels(values, DEPTH + _LEVEL_WIDTH * DEPTH_LEVELS, scale) if deep else []
    return result


def _levels(values: list[int], first: int, scale: int) -> list[dict[str, Any]]:
    return [
        {
            "price": price_text(values[at], scale),
            "quantity": values[at + 1],
            "orders": values[at + 2],
        }
        for at in range(first, first + _LEVEL_WIDTH * DEPTH_LEVELS, _LEVEL_WIDTH)
    ]


def fault_object(batch: TickBatch, row: int, buffer: bytes) -> dict[str, Any]:
    """One faulty row: its reason code, the field where one is out of bounds, its bytes as hex."""
    verdict = int(batch.verdict[row])
    result: dict[str, Any] = {"reason": str(reason_of(verdict))}
    if verdict > Verdict.OK:
        result["field"] = FIELDS[verdict - 1]
        result["value"] = int(batch.values[row, verdict - 1])
        result["instrument_token"] = int(batch.values[row, 0])
    result["raw"] = buffer[int(batch.start[row]) : int(batch.end[row])].hex()
    return result
