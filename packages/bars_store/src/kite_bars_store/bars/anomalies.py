"""Bars that are well formed and yet can hardly be true: another instrument's, or adjusted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars import SourceBars
from kite_bars_store.bars.columns import PRICES, Int64s
from kite_contracts.sessions.model import MINUTE_NS, day_of

DAY_BARS_MIN: Final = 30
CLOSES_MIN: Final = 10
"""Fewer bars, or fewer different closes, may be alike by chance: options hardly trade."""
RATIO_MAX: Final = 1.25
DOUBTS_MAX: Final = 20
_DAY_NS: Final = 1440 * MINUTE_NS
_IST_NS: Final = 330 * MINUTE_NS
_DAYS: Final = 1 << 20
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


class AnomalyKind(StrEnum):
    """In what way bars can hardly be true."""

    SAME_PRICES = "SAME_PRICES"
    OTHER_LEVEL = "OTHER_LEVEL"


@dataclass(frozen=True)
class Anomaly:
    """The minutes in doubt of the instruments; ``sentence`` is for people."""

    kind: AnomalyKind
    symbols: Sequence[str]
    ts_open_ns: Int64s
    sentence: str


class Anomalies:
    """Looks at the bars of one window after the other."""

    def __init__(self) -> None:
        self._days: dict[tuple[int, int], str] = {}
        self.found: list[Anomaly] = []

    @property
    def sentences(self) -> list[str]:
        """Of the first ones."""
        return [each.sentence for each in self.found[:DOUBTS_MAX]]

    def look(self, said: Sequence[SourceBars]) -> None:
        """All bars of one window."""
        for bars in said:
            if bars.interval == "m1" and len(bars.bars):
                self._twins(bars)
        if len(said) > 1 and said[0].interval == said[1].interval:
            self._ratios(said[0], said[1])

    def _twins(self, bars: SourceBars) -> None:
        """Days on which two instruments have the very same prices in every minute."""
        columns = bars.bars
        keys = columns.instrument * _DAYS + (columns.ts_open_ns + _IST_NS) // _DAY_NS
        days, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
        marks = columns.ts_open_ns.astype(np.uint64)
        for name in PRICES:
            marks = (marks ^ getattr(columns, name).astype(np.uint64)) * _MIX
            marks ^= marks >> np.uint64(29)
        sums = np.zeros(len(days), np.uint64)
        np.add.at(sums, place, marks)
        for at in np.flatnonzero(counts >= DAY_BARS_MIN).tolist():
            number, day = divmod(int(days[at]), _DAYS)
            own = bars.instruments[number].name
            other = self._days.setdefault((day, int(sums[at])), own)
            if other != own and len(np.unique(columns.close[place == at])) >= CLOSES_MIN:
                sentence = (
                    f"{own} has the very prices of {other} in all {int(counts[at])} minutes of "
                    f"{day_of(day * _DAY_NS)} in {bars.source}: one of the two is wrong"
                )
                minutes = columns.ts_open_ns[place == at]
                self.found.append(Anomaly(AnomalyKind.SAME_PRICES, (other, own), minutes, sentence))

    def _ratios(self, one: SourceBars, other: SourceBars) -> None:
        """Instruments whose prices in one source are far from those in the other."""
        if one.source == other.source:
            return
        theirs = {each.name: at for at, each in enumerate(other.instruments)}
        for at, instrument in enumerate(one.instruments):
            if instrument.name not in theirs:
                continue
            first = _closes(one, at)
            second = _closes(other, theirs[instrument.name])
            common, left, right = np.intersect1d(first[0], second[0], return_indices=True)
            if len(left) < DAY_BARS_MIN:
                continue
            ratio = float(np.median(second[1][right] / first[1][left]))
            if not 1 / RATIO_MAX <= ratio <= RATIO_MAX:
                sentence = (
                    f"{other.source} has {instrument.name} at {ratio:.4g} times the prices of "
                    f"{one.source} from {day_of(int(common[0]))} on: adjusted, or another "
                    "instrument's"
                )
                self.found.append(
                    Anomaly(AnomalyKind.OTHER_LEVEL, (instrument.name,), common, sentence)
                )


def _closes(bars: SourceBars, number: int) -> tuple[Int64s, npt.NDArray[np.float64]]:
    """Times and closes above zero of one instrument; floats will do for a ratio."""
    inside = (bars.bars.instrument == number) & (bars.bars.close > 0)
    scale = bars.instruments[number].price_scale
    return bars.bars.ts_open_ns[inside], bars.bars.close[inside] / 10.0**scale
