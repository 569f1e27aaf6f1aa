"""Whether a file's stamps are of the other end of the minute than its layout states. Pure.

Read with the wrong one, all bars are a minute off, and of a whole day only one lies outside the
session: just after it, while its first minute has none, or just before it, and its last has none.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kite_bars_store.bars import BarColumns, SourceBars
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.quality import Bools
from kite_contracts.sessions.model import MINUTE_NS

DENSE: Final = 300
"""Bars inside for each at the edge, of 375 minutes: days with fewer show nothing."""
_BARS: Final = 100_000


class EdgeCheck:
    """Looks at the first minutes of a file."""

    def __init__(self, judge: SessionJudge) -> None:
        self._judge = judge
        self._bars = self._inside = self._first = self._last = self._before = self._after = 0

    def look(self, bars: SourceBars) -> None:
        if self._bars >= _BARS:
            return
        inside, earlier, later = (self._is_inside(bars, shift) for shift in (0, -1, 1))
        self._bars += len(bars.bars)
        self._inside += int(inside.sum())
        self._first += int((inside & ~earlier).sum())
        self._last += int((inside & ~later).sum())
        self._after += int((~inside & earlier).sum())
        self._before += int((~inside & later).sum())

    @property
    def problem(self) -> str | None:
        """None where nothing shows that the stamps are of the other end."""
        if self._after and not self._first and self._inside >= DENSE * self._after:
            where, least = "no bar in the first minute of a session, but one after it", "end"
        elif self._before and not self._last and self._inside >= DENSE * self._before:
            where, least = "no bar in the last minute of a session, but one before it", "beginning"
        else:
            return None
        return f"has {where}, as if stamps were of the {least} of a bar"

    def _is_inside(self, bars: SourceBars, minutes: int) -> Bools:
        columns = bars.bars.as_dict()
        columns["ts_open_ns"] = columns["ts_open_ns"] + minutes * MINUTE_NS
        moved = SourceBars(bars.source, bars.interval, bars.instruments, BarColumns(**columns))
        return np.asarray(~self._judge.judged(moved).unusual)
