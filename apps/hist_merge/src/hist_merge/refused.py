"""Lines that are no bars: counted by reason, and kept so that they can be mended and fed again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from bars_store.bars import NO_OI, RefusedRow, SourceBars
from contracts.sessions import IST
from hist_merge.sources.protocol import RefusedLine

PLAIN_HEADER: Final = "exchange,tradingsymbol,time,open,high,low,close,volume,oi"
"""The columns of `plain`: the layout ``plain`` of configs/vendor.toml."""

MESSAGES: Final = {
    "UNKNOWN_INSTRUMENT": "nobody knows this instrument",
    "TIME_OUT_OF_RANGE": "the time is before 1990 or after 2100",
    "TIME_NOT_ALIGNED": "the time is not the beginning of a bar",
    "PRICE_OUT_OF_RANGE": "a price is larger than anything that is traded",
    "OHLC_CONTRADICTS": "open, high, low and close contradict one another",
    "NEGATIVE_VOLUME": "the volume is negative",
    "NEGATIVE_OI": "the open interest is negative",
    "VOLUME_OUT_OF_RANGE": "volume or open interest is larger than anything that is traded",
    "DUPLICATE_DIFFERS": "the same bar is there again with other values, so neither counts",
}
"""What each reason of the store means, for people."""


def not_kept(refused: Iterable[RefusedRow], said: Sequence[SourceBars]) -> list[RefusedLine]:
    """The bars that the store did not keep, as lines of the layout ``plain``."""
    by_key = {(each.source, each.interval): each for each in said}
    lines = []
    for row in refused:
        bars = by_key[row.source, row.interval]
        place = bars.file_name or f"{row.source} {row.interval}"
        reason = str(row.reason)
        lines.append(
            RefusedLine(place, row.row + 1, reason, MESSAGES[reason], plain(bars, row.row))
        )
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
        decimal(int(getattr(columns, name)[row]), scale)
        for name in ("open", "high", "low", "close")
    ]
    oi = int(columns.oi[row])
    values = (*names, stamp(int(columns.ts_open_ns[row])), *prices, str(int(columns.volume[row])))
    return ",".join((*values, "" if oi == NO_OI else str(oi)))


def decimal(value: int, scale: int) -> str:
    """A scaled price as an exact decimal."""
    sign, digits = ("-" if value < 0 else ""), str(abs(value)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def stamp(ts_ns: int) -> str:
    """A time in India with its offset; far outside the range that dates have, the bare number."""
    try:
        return datetime.fromtimestamp(ts_ns // 10**9, UTC).astimezone(IST).isoformat()
    except (OverflowError, ValueError, OSError):
        return str(ts_ns)
