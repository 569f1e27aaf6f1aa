"""Opens that a source fills in: the open of a bar is its own close of the bar before. Pure.

Kite does so on thin stocks. Where the opens of two sources differ, and those of one are nearly all
its own previous closes, the other's are the true ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kite_bars_store.bars.columns import BarColumns, SourceBars, run_starts
from kite_bars_store.bars.quality import Bools
from kite_contracts.sessions.model import MINUTE_NS

DIFFER_MIN: Final = 20
SHARE_MIN: Final = 0.8
NAMED_MAX: Final = 5
_DAY_NS: Final = 1440 * MINUTE_NS
_IST_NS: Final = 330 * MINUTE_NS
_MINUTES: Final = 1 << 32


def is_carried(bars: BarColumns) -> Bools:
    """Of each bar of one source whether its open is the close of the bar before it on that day."""
    order = np.lexsort((bars.ts_open_ns, bars.instrument))
    now, before = order[1:], order[:-1]
    days = (bars.ts_open_ns + _IST_NS) // _DAY_NS
    found = np.zeros(len(bars), np.bool_)
    found[now] = (bars.instrument[now] == bars.instrument[before]) & (days[now] == days[before])
    found[now] &= bars.open[now] == bars.close[before]
    return found


def differing_rows(said: Sequence[SourceBars]) -> list[Bools]:
    """Of each source, of each bar: whether another source has it with another open."""
    names = sorted({one.name for each in said for one in each.instruments})
    number = {name: at for at, name in enumerate(names)}
    cells, opens = [], []
    for each in said:
        own = np.array([number[one.name] for one in each.instruments], np.int64)
        factor = np.array([10 ** (9 - one.price_scale) for one in each.instruments], np.int64)
        place = each.bars.instrument
        cells.append(own[place] * _MINUTES + each.bars.ts_open_ns // MINUTE_NS)
        opens.append(each.bars.open * factor[place])
    if not sum(map(len, cells)):
        return [np.zeros(0, np.bool_) for _ in said]
    _, cell = np.unique(np.concatenate(cells), return_inverse=True)
    order = np.argsort(cell, kind="stable")
    starts, ordered = run_starts(cell[order]), np.concatenate(opens)[order]
    apart = np.maximum.reduceat(ordered, starts) != np.minimum.reduceat(ordered, starts)
    return np.split(apart[cell], np.cumsum([len(each) for each in cells])[:-1])


def carried_rows(said: Sequence[SourceBars]) -> list[Bools]:
    """The same where its open is its own previous close as well."""
    differing = zip(said, differing_rows(said), strict=True)
    return [unlike & is_carried(each.bars) for each, unlike in differing]


@dataclass(frozen=True)
class CarriedOpen:
    """Of a source's opens of an instrument that another source has otherwise: how many there are,
    and how many of these are its own previous close."""

    symbol: str
    source: str
    differ: int
    carried: int

    @property
    def is_usual(self) -> bool:
        return self.differ >= DIFFER_MIN and self.carried >= SHARE_MIN * self.differ


class CarriedOpens:
    """Counts the opens of one window after the other; ``only`` of these instruments."""

    def __init__(self, only: Sequence[str] | None = None) -> None:
        self._only = None if only is None else frozenset(only)
        self._differ: Counter[tuple[str, str]] = Counter()
        self._carried: Counter[tuple[str, str]] = Counter()

    def look(self, said: Sequence[SourceBars]) -> None:
        """All bars of one window, each source once."""
        for counts, rows in (
            (self._differ, differing_rows(said)),
            (self._carried, carried_rows(said)),
        ):
            for each, mark in zip(said, rows, strict=True):
                found = np.bincount(each.bars.instrument[mark], minlength=len(each.instruments))
                for one, count in zip(each.instruments, found.tolist(), strict=True):
                    counts[one.name, each.source] += count

    def of(self, symbol: str, source: str) -> CarriedOpen:
        key = symbol, source
        return CarriedOpen(symbol, source, self._differ[key], self._carried[key])

    def usual(self) -> list[CarriedOpen]:
        """Where a source fills its opens in, by instrument."""
        found = (self.of(*key) for key in sorted(self._differ))
        wanted = self._only
        return [e for e in found if e.is_usual and (wanted is None or e.symbol in wanted)]

    def sentences(self, sources: Sequence[str]) -> Iterator[str]:
        """One for each source that does so, with the setting that follows; ``sources`` are those
        of the rules."""
        usual = self.usual()
        for source in dict.fromkeys(each.source for each in usual):
            own = [each for each in usual if each.source == source]
            named = ", ".join(each.symbol for each in own[:NAMED_MAX])
            more = f" and {len(own) - NAMED_MAX:,} more" if len(own) > NAMED_MAX else ""
            yield (
                f"{named}{more}: {sum(each.carried for each in own):,} of "
                f"{sum(each.differ for each in own):,} opens that differ are {source}'s own "
                f"previous close: {field_open(source, sources)} in merge.toml takes the other's"
            )


def field_open(source: str, sources: Sequence[str]) -> str:
    """The setting that takes opens from any other source before this one."""
    others = [each for each in sources if each != source]
    return "`[field] open = [{}]`".format(", ".join(f'"{each}"' for each in (*others, source)))
