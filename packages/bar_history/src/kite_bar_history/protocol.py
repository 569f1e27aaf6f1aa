"""What every source of bars has in common.

A source is asked for one window: some instruments, one interval, one span inside a month. It
answers with bars ready for ``BarStore.merge`` and with the lines that it could not read. So memory
holds one window, and what was merged needs no second reading after an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kite_bar_history.universe import Listed
from kite_bars_store.bars import SourceBars


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
    """A line, or a candle, that is no bar; kept as it came, to be mended and fed again."""

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
    """What a source said of a window."""

    bars: Sequence[SourceBars] = ()
    refused: Sequence[RefusedLine] = ()
    repeated: int = 0
    """Bars that were there more than once with the same values; one of them is in ``bars``."""


class BarSource(Protocol):
    """Kite's history, a vendor's files, or the topic ``bars``."""

    @property
    def name(self) -> str:
        """As ``configs/merge.toml`` calls it: ``kite``, ``vendor`` or ``live``."""

    def read(self, window: Window) -> Reading:
        """The bars of the window. Raises the errors of ``kite_bar_history.errors``."""
