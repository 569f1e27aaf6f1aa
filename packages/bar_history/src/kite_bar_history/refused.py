"""Lines that are no bars: counted by reason, and kept so that they can be fixed and given again."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from kite_bar_history.protocol import RefusedLine
from kite_bars_store.bars import NO_OI, RefusedRow, SourceBars
from kite_bars_store.instruments import price
from kite_contracts.sessions.model import ist
from kite_runtime.errors import OutputUnusable

PLAIN_HEADER: Final = "exchange,tradingsymbol,time,open,high,low,close,volume,oi"
"""The columns of `plain`: the layout ``plain`` of configs/vendor.toml."""

MESSAGES: Final = {
    "UNKNOWN_INSTRUMENT": "this instrument is unknown",
    "TIME_OUT_OF_RANGE": "the time is before 1990 or after 2100",
    "TIME_NOT_ALIGNED": "the time is not the beginning of a bar",
    "PRICE_OUT_OF_RANGE": "a price is larger than anything that is traded",
    "OHLC_CONTRADICTS": "open, high, low and close contradict one another",
    "NEGATIVE_VOLUME": "the volume is negative",
    "NEGATIVE_OI": "the open interest is negative",
    "VOLUME_OUT_OF_RANGE": "volume or open interest is larger than anything that is traded",
    "WRONG_INTERVAL": "this instrument's bars of the day are wider than the layout's, as their "
    "distances show, and others have bars of its interval",
    "DUPLICATE_DIFFERS": "the same bar is there again with other values, so neither counts",
}
"""What each reason of a bar beside others means, for people."""


def not_kept(refused: Iterable[RefusedRow], said: Sequence[SourceBars]) -> list[RefusedLine]:
    """The bars that the store did not keep, as lines of the layout ``plain``."""
    by_key = {(each.source, each.interval): each for each in said}
    lines = []
    for row in refused:
        bars = by_key[row.source, row.interval]
        place = bars.file_name or f"{row.source} {row.interval}"
        reason = str(row.reason)
        raw = plain(bars, row.row)
        lines.append(RefusedLine(place, row.row + 1, reason, MESSAGES[reason], raw, PLAIN_HEADER))
    return lines


def plain(bars: SourceBars, row: int) -> str:
    """One bar as a line of `PLAIN_HEADER`."""
    columns = bars.bars
    index = int(columns.instrument[row])
    known = 0 <= index < len(bars.instruments)
    instrument = bars.instruments[index] if known else None
    scale = 0 if instrument is None else instrument.price_scale
    names = ("", "") if instrument is None else (instrument.exchange, instrument.tradingsymbol)
    prices = [
        f"{price(int(getattr(columns, name)[row]), scale):f}"
        for name in ("open", "high", "low", "close")
    ]
    oi = int(columns.oi[row])
    values = (
        *names,
        ist(int(columns.ts_open_ns[row])).isoformat(),
        *prices,
        str(int(columns.volume[row])),
    )
    return ",".join((*values, "" if oi == NO_OI else str(oi)))


class RefusedFiles:
    """Writes refused lines as they come, a file for each file they came from, in its layout.

    Beside each lies ``NAME.reasons.csv`` with place, line, reason and message, line by line.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, Path] = {}

    @property
    def folder(self) -> Path | None:
        """Where they lie; None as long as there are none."""
        return self._folder if self._names else None

    def __call__(self, lines: Sequence[RefusedLine]) -> None:
        """Append the lines. Raises OutputUnusable."""
        try:
            for place in dict.fromkeys(line.place for line in lines):
                self._append(place, [line for line in lines if line.place == place])
        except OSError as exc:
            raise OutputUnusable(self._folder, exc) from exc

    def _append(self, place: str, lines: Sequence[RefusedLine]) -> None:
        fresh = place not in self._names
        if fresh:
            self._names[place] = self._name(place, lines[0].header)
        path = self._names[place]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            if fresh and lines[0].header:
                file.write(f"{lines[0].header}\n")
            file.writelines(f"{line.raw}\n" for line in lines)
        reasons = path.with_name(f"{path.name}.reasons.csv")
        with reasons.open("a", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow(("place", "line", "reason", "message"))
            writer.writerows((each.place, each.line, each.reason, each.message) for each in lines)

    def _name(self, place: str, header: str) -> Path:
        """A name by which the layout is found again; two of one name get folders of their own."""
        bare = re.sub(r"\.(gz|zst|zip)$", "", re.sub(r"[^\w.+&-]", "_", Path(place).name))
        if header == PLAIN_HEADER and not bare.endswith(".csv"):
            bare += ".csv"
        taken = set(self._names.values())
        folders = (self._folder, *(self._folder / str(n) for n in range(2, len(taken) + 3)))
        return next(folder / bare for folder in folders if folder / bare not in taken)
