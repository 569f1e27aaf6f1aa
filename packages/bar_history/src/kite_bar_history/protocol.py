"""What every source of bars has in common.

A source is asked for one window: some instruments, one interval, one span inside a month. It
answers with bars ready for ``BarStore.merge`` and with the lines that it could not read. So memory
holds one window, and what was merged needs no second reading after an interruption.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from kite_bar_history.universe import Listed
from kite_bars_store.bars import SourceBars
from kite_runtime.clock import IST

INSTRUMENTS_MAX: Final = 25
"""Of one window: a month of minutes of so many is about the 250,000 bars of one transaction."""


@dataclass(frozen=True)
class Window:
    """What is asked of a source: ``[since, until)``, both aware, within one month in India."""

    listed: Sequence[Listed]
    interval: str
    """``m1`` or ``d1``."""
    since: datetime
    until: datetime


@dataclass(frozen=True)
class RefusedLine:
    """A line, or a candle, that is no bar; kept as it came, to be fixed and given again."""

    place: str
    """The file's name, or the request."""
    line: int
    """Its number in there, counted from 1."""
    reason: str
    """A code that machines read, such as ``OHLC_CONTRADICTS``."""
    message: str
    raw: str
    header: str = ""
    """The line of column names above it, where the file has one."""


@dataclass(frozen=True)
class Reading:
    """What a source has of a window."""

    bars: Sequence[SourceBars] = ()
    refused: Sequence[RefusedLine] = ()
    repeated: int = 0
    """Bars that were there more than once with the same values; one of them is in ``bars``."""
    not_asked: int = 0
    """Bars of other times than those of the window, which were left out."""
    is_final: bool = True
    """False where some of the window was not answered, and may be when it is asked for again."""


class BarSource(Protocol):
    """Kite's history, a vendor's files, or the topic ``bars``."""

    @property
    def name(self) -> str:
        """As ``configs/merge.toml`` calls it: ``kite``, ``vendor`` or ``live``."""

    def read(self, window: Window) -> Reading:
        """The bars of the window. Raises the errors of ``kite_bar_history.errors``."""


def windows_of(
    listed: Sequence[Listed],
    since: datetime,
    until: datetime,
    interval: str = "m1",
    *,
    instruments_max: int = INSTRUMENTS_MAX,
) -> Iterator[Window]:
    """``[since, until)`` cut at the months of India, each for the instruments in groups."""
    start = since.astimezone(IST)
    while start < until:
        next_month = (start.replace(day=1) + timedelta(31)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        end = min(next_month, until.astimezone(IST))
        for at in range(0, len(listed), instruments_max):
            yield Window(listed[at : at + instruments_max], interval, start, end)
        start = end
