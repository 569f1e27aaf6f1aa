"""``decode``: frames from a file to JSON lines.

The file has hex lines, or is a journal segment or one raw frame. Each row of a batch is one JSON
object with prices as exact decimals; ``tail`` prints ticks in the same form.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import orjson
import typer

from kite_broker_zerodha.frames import count_slots, decode_frames
from kite_broker_zerodha.wire import HEARTBEAT
from kite_contracts.bounds import TickBounds, tick_bounds
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
from kite_live_feed.errors import NotAJournalFile
from kite_live_feed.journal import RecordKind, read_file
from kite_live_feed.journal.scan import KIND
from kite_runtime.console import say
from kite_runtime.errors import EXIT_FINDINGS, UsageError

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


def command(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A journal segment, a file that holds one raw frame, or with --hex a text file; "
            "- is standard input.",
        ),
    ],
    hex_lines: Annotated[
        bool, typer.Option("--hex", help="Read one frame a line, in hexadecimal.")
    ] = False,
) -> int:
    """Print each tick of each frame as one JSON object a line.

    Prices are exact decimals as strings, times ISO 8601 in UTC. A packet or line that cannot be
    read prints an object with its reason, and the exit code is then 3.
    """
    summary = DecodeSummary()
    bounds = tick_bounds()
    unreadable = 0
    for found in _frames(file, hex_lines):
        if isinstance(found, dict):
            unreadable += 1
            _print(found)
            continue
        for each in decode_objects(found, bounds, summary):
            _print(each)
    sys.stdout.flush()
    faults = summary.faults + unreadable
    say(
        f"{summary.frames} frames: {summary.ticks} ticks, {faults} faults, "
        f"{summary.heartbeats} heartbeats"
    )
    return EXIT_FINDINGS if faults else 0


def _print(each: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(each).decode() + "\n")


def _frames(file: str, hex_lines: bool) -> Iterator[bytes | dict[str, Any]]:
    if hex_lines:
        yield from hex_frames(_lines(file))
        return
    if file == "-":
        yield sys.stdin.buffer.read()
        return
    yield from _journal_or_raw(Path(file))


def _lines(file: str) -> Iterator[str]:
    if file == "-":
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        yield from sys.stdin
        return
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            yield from lines
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {(error.strerror or 'failed').lower()}"
        ) from error


def _journal_or_raw(path: Path) -> Iterator[bytes | dict[str, Any]]:
    """The frames of a journal segment; of any other file its bytes as one frame."""
    try:
        for chunk in read_file(path):
            for row in range(len(chunk.records)):
                if chunk.records[row, KIND] == RecordKind.FRAME:
                    yield chunk.payload(row)
            for damage in chunk.damage:
                raw = chunk.buffer[damage.start : damage.end].tobytes()
                yield {"reason": "JOURNAL_CORRUPT", "message": damage.cause, "raw": raw.hex()}
    except NotAJournalFile:
        try:
            yield path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {(error.strerror or 'failed').lower()}"
            ) from error


def hex_frames(lines: Iterable[str]) -> Iterator[bytes | dict[str, Any]]:
    """Each line's bytes; for a line that is not hexadecimal, the object to print instead.

    White space within a line and an ``0x`` in front are allowed; empty lines are passed over.
    """
    for number, line in enumerate(lines, start=1):
        text = "".join(line.split()).removeprefix("0x")
        if not text:
            continue
        try:
            yield bytes.fromhex(text)
        except ValueError:
            yield {"reason": "NOT_HEX", "line": number, "raw": line.strip()[:200]}


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
