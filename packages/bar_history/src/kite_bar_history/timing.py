"""Whether the times of bars can be those that they are taken for: not wider bars, not another zone.

Bars of 5 minutes read as minutes, or times of UTC read as India's, are wrong without any one line
being so. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd, log2
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars import BarColumns, BarInstrument, SourceBars
from kite_bars_store.bars.columns import Int64s, run_starts
from kite_bars_store.bars.comparing import SHIFTS
from kite_bars_store.bars.out_of_session import Judged, SessionJudge
from kite_contracts.sessions.model import MINUTE_NS, ist

PROOF_BITS: Final = 30
"""Chance puts n + 1 bars on multiples of w units once in w**n: this often at most it is called
proof, once in 2**30. So nine bars of 15 minutes prove it, and twenty of 3 minutes."""
POOLED_BITS: Final = 60
"""The same of all days together, for hours of few bars: none but a day's third bar and later ones
count, since two bars a day, the first and the last, may well be as far apart every day."""
ZONES: Final = (330, -330)
"""Minutes: UTC read as India's time, and the reverse."""
_STRAYS_MIN: Final = 30
_STRAYS_SPAN_NS: Final = 120 * MINUTE_NS
"""No special session is as long, and those of old days are not known."""
_STRAYS_SHARE: Final = 0.25
"""330 minutes are 38 % of the longest session, that of commodities."""
_SAMPLE: Final = 20_000
_DAY_MINUTES: Final = 1440
_IST_MINUTES: Final = 330
_DAYS: Final = 1 << 20
_OTHERS: Final = -1
"""Stands for all instruments that are not judged."""


class WidthCheck:
    """Finds bars that are wider than ``interval``, which is ``m1`` or ``d1``.

    It judges by a *key*: an instrument on one day where bars are minutes, else an instrument. A
    thin instrument may trade every 15 minutes by choice. So bars of one key alone are wide where
    other instruments have narrow ones on that day, and all of them where none has.
    """

    def __init__(self, interval: str) -> None:
        self._is_minutes = interval == "m1"
        self._seen: dict[int, tuple[int, int, int]] = {}
        """By key: its first place, the greatest common divisor of the distances to it, and how
        many bars there are."""

    def keys(self, instrument: Int64s, ts_open_ns: Int64s) -> Int64s:
        """The key of each bar."""
        if not self._is_minutes:
            return instrument
        keys: Int64s = instrument * _DAYS + _days(ts_open_ns)
        return keys

    def instrument(self, key: int) -> int:
        """Whose key it is."""
        return key // _DAYS if self._is_minutes else key

    def look(self, instrument: Int64s, ts_open_ns: Int64s) -> None:
        """These bars, in any order."""
        keys = self.keys(instrument, ts_open_ns)
        minutes = ts_open_ns // MINUTE_NS + _IST_MINUTES
        places = minutes % _DAY_MINUTES if self._is_minutes else _days(ts_open_ns)
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

    def look_at_others(self, ts_open_ns: Int64s) -> None:
        """Bars of instruments that are not judged: they show how wide bars of the file are."""
        self.look(np.full(len(ts_open_ns), _OTHERS), ts_open_ns)

    def width(self) -> int:
        """Of how many minutes, or days, all bars are: 1 unless those of one day prove otherwise and
        no instrument has narrow ones on it, or those of all days and instruments do."""
        width, bars = self._pool(self._seen)
        if self._is_minutes and _is_proven(width, bars, POOLED_BITS):
            return width
        narrow = self._narrow()
        wide = [width for key, width in self._proven().items() if self._group(key) not in narrow]
        return min(wide, default=1)

    def wide(self) -> dict[int, int]:
        """The width of each key that is wider than others of its day."""
        narrow = self._narrow()
        proven = self._proven().items()
        judged = ((key, width) for key, width in proven if self.instrument(key) != _OTHERS)
        return {key: width for key, width in judged if self._group(key) in narrow}

    def _proven(self) -> dict[int, int]:
        """The width of each key whose bars prove it, or whose instrument's on all days do."""
        found = {
            key: width
            for key, (_, width, count) in self._seen.items()
            if _is_proven(width, count - 1, PROOF_BITS)
        }
        if self._is_minutes:
            own: dict[int, list[int]] = {}
            for key in self._seen:
                own.setdefault(self.instrument(key), []).append(key)
            for keys in own.values():
                width, bars = self._pool(keys)
                if _is_proven(width, bars, POOLED_BITS):
                    found |= {key: found.get(key, width) for key in keys}
        return found

    def _pool(self, keys: Iterable[int]) -> tuple[int, int]:
        """The width that fits all of these keys, and how many bars show it."""
        known, bars = 0, 0
        for _, width, count in (self._seen[key] for key in keys):
            if count > 1:
                known, bars = gcd(known, width), bars + count - 2
        return known, bars

    def _narrow(self) -> set[int]:
        """The groups with bars that are as narrow as they should be."""
        return {
            self._group(key)
            for key, (_, width, count) in self._seen.items()
            if count > 1 and width == 1
        }

    def _group(self, key: int) -> int:
        """The day of minutes; days of all instruments are one group."""
        return key % _DAYS if self._is_minutes else 0


def _is_proven(width: int, bars: int, bits: int) -> bool:
    return width > 1 and bars * log2(width) >= bits


class HoursCheck:
    """Finds times that are mostly outside the session, and days of another time zone among others;
    and which shift would put them inside."""

    def __init__(self, judge: SessionJudge) -> None:
        self._judge = judge
        self._judged = self._outside = self._first_ns = 0
        self._instruments: Sequence[BarInstrument] = ()
        self._sample: list[npt.NDArray[np.int64]] = []
        """Instruments and times of days of which many bars are outside the usual hours."""

    def look(self, bars: SourceBars) -> None:
        """Minutes; those of days without a session say nothing."""
        instrument, opens = bars.bars.instrument, bars.bars.ts_open_ns
        judged = self._judge.judged(bars)
        self._instruments = bars.instruments
        self._judged += int(judged.has_session.sum())
        self._outside += int((judged.outside & judged.has_session).sum())
        self._first_ns = self._first_ns or int(opens.min())
        if judged.unusual.any() and sum(each.shape[1] for each in self._sample) < _SAMPLE:
            _, place = np.unique(_days(opens), return_inverse=True)
            many = np.bincount(place, judged.unusual) > _STRAYS_SHARE * np.bincount(place)
            rows = many[place] & judged.has_session
            if rows.any():
                self._sample.append(np.stack([instrument[rows], opens[rows]]))

    def problem(self) -> str | None:
        """What is wrong with most of the bars, or with those of a day; else None."""
        if not self._sample:
            return None
        instrument, opens = np.concatenate(self._sample, axis=1)
        if 2 * self._outside <= self._judged:
            return self._day_of_another_zone(instrument, opens)
        wrong = (
            f"has {self._outside:,} of {self._judged:,} bars outside the session, the first at "
            f"{ist(self._first_ns):%Y-%m-%d %H:%M} in India"
        )
        shares = {shift: self._share_inside(instrument, opens, shift) for shift in SHIFTS}
        best = max(shares, key=lambda shift: shares[shift])
        if shares[best] < 0.9:
            return f"{wrong}, and no other time zone or stamp puts them inside"
        return f"{wrong}; {shift_text(best)} {shares[best]:.0%} of them would be inside"

    def _share_inside(self, instrument: Int64s, opens: Int64s, shift: int) -> float:
        judged = self._moved(instrument, opens, shift)
        of_session = int(judged.has_session.sum())
        return int((judged.has_session & ~judged.outside).sum()) / max(of_session, 1)

    def _day_of_another_zone(self, instrument: Int64s, opens: Int64s) -> str | None:
        """Where the bars outside are many, hours apart, and 99 % of the day lies inside in another
        zone. So few are outside where a session is long, or other days are as they should be."""
        days, place = np.unique(_days(opens), return_inverse=True)
        strays = self._moved(instrument, opens, 0).unusual
        bars, outside = np.bincount(place), np.bincount(place, strays)
        earliest, last = np.full(len(days), opens.max()), np.full(len(days), opens.min())
        np.minimum.at(earliest, place[strays], opens[strays])
        np.maximum.at(last, place[strays], opens[strays])
        many = (outside >= _STRAYS_MIN) & (last - earliest >= _STRAYS_SPAN_NS)
        first = earliest.tolist()
        for shift in ZONES:
            left = np.bincount(place, self._moved(instrument, opens, shift).unusual)
            for at in np.flatnonzero(many & (left <= 0.01 * bars))[:1].tolist():
                return (
                    f"has {outside[at]:,.0f} of {bars[at]:,} bars of {ist(first[at]):%Y-%m-%d} "
                    f"outside the session, the first at {ist(first[at]):%H:%M} in India; "
                    f"{shift_text(shift)} they would be inside"
                )
        return None

    def _moved(self, instrument: Int64s, opens: Int64s, shift: int) -> Judged:
        nothing = np.zeros(len(opens), np.int64)
        moved = BarColumns(instrument, opens + shift * MINUTE_NS, *[nothing] * 6)
        return self._judge.judged(SourceBars("", "m1", self._instruments, moved))


def _days(opens: Int64s) -> Int64s:
    """In India."""
    days: Int64s = (opens // MINUTE_NS + _IST_MINUTES) // _DAY_MINUTES
    return days


def shift_text(shift: int) -> str:
    """Minutes in words, such as "5:30 hours later"."""
    way = "later" if shift > 0 else "earlier"
    hours, minutes = divmod(abs(shift), 60)
    return f"{hours}:{minutes:02} hours {way}" if hours else f"{minutes} minute {way}"
