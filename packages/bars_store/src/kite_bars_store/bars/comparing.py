"""What two sources have, merged and compared without a database. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np

from kite_bars_store.bars import MergeRules, SourceBars, Verdict
from kite_bars_store.bars.carried_opens import CarriedOpens
from kite_bars_store.bars.chunks import Chunk, chunks
from kite_bars_store.bars.columns import PRICES, Columns, concat, take
from kite_bars_store.bars.grid import Sessions, calendar_sessions, session_table
from kite_bars_store.bars.merging import Setting, merge
from kite_bars_store.bars.observations import observation_keys
from kite_bars_store.bars.quality import rescaled
from kite_bars_store.bars.records import Flag
from kite_bars_store.instruments import price
from kite_contracts.sessions import SessionCalendar

SHIFTS: Final = (-1, 1, -330, 330)
"""Minutes: the start of a bar for its end, and UTC for India's time."""
_SHIFTED_MIN: Final = 20


@dataclass
class Comparison:
    """Counts of bars; of prices the largest difference. ``tick`` is what was taken for one."""

    bars: Counter[str] = field(default_factory=Counter)
    """By source."""
    volume: Counter[str] = field(default_factory=Counter)
    """By source, of all its bars."""
    common: int = 0
    ohlc_equal: int = 0
    ohlc_volume_equal: int = 0
    within_one_tick: int = 0
    volume_equal: int = 0
    largest_difference: Decimal = Decimal(0)
    golden: int = 0
    outside: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    won: Counter[str] = field(default_factory=Counter)
    """Golden bars by the source whose prices they have."""
    second: str = ""
    """The source that the first by precedence is compared with."""
    equal_at: Counter[int] = field(default_factory=Counter)
    """By minutes by which the second is moved: how many bars then have the first's prices."""

    opens: CarriedOpens = field(default_factory=CarriedOpens)
    sources: tuple[str, ...] = ()
    """All of the rules, by precedence."""

    def better_shift(self) -> int | None:
        """The minutes by which the second's bars should be moved, where that makes far more of them
        equal; None where they lie as they should."""
        if not self.equal_at:
            return None
        shift, equal = max(self.equal_at.items(), key=lambda item: item[1])
        return shift if equal >= _SHIFTED_MIN and equal > 2 * self.ohlc_equal else None

    @property
    def has_findings(self) -> bool:
        """Whether anything needs attention: conflicts, or bars that lie minutes apart."""
        conflicts = any(Verdict[name].is_conflict for name in self.verdicts)
        return conflicts or self.better_shift() is not None

    def as_dict(self) -> dict[str, Any]:
        found = {**vars(self), "largest_difference": str(self.largest_difference)}
        del found["equal_at"], found["sources"], found["opens"]
        found["carries_open"] = [vars(each) for each in self.opens.usual()]
        return {**found, "better_shift_minutes": self.better_shift()}


def compare(
    said: Sequence[SourceBars],
    rules: MergeRules,
    calendar: SessionCalendar,
    total: Comparison | None = None,
) -> Comparison:
    """Merge the bars as the store would, and compare the first two sources by precedence.

    ``said`` are screened and of one interval; of a source that is there twice the first counts.
    What is found is added to ``total``. Raises RulesFaulty for a source without a rank.
    """
    found = Comparison() if total is None else total
    once = {each.source: each for each in reversed(said)}
    sources = sorted(once.values(), key=lambda each: rules.rank(each.source))
    keys = sorted({(i.exchange, i.tradingsymbol) for each in sources for i in each.instruments})
    ids = {key: at for at, key in enumerate(keys, 1)}
    sessions = calendar_sessions(calendar, rules.phases)
    found.sources = rules.sources
    found.second = sources[1].source if len(sources) > 1 else ""
    for each in sources:
        found.bars[each.source] += len(each.bars)
        found.volume[each.source] += int(each.bars.volume.sum())
    found.opens.look(sources)
    for chunk in chunks(sources, ids, rules):
        _add(found, chunk, rules, sessions)
    return found


def _add(found: Comparison, chunk: Chunk, rules: MergeRules, sessions: Sessions) -> None:
    latest = _words(chunk)
    tables = {each: session_table(chunk.grid, each, sessions) for each in set(chunk.exchanges)}
    setting = Setting(
        chunk.grid,
        [rules.limits_of(each) for each in chunk.exchanges],
        [tables[each] for each in chunk.exchanges],
    )
    golden = merge(latest, setting, rules)
    found.golden += len(golden.bars["cell"])
    found.outside += len(golden.outside)
    for number, count in zip(*np.unique(golden.bars["verdict"], return_counts=True), strict=True):
        found.verdicts[Verdict(int(number)).name] += int(count)
    for rank, count in zip(*np.unique(golden.bars["batch"], return_counts=True), strict=True):
        found.won[rules.sources[int(rank) - 1]] += int(count)
    for flag in Flag:
        count = int(np.count_nonzero(golden.bars["flags"] & int(flag)))
        if count:
            found.flags[str(flag.name)] += count
    if len(chunk.parts) > 1:
        _add_pairs(found, *(part.columns for part in chunk.parts[:2]))
        if chunk.grid.minutes == 1:
            _add_shifts(found, *(part.columns for part in chunk.parts[:2]))


def _words(chunk: Chunk) -> Columns:
    """The bars of all sources as the merge wants them; a source's batch is its rank, from 1."""
    rows = concat([part.columns for part in chunk.parts])
    rows = take(rows, np.argsort(observation_keys(rows), kind="stable"))
    rows["batch"] = rows["rank"] + 1
    rows["held"] = np.zeros(len(rows["cell"]), np.bool_)
    return rows


def _add_shifts(found: Comparison, one: Columns, other: Columns) -> None:
    """Count the equal bars for each of SHIFTS; a cell is a minute, and those of an instrument
    follow one another."""
    for shift in SHIFTS:
        moved = other["cell"] + shift
        _, first, second = np.intersect1d(one["cell"], moved, return_indices=True)
        equal = one["scale"][first] == other["scale"][second]
        for name in PRICES:
            equal &= one[name][first] == other[name][second]
        found.equal_at[shift] += int(equal.sum())


def _add_pairs(found: Comparison, one: Columns, other: Columns) -> None:
    _, first, second = np.intersect1d(one["cell"], other["cell"], return_indices=True)
    one, other = take(one, first), take(other, second)
    scale = np.maximum(one["scale"], other["scale"])
    tick = rescaled(one["tick"], one["scale"], scale)
    gaps = np.zeros(len(scale), np.int64)
    for name in PRICES:
        gap = rescaled(one[name], one["scale"], scale) - rescaled(
            other[name], other["scale"], scale
        )
        gaps = np.maximum(gaps, np.abs(gap))
    same = one["volume"] == other["volume"]
    found.common += len(gaps)
    found.ohlc_equal += int((gaps == 0).sum())
    found.ohlc_volume_equal += int(((gaps == 0) & same).sum())
    found.within_one_tick += int((gaps <= tick).sum())
    found.volume_equal += int(same.sum())
    for each in np.unique(scale).tolist():
        largest = price(int(gaps[scale == each].max()), each)
        found.largest_difference = max(found.largest_difference, largest)
