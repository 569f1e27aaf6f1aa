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
from kite_contracts.tick_batch import FIELDS, OHLC_FIELDS, TickBatch, Verdict
from kite_contracts.tick_rows import tick_record

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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


def time_text(ns: int | None) -> str | None:
    """Nanoseconds since the epoch as ISO 8601 UTC, whole seconds where exact; None if absent."""
    if ns is None:
        return None
    seconds, rest = divmod(ns, 1_000_000_000)
    stamp = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest:09d}Z" if rest else f"{stamp}Z"


def tick_object(batch: TickBatch, row: int) -> dict[str, Any]:
    """One good row as the object that ``decode`` and ``tail`` print.

    A field that the packet does not carry is null, and ``bids`` and ``asks`` are then empty.
    """
    record = tick_record(batch, row)
    ohlc, trade, interest, index, depth = (
        record[group] or {} for group in ("ohlc", "trade", "open_interest", "index_change", "depth")
    )

    def price(raw: int | None) -> str | None:
        return None if raw is None else price_text(raw, record["price_scale"])

    return {
        "instrument_token": record["instrument_token"],
        "mode": record["mode"],
        "last_price": price(record["last_price"]),
        "ts_event": time_text(record["ts_event_ns"]),
        **{name: price(ohlc.get(name)) for name in OHLC_FIELDS},
        "last_quantity": trade.get("last_quantity"),
        "average_price": price(trade.get("average_price")),
        "volume_day": trade.get("volume_day"),
        "total_buy_quantity": trade.get("total_buy_quantity"),
        "total_sell_quantity": trade.get("total_sell_quantity"),
        "oi": interest.get("oi"),
        "oi_day_high": interest.get("day_high"),
        "oi_day_low": interest.get("day_low"),
        "last_trade_time": time_text(trade.get("last_trade_time_ns")),
        "index_change": price(index.get("change")),
        **{
            side: [{**level, "price": price(level["price"])} for level in depth.get(side, [])]
            for side in ("bids", "asks")
        },
    }


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
