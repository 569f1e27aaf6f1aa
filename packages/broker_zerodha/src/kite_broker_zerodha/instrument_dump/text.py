"""From bytes to columns of text, and what is no master at all. Pure.

Kite writes one row a line and never breaks a line inside quotes. So each line is judged alone: one
with a stray quote is refused, and does not swallow the lines that follow it.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]

from kite_broker_zerodha.errors import NotADump

DUMP_BYTES_MAX: Final = 64 << 20
"""Unpacked; the master of all exchanges is 10 to 12 MB."""
COLUMNS: Final = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)
"""What is read of a dump, in Kite's order."""
UNUSED: Final = frozenset({"last_price"})
"""Kite's own column that the contract leaves out: it is always 0."""
RAW_CHARS_SHOWN: Final = 60
BLOCK_ROWS: Final = 4_096

_GZIP: Final = b"\x1f\x8b"
_CELL: Final = rb'(?:[^",]*|"(?:[^"]|"")*")'
_LINE: Final = re.compile(_CELL + rb"(?:," + _CELL + rb")*")


class Broken(NamedTuple):
    """A line that is no row; ``line`` counts from 1, the header included."""

    line: int
    problem: str


class Block(NamedTuple):
    """Some rows: ``table`` has `COLUMNS` as strings, ``line_of`` the line of each of its rows."""

    table: pa.Table
    line_of: npt.NDArray[np.int64]
    broken: list[Broken]


@dataclass(frozen=True, slots=True)
class Text:
    """A dump by lines. ``rows`` are the places of the rows in ``lines``, ``header`` the names."""

    lines: list[bytes]
    rows: list[int]
    header: list[str]

    @property
    def ignored(self) -> tuple[str, ...]:
        """Columns that are not used."""
        return tuple(name for name in self.header if name not in COLUMNS and name not in UNUSED)

    def blocks(self) -> Iterator[Block]:
        """All rows, some at a time: a whole master as columns of text takes 100 MB."""
        for start in range(0, len(self.rows), BLOCK_ROWS):
            yield self._block(self.rows[start : start + BLOCK_ROWS])

    def _block(self, rows: list[int]) -> Block:
        broken = [number for number in rows if self.lines[number].count(b'"') & 1]
        block = _read(self.lines, rows, broken, self.header)
        if block is None:
            # A quote inside a cell made one row of two lines; find such lines one by one.
            broken = [number for number in rows if not _LINE.fullmatch(self.lines[number])]
            block = _read(self.lines, rows, broken, self.header)
            assert block is not None  # each remaining line is a row by itself
        return block


def unpacked(data: bytes) -> bytes:
    """The bytes without their gzip layer, if they have one. Raises NotADump."""
    if data.startswith(_GZIP):
        try:
            # All members together: each of them alone may be small.
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(DUMP_BYTES_MAX + 1)
        except EOFError:
            raise NotADump("the gzip file ends in the middle: fetch it again") from None
        except (OSError, zlib.error):
            raise NotADump("the gzip file is damaged: fetch it again") from None
    if len(data) > DUMP_BYTES_MAX:
        raise NotADump(f"it is larger than {DUMP_BYTES_MAX >> 20} MiB, which no master is")
    return data


def read_text(data: bytes) -> Text:
    """The lines of unpacked bytes. Raises NotADump."""
    _check_kind(data)
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    _check_end(data, lines)
    filled = [number for number, line in enumerate(lines) if line.strip()]
    header = _header(lines[filled[0]])
    if len(filled) == 1:
        raise NotADump("it has a header and no row: fetch it again")
    return Text(lines, filled[1:], header)


def _check_kind(data: bytes) -> None:
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:RAW_CHARS_SHOWN]
    if not start:
        raise NotADump("it is empty: fetch it again")
    if start.startswith(b"<"):
        raise NotADump("it is an HTML page, no instrument master: fetch it again later")
    if start.startswith((b"{", b"[")):
        raise NotADump("it is JSON, no instrument master: fetch it again later")
    if b"\0" in data:
        raise NotADump("it holds NUL bytes, so it is no text: give Kite's CSV")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise NotADump(f"line {line} is not UTF-8 text: give Kite's CSV as it came") from None


def _check_end(data: bytes, lines: list[bytes]) -> None:
    """A dump that was cut ends inside a line; only its last cell can hide that."""
    last = lines[-1]
    cells = last.count(b",")
    whole = data.endswith((b"\n", b"\r"))
    if len(lines) > 1 and last.strip():
        if cells < lines[0].count(b","):
            raise _cut(len(lines))
        final = last.rpartition(b",")[2]
        if not whole and not any(line.endswith(b"," + final) for line in lines[1:-1]):
            raise _cut(len(lines))
    elif not whole:
        raise _cut(len(lines))


def _cut(line: int) -> NotADump:
    return NotADump(f"it ends in the middle of line {line}: fetch it again")


def _header(line: bytes) -> list[str]:
    names = [name.strip().lower() for name in next(csv.reader([line.decode()]))]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        shown = line.decode()[:RAW_CHARS_SHOWN]
        raise NotADump(f"it has no column {missing[0]} (its first line is {shown!r})")
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise NotADump(f"it has the column {twice[0]} twice")
    return names


def _read(
    lines: list[bytes], rows: list[int], broken: list[int], header: list[str]
) -> Block | None:
    """The lines as columns; None when the reader made other rows of them than one a line."""
    bad = set(broken)
    kept = [number for number in rows if number not in bad] if bad else rows
    found: list[Broken] = [Broken(number + 1, "a quote is not closed") for number in broken]
    skipped: list[int] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        skipped.append(row.number - 1)
        if row.number <= len(kept):
            problem = f"{row.actual_columns} values for {row.expected_columns} columns"
            found.append(Broken(kept[row.number - 1] + 1, problem))
        return "skip"

    # Columns that are not read may have any name, even one twice.
    names = [name if name in COLUMNS else f"#{place}" for place, name in enumerate(header)]
    table = pyarrow.csv.read_csv(
        io.BytesIO(b"\n".join(lines[number] for number in kept) + b"\n"),
        pyarrow.csv.ReadOptions(column_names=names, use_threads=False),
        pyarrow.csv.ParseOptions(invalid_row_handler=skip),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pa.string()), include_columns=list(COLUMNS)
        ),
    )
    if table.num_rows + len(skipped) != len(kept):
        return None
    line_of = np.delete(np.array(kept, np.int64), skipped) + 1
    return Block(table, line_of, sorted(found))
