"""Blocks of lines → bars as columns, fast. Pure.

pyarrow splits the block and parses its numbers; whatever looks odd goes line by line through
`lines`, and so does a line that pyarrow could not read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyarrow import csv as arrow_csv

from kite_bar_history.vendor_files.layouts import IDENTITY, PRICES
from kite_bar_history.vendor_files.lines import NOISE, Bar, Frame, read_line
from kite_bar_history.vendor_files.values import ASIDE, NOT_A_TIME, ON_DAY, UNKNOWN, Fault
from kite_bars_store.bars import NO_OI
from kite_bars_store.bars.screening import FIRST_NS, LAST_NS, PRICE_MAX, VOLUME_MAX
from kite_contracts.sessions.model import MINUTE_NS

DAY_NS: Final = 1440 * MINUTE_NS
NAMES: Final = ("instrument", "ts_open_ns", *PRICES, "volume", "oi", "line")

Look = Callable[[int], tuple[str, Bar | Fault | None | tuple[()]]]
Matrix = npt.NDArray[np.int64]
"""A row for each of `NAMES`, a column a bar."""
Coded = tuple[npt.NDArray[Any], list[str | None]]
"""Of each row a position in the texts."""


@dataclass(frozen=True)
class BlockReading:
    """``bars`` in the order of lines; ``refused`` are (line number, raw text, fault); ``others``
    are the times of bars of instruments that are not asked for."""

    bars: Matrix
    refused: Sequence[tuple[int, str, Fault]]
    aside: int
    others: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def rows(self) -> int:
        return int(self.bars.shape[1]) + len(self.refused) + self.aside


class BlockReader:
    """Reads the blocks of one file."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._names = [f"c{at}" for at in range(frame.width)]
        self._regular = _regular(frame)

    def read(self, lines: Sequence[bytes], first_line: int) -> BlockReading:
        """Whole lines, of which the first has the number ``first_line``."""
        odd = np.zeros(len(lines), np.bool_)
        columns = self._columns(lines)
        if columns is None:
            odd[:] = [not self._regular.fullmatch(line) for line in lines]
            if not odd.all():
                # A regular line in place of each odd one, so that rows stay where they are.
                filler = lines[int(np.argmin(odd))].rstrip(b"\r\n") + b"\n"
                filled = zip(lines, odd.tolist(), strict=True)
                columns = self._columns([filler if each else line for line, each in filled])
        if columns is None:
            odd[:] = True
            zeros = np.zeros(len(lines), np.int64)
            number, times, columns = zeros, zeros, dict.fromkeys(PRICES, zeros)
        else:
            number, times = self.numbers(columns, len(lines)), self.times(columns, len(lines))

        def look(at: int) -> tuple[str, Bar | Fault | None | tuple[()]]:
            text = text_of(lines[at])
            return text, read_line(text, self._frame) if text.strip() else ()

        return self.judged(number, times, columns, odd, first_line, look)

    def _columns(self, lines: Sequence[bytes]) -> dict[str, Any] | None:
        """None where pyarrow cannot split these lines or parse their numbers."""
        frame = self._frame
        types = {
            self._names[at]: pa.dictionary(pa.int32(), pa.string())
            if frame.layout.is_text(key)
            else pa.float64()
            for key, at in frame.positions.items()
        }
        try:
            table = arrow_csv.read_csv(
                io.BytesIO(b"".join(lines)),
                arrow_csv.ReadOptions(column_names=self._names, use_threads=False),
                arrow_csv.ParseOptions(delimiter=frame.layout.delimiter),
                arrow_csv.ConvertOptions(
                    column_types=types, include_columns=list(types), null_values=[""]
                ),
            )
        except pa.ArrowInvalid:
            return None
        if table.num_rows != len(lines):
            return None
        return {key: table[self._names[at]] for key, at in frame.positions.items()}

    def judged(
        self,
        number: Matrix,
        times: Matrix,
        columns: dict[str, Any],
        odd: npt.NDArray[np.bool_],
        first_line: int,
        look: Look,
    ) -> BlockReading:
        """The good bars; ``look`` at a row that is ``odd``, or turns out to be, gives its text, and
        what it is; nothing at all for a blank line."""
        frame, rows = self._frame, len(number)
        number = self.on_days(number, times)
        bars = np.empty((len(NAMES), rows), np.int64)
        bars[0], bars[1], bars[8] = number, times, np.arange(first_line, first_line + rows)
        aside = ~odd & (number == ASIDE)
        others = times[aside & (times >= FIRST_NS) & (times < LAST_NS)]
        for key, values in frame.layout.keep.items():
            aside |= ~odd & ~_chosen(columns.get(key), values, rows)
        odd = odd | (number == UNKNOWN) | (times < FIRST_NS) | (times >= LAST_NS)
        odd |= times % MINUTE_NS != 0
        scales = [10.0 ** frame.scale(each) for each in range(len(frame.roster.asked))]
        power = np.array(scales or [1.0])[np.maximum(number, 0)]
        for at, name in enumerate(PRICES, 2):
            odd |= _scaled(columns[name], power, PRICE_MAX, bars[at])
        odd |= self._volume(columns, number, bars[6])
        odd |= (bars[3] < np.maximum(bars[2], bars[5])) | (bars[4] > np.minimum(bars[2], bars[5]))
        if frame.layout.untraded:
            odd |= (bars[2] == 0) & (bars[3] == 0)
        odd |= self._oi(columns.get("oi"), bars[7])
        aside |= ~odd & ((times < frame.since_ns) | (times >= frame.until_ns))
        odd &= ~aside
        refused = []
        for at in np.flatnonzero(odd).tolist():
            text, found = look(at)
            if isinstance(found, Fault):
                refused.append((first_line + at, text, found))
            elif found is None:
                aside[at] = True
            elif found:  # fit after all
                bars[:8, at] = found
                odd[at] = False
        good = ~odd & ~aside
        kept = bars if good.all() else np.ascontiguousarray(bars[:, good])
        return BlockReading(kept, refused, int(np.count_nonzero(aside)), others)

    def numbers(self, columns: dict[str, Any], rows: int) -> Matrix:
        """Of each row that of `Roster.number`, which may still need the day."""
        keys = [key for key in IDENTITY if key in columns]
        coded = [each for key in keys if (each := _coded(columns[key])) is not None]

        def number(*texts: str | None) -> int:
            cells: dict[str, str] = {key: text or "" for key, text in zip(keys, texts, strict=True)}
            return self._frame.roster.number(self._frame.naming.meant(cells))

        return _by_rows(coded, rows, number)

    def on_days(self, number: Matrix, times: Matrix) -> Matrix:
        """Continuous names as the contracts of their days; `UNKNOWN` without one, or a time."""
        rolling = np.flatnonzero(number <= ON_DAY)
        if not len(rolling):
            return number
        number = number.copy()
        timed = (times[rolling] >= FIRST_NS) & (times[rolling] < LAST_NS)
        number[rolling[~timed]] = UNKNOWN
        rolling = rolling[timed]
        days = (times[rolling] - FIRST_NS) // DAY_NS
        pairs, place = np.unique(np.stack([number[rolling], days]), axis=1, return_inverse=True)
        found = [
            self._frame.roster.number_on(code, FIRST_NS + day * DAY_NS)
            for code, day in pairs.T.tolist()
        ]
        number[rolling] = np.array(found, np.int64)[place.reshape(-1)]
        return number

    def _volume(
        self, columns: dict[str, Any], number: Matrix, into: Matrix
    ) -> npt.NDArray[np.bool_]:
        """Write volumes; an empty one is left to the line alone, which knows what an index is."""
        if "volume" not in columns:
            into[:] = 0
            traded = [
                self._frame.roster.has_volume(n) for n in range(len(self._frame.roster.asked))
            ]
            return np.array(traded or [True])[np.maximum(number, 0)]
        odd = _scaled(columns["volume"], 1.0, VOLUME_MAX, into) | (into < 0)
        if "lot" in columns:
            lots = np.empty_like(into)
            odd |= _scaled(columns["lot"], 1.0, VOLUME_MAX, lots) | (lots <= 0)
            into[odd], lots[odd] = 0, 1
            odd |= into > VOLUME_MAX // lots
            into[odd] = 0
            into *= lots
        return odd

    def times(self, columns: dict[str, Any], rows: int) -> Matrix:
        """When each bar opens; `NOT_A_TIME` where it is unknown, or only the line alone."""
        clock = self._frame.clock
        dates, moments = _coded(columns.get("date")), _coded(columns.get("time"))
        if dates and moments and clock.adds_up:
            return _spread(dates, clock.day_ns) + _spread(moments, clock.moment_ns)

        def opens(*texts: str | None) -> int:
            cells = dict(zip(keys, texts, strict=True))
            found = clock.opens_ns(cells.get("date") or "", cells.get("time") or "")
            return NOT_A_TIME if found is None else found

        keys = [key for key, coded in (("date", dates), ("time", moments)) if coded]
        return _by_rows([coded for coded in (dates, moments) if coded], rows, opens)

    def _oi(self, column: Any, into: Matrix) -> npt.NDArray[np.bool_]:
        if column is None:
            into[:] = NO_OI
            return np.zeros(len(into), np.bool_)
        none = column.is_null().to_numpy(zero_copy_only=False)
        odd = _scaled(pc.fill_null(column, 0.0), 1.0, VOLUME_MAX, into) | (into < 0)
        if self._frame.layout.zero_oi_is_none:
            none = none | ((into == 0) & ~odd)
        into[none] = NO_OI
        still: npt.NDArray[np.bool_] = odd & ~none
        return still


def _regular(frame: Frame) -> re.Pattern[bytes]:
    """Lines that pyarrow can read for sure: of ASCII, with as many columns, and plain numbers."""
    delimiter = re.escape(frame.layout.delimiter)
    text = rf'[^"{delimiter}\r\n\x80-\xff]*|"[^"\r\n\x80-\xff]*"'
    number = r"(?: *-?[0-9]+(?:\.[0-9]+)? *)?"
    cells = [text] * frame.width
    for key, at in frame.positions.items():
        if not frame.layout.is_text(key):
            cells[at] = f'{number}|"{number}"'
    line = delimiter.join(f"(?:{each})" for each in cells)
    return re.compile(rf"{line}[\r\n]*".encode("latin-1"))


def _scaled(column: Any, power: Any, limit: int, into: Matrix) -> npt.NDArray[np.bool_]:
    """Write the column times ``power`` as integers; returns which rows have no such integer."""
    values = column.to_numpy(zero_copy_only=False) if not isinstance(column, np.ndarray) else column
    with np.errstate(invalid="ignore", over="ignore"):
        odd = ~(np.abs(values) <= limit)
        scaled = np.where(odd, 0.0, values) * power
        whole = np.rint(scaled)
        odd |= np.abs(scaled - whole) > NOISE + np.abs(scaled) * 1e-15
    into[:] = whole
    return np.asarray(odd)


def _coded(column: Any) -> Coded | None:
    """Codes and texts of a dictionary column; a null is an empty text."""
    if column is None:
        return None
    parts = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    found = pa.chunked_array(parts).unify_dictionaries().combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0)
    texts = [each or "" for each in found.dictionary.to_pylist()]
    codes = pc.fill_null(found.indices, len(texts)).to_numpy(zero_copy_only=False)
    return codes, [*texts, ""]


def _chosen(column: Any, values: frozenset[str], rows: int) -> npt.NDArray[np.bool_]:
    """Which rows have one of the values; all, where the column is looked at line by line."""
    coded = _coded(column)
    if coded is None:
        return np.ones(rows, np.bool_)
    return _spread(coded, lambda text: text.strip() in values).astype(np.bool_)


def _by_rows(columns: Sequence[Coded], rows: int, function: Callable[..., int]) -> Matrix:
    """``function`` of each row's texts, called once for each combination that occurs."""
    keys = np.zeros(rows, np.int64)
    for codes, texts in columns:
        keys = keys * len(texts) + codes
    unique = pa.array(keys).dictionary_encode()
    values = []
    for key in unique.dictionary.to_pylist():
        row = []
        for _, texts in reversed(columns):
            key, at = divmod(key, len(texts))
            row.append(texts[at])
        values.append(function(*reversed(row)))
    found: Matrix = np.array(values, np.int64)[unique.indices.to_numpy()]
    return found


def _spread(coded: Coded, function: Callable[[str], int]) -> Matrix:
    """``function`` of each row's text."""
    codes, texts = coded
    found: Matrix = np.array([function(each or "") for each in texts], np.int64)[codes]
    return found


def text_of(line: bytes) -> str:
    """The line as text; bytes that are no UTF-8 survive a writing back."""
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n")
