"""``decode``: frames from a file to JSON lines.

The file has hex lines, or is a journal segment or one raw frame. Each row of a batch is one JSON
object with prices as exact decimals; ``tail`` prints ticks in the same form.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from kite_live_feed.errors import NotAJournalFile
from kite_runtime.console import say
from kite_runtime.errors import EXIT_FINDINGS, InputUnusable


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
    from kite_contracts.bounds import tick_bounds
    from kite_ws_bridge.tick_json import DecodeSummary, decode_objects

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


def _frames(file: str, hex_lines: bool) -> Iterable[bytes | dict[str, Any]]:
    if hex_lines:
        return hex_frames(_lines(file))
    return [sys.stdin.buffer.read()] if file == "-" else _journal_or_raw(Path(file))


def _lines(file: str) -> Iterator[str]:
    if file == "-":
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        yield from sys.stdin
        return
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            yield from lines
    except OSError as error:
        raise InputUnusable(Path(file), error) from error


def _journal_or_raw(path: Path) -> Iterator[bytes | dict[str, Any]]:
    """The frames of a journal segment; of any other file its bytes as one frame."""
    from kite_live_feed.journal.reader import read_file

    try:
        for chunk in read_file(path):
            yield from map(chunk.payload, chunk.frame_rows)
            for damage in chunk.damage:
                raw = chunk.buffer[damage.start : damage.end].tobytes()
                yield {"reason": "JOURNAL_CORRUPT", "message": damage.cause, "raw": raw.hex()}
    except NotAJournalFile:
        try:
            yield path.read_bytes()
        except OSError as error:
            raise InputUnusable(path, error) from error


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
