"""What a person should know of a run before wondering about its figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from kite_bar_history.universe import Listed
from kite_bars_store.bars.missing.missing import Cause
from kite_contracts.sessions import SessionCalendar


def remarks(
    listed: Sequence[Listed], first: date, last: date, calendar: SessionCalendar
) -> Iterator[str]:
    """Sentences on unknown tick sizes, and on a span without any session."""
    if listed and not any(each.instrument.tick_size for each in listed):
        yield (
            f"no tick size is known on {last}: prices are held against price_bps alone, none is "
            "flagged OFF_TICK; `instruments sync` records tick sizes"
        )
    segments = sorted({each.segment for each in listed})
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    if segments and not any(calendar.day(each, day).phases for each in segments for day in days):
        yield f"there is no session of {', '.join(segments)} on these days: `instruments calendar`"


def remarks_on_missing(
    by_symbol: Mapping[str, Mapping[Cause, int]], without: Sequence[str], refused: int
) -> Iterator[str]:
    """Sentences on minutes that lack for a reason that no calendar tells: instruments ``without``
    any bar, as when a file was of one instrument, and lines that were ``refused``."""
    lacking = sum(by_symbol.get(name, {}).get(Cause.UNEXPLAINED, 0) for name in without)
    if lacking:
        yield (
            f"{lacking:,} of the unexplained minutes are of {len(without):,} instruments without "
            f"any bar, such as {without[0]}: --symbols names those that are meant"
        )
    if refused and by_symbol:
        yield "minutes whose lines were refused are among the missing ones"
