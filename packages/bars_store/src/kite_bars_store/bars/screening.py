"""Bars that cannot be kept, with a reason for each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars.columns import NO_OI, VALUES, BarColumns, BarInstrument, take
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns

FIRST_NS: Final = midnight_ns(date(1990, 1, 1))
LAST_NS: Final = midnight_ns(date(2101, 1, 1))
PRICE_MAX: Final = 10**9
VOLUME_MAX: Final = 10**15
SCALE_MAX: Final = 9
_DAY_NS: Final = 1440 * MINUTE_NS
_IST_OFFSET_NS: Final = 330 * MINUTE_NS
_SLOTS: Final = (LAST_NS - FIRST_NS) // MINUTE_NS


class Refusal(StrEnum):
    """Why a bar is not kept. Of several the first one in this order is named."""

    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    TIME_OUT_OF_RANGE = "TIME_OUT_OF_RANGE"
    TIME_NOT_ALIGNED = "TIME_NOT_ALIGNED"
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"
    OHLC_CONTRADICTS = "OHLC_CONTRADICTS"
    NEGATIVE_VOLUME = "NEGATIVE_VOLUME"
    NEGATIVE_OI = "NEGATIVE_OI"
    VOLUME_OUT_OF_RANGE = "VOLUME_OUT_OF_RANGE"
    DUPLICATE_DIFFERS = "DUPLICATE_DIFFERS"


@dataclass(frozen=True)
class RefusedBar:
    """``row`` is its position in the columns that were handed over."""

    row: int
    reason: Refusal


@dataclass(frozen=True)
class Screened:
    """``bars`` are fit, sorted by instrument and time, each once. ``repeated`` counts bars that
    were there more than once with the same values; one of them is kept."""

    bars: BarColumns
    refused: tuple[RefusedBar, ...]
    repeated: int


def screen(bars: BarColumns, instruments: Sequence[BarInstrument], minutes: int) -> Screened:
    """Parts fit bars of ``minutes`` (1 or 1440) from those that contradict themselves.

    Of bars at one time with different values none is kept: which is meant is unknown. Of those that
    differ in nothing but that some carry no open interest, one that does is kept.
    """
    for each in instruments:
        if not 0 <= each.price_scale <= SCALE_MAX or not 0 <= each.tick_size < 2**31:
            raise ValueError(f"{each.name}: price_scale or tick_size is out of range")
    faults = _faults(bars, instruments, minutes)
    good = np.flatnonzero(faults < 0)
    key = bars.instrument[good] * _SLOTS + (bars.ts_open_ns[good] - FIRST_NS) // MINUTE_NS
    if not (key[1:] > key[:-1]).all():
        # Of bars at one time those come first that carry open interest.
        order = np.lexsort((bars.oi[good] == NO_OI, key))
        good, key = good[order], key[order]
    repeated = 0
    again = np.flatnonzero(key[1:] == key[:-1]) + 1
    if len(again):
        keep, differing = _duplicates(bars, good, key)
        faults[good[differing]] = list(Refusal).index(Refusal.DUPLICATE_DIFFERS)
        repeated = len(good) - int(keep.sum()) - int(differing.sum())
        good = good[keep]
    whole = len(good) == len(bars) and bool((np.diff(good) == 1).all())
    kept = bars if whole else BarColumns(**take(bars.as_dict(), good))
    names = list(Refusal)
    refused = tuple(RefusedBar(int(row), names[faults[row]]) for row in np.flatnonzero(faults >= 0))
    return Screened(kept, refused, repeated)


def _faults(
    bars: BarColumns, instruments: Sequence[BarInstrument], minutes: int
) -> npt.NDArray[Any]:
    """The number of the first refusal of each row; -1 for none."""
    index, ts_ns = bars.instrument, bars.ts_open_ns
    known = (index >= 0) & (index < len(instruments))
    scales = np.array([each.price_scale for each in instruments] or [0], np.int64)
    limit = PRICE_MAX * 10 ** scales[np.where(known, index, 0)]
    offset = _IST_OFFSET_NS if minutes == 1440 else 0
    rules = {
        Refusal.UNKNOWN_INSTRUMENT: ~known,
        Refusal.TIME_OUT_OF_RANGE: (ts_ns < FIRST_NS) | (ts_ns >= LAST_NS),
        Refusal.TIME_NOT_ALIGNED: (ts_ns + offset) % (minutes * MINUTE_NS) != 0,
        Refusal.PRICE_OUT_OF_RANGE: (bars.high > limit) | (bars.low < -limit),
        Refusal.OHLC_CONTRADICTS: (bars.high < np.maximum(bars.open, bars.close))
        | (bars.low > np.minimum(bars.open, bars.close)),
        Refusal.NEGATIVE_VOLUME: bars.volume < 0,
        Refusal.NEGATIVE_OI: (bars.oi < 0) & (bars.oi != NO_OI),
        Refusal.VOLUME_OUT_OF_RANGE: np.maximum(bars.volume, bars.oi) > VOLUME_MAX,
    }
    found = np.full(len(bars), -1, np.int8)
    for number, reason in reversed(list(enumerate(rules))):
        found[rules[reason]] = number
    return found


def _duplicates(
    bars: BarColumns, good: npt.NDArray[Any], key: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Of rows sorted by ``key``: which to keep, and which differ from another of the same key. Who
    carries no open interest does not contradict one who does."""
    starts = np.concatenate([[True], key[1:] != key[:-1]])
    run = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)[run]
    unlike = np.zeros(len(good), np.bool_)
    for name in VALUES:
        values = getattr(bars, name)[good]
        unlike |= (values != values[first]) & ((name != "oi") | (values != NO_OI))
    bad = np.zeros(run[-1] + 1, np.bool_)
    bad[run[unlike]] = True
    return starts & ~bad[run], bad[run]
