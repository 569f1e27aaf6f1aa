"""Whether the times of bars can be those that they are taken for: not wider bars, not another zone.

Bars of 5 minutes read as minutes, or times of UTC read as India's, are wrong without any one line
being so. Pure.
"""

from __future__ import annotations

from math import gcd, log2
from typing import Final

import numpy as np

from kite_bars_store.bars import BarColumns, SourceBars
from kite_bars_store.bars.columns import Int64s, run_starts
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_contracts.sessions.model import MINUTE_NS, ist

PROOF_BITS: Final = 30
"""Chance puts n + 1 bars on multiples of w units once in w**n: this often at most it is called
proof, once in 2**30. So nine bars of 15 minutes prove it, and twenty of 3 minutes."""
SHIFTS: Final = (330, -330, 1, -1)
"""Minutes: UTC read as India's time and the reverse, the end of a bar read as its start."""
_SAMPLE: Final = 20_000
_DAY_MINUTES: Final = 1440
_IST_MINUTES: Final = 330
_DAYS: Final = 1 << 20


class WidthCheck:
    """Finds bars that are wider than ``interval``, which is ``m1`` or ``d1``."""

    def __init__(self, interval: str) -> None:
        self._is_minutes = interval == "m1"
        self._seen: dict[int, tuple[int, int, int]] = {}
        """Of an instrument, and of a day where bars are minutes: its first place, the greatest
        common divisor of the distances to it, and how many there are."""

    def look(self, instrument: Int64s, ts_open_ns: Int64s) -> None:
        """These bars, in any order."""
        minutes = ts_open_ns // MINUTE_NS + _IST_MINUTES
        days = minutes // _DAY_MINUTES
        if self._is_minutes:
            keys, places = instrument * _DAYS + days, minutes % _DAY_MINUTES
        else:
            keys, places = instrument, days
        order = np.lexsort((places, keys))
        keys, places = keys[order], places[order]
        new = np.ones(len(keys), np.bool_)
        new[1:] = (keys[1:] != keys[:-1]) | (places[1:] != places[:-1])
        keys, places = keys[new], places[new]
        starts = run_starts(keys)
        counts = np.diff(np.append(starts, len(keys)))
        first = np.array(
            [
                self._seen.get(key, (place,))[0]
                for key, place in zip(keys[starts].tolist(), places[starts].tolist(), strict=True)
            ],
            np.int64,
        )
        apart = np.abs(places - np.repeat(first, counts))
        widths = np.gcd.reduceat(apart, starts) if len(starts) else apart
        found = zip(*(each.tolist() for each in (keys[starts], first, widths, counts)), strict=True)
        for key, place, width, count in found:
            _, known, had = self._seen.get(key, (place, 0, 0))
            self._seen[key] = place, gcd(known, width), had + count

    def width(self) -> int:
        """Of how many minutes, or days, the bars are: 1 unless those of one day prove otherwise."""
        wide = [
            width
            for _, width, count in self._seen.values()
            if width > 1 and (count - 1) * log2(width) >= PROOF_BITS
        ]
        return min(wide, default=1)


class HoursCheck:
    """Finds times that are mostly outside the session, and which shift would put them inside."""

    def __init__(self, judge: SessionJudge) -> None:
        self._judge = judge
        self._judged = self._outside = self._first_ns = 0
        self._sample: list[SourceBars] = []

    def look(self, bars: SourceBars) -> None:
        """Minutes; those of days without a session say nothing."""
        is_outside, has_session = self._judge.judged(bars)
        self._judged += int(has_session.sum())
        self._outside += int((is_outside & has_session).sum())
        self._first_ns = self._first_ns or int(bars.bars.ts_open_ns.min())
        if sum(len(each.bars) for each in self._sample) < _SAMPLE:
            self._sample.append(bars)

    def problem(self) -> str | None:
        """What is wrong with most of the bars; None where most are inside."""
        if 2 * self._outside <= self._judged:
            return None
        wrong = (
            f"has {self._outside:,} of {self._judged:,} bars outside the session, the first at "
            f"{ist(self._first_ns):%Y-%m-%d %H:%M} in India"
        )
        shares = {shift: self._share_inside(shift) for shift in SHIFTS}
        best = max(shares, key=lambda shift: shares[shift])
        if shares[best] < 0.9:
            return f"{wrong}, and no other time zone or stamp puts them inside"
        return f"{wrong}; {_text(best)} {shares[best]:.0%} of them would be inside"

    def _share_inside(self, shift: int) -> float:
        judged = inside = 0
        for each in self._sample:
            columns = each.bars
            moved = BarColumns(
                columns.instrument, columns.ts_open_ns + shift * MINUTE_NS, *_values(columns)
            )
            is_outside, has_session = self._judge.judged(
                SourceBars(each.source, each.interval, each.instruments, moved)
            )
            judged += int(has_session.sum())
            inside += int((has_session & ~is_outside).sum())
        return inside / judged if judged else 0.0


def _values(columns: BarColumns) -> tuple[Int64s, ...]:
    names = ("open", "high", "low", "close", "volume", "oi")
    return tuple(getattr(columns, name) for name in names)


def _text(shift: int) -> str:
    way = "later" if shift > 0 else "earlier"
    hours, minutes = divmod(abs(shift), 60)
    return f"{hours}:{minutes:02} hours {way}" if hours else f"{minutes} minute {way}"
