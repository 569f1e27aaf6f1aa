"""Bars of several minutes from golden minutes. Pure."""

from __future__ import annotations

import numpy as np

from kite_bars_store.bars.columns import NO_OI, Columns, Int64s, run_starts, take
from kite_bars_store.bars.quality import rescaled
from kite_bars_store.bars.verdicts import Verdict
from kite_contracts.sessions.model import MINUTE_NS


def aggregate(bars: Columns, minutes: int) -> Columns:
    """Bars of ``minutes`` counted from the day's opening, as the view bars_5m and its like.

    ``bars`` are golden minutes by instrument and time, with ``instrument_id`` and ``ts_open_ns``.
    The answer has ``minutes`` (of how many each is made) and ``conflicts`` instead of a verdict.
    """
    opens = bars["ts_open_ns"] - bars["session_minute"] % minutes * MINUTE_NS
    changes = (np.diff(opens, prepend=opens[:1] - 1) != 0) | (
        np.diff(bars["instrument_id"], prepend=-1) != 0
    )
    starts = np.flatnonzero(changes)
    ends = np.append(starts[1:], len(opens)) - 1
    if not len(starts):
        empty = take(bars, starts)
        return {**empty, "minutes": starts, "conflicts": starts}
    scale = np.maximum.reduceat(bars["price_scale"], starts)
    run = np.cumsum(changes) - 1
    prices = {
        name: rescaled(bars[name], bars["price_scale"], scale[run])
        for name in ("open", "high", "low", "close")
    }
    conflict = bars["verdict"] >= int(Verdict.CONFLICT_BROKER_WON)
    return {
        "instrument_id": bars["instrument_id"][starts],
        "ts_open_ns": opens[starts],
        "open": prices["open"][starts],
        "high": np.maximum.reduceat(prices["high"], starts),
        "low": np.minimum.reduceat(prices["low"], starts),
        "close": prices["close"][ends],
        "price_scale": scale,
        "volume": np.add.reduceat(bars["volume"], starts),
        "oi": _last_oi(bars["oi"], run, len(starts)),
        "flags": np.bitwise_or.reduceat(bars["flags"], starts),
        "minutes": ends - starts + 1,
        "conflicts": np.add.reduceat(conflict.astype(np.int64), starts),
    }


def _last_oi(oi: Int64s, run: Int64s, count: int) -> Int64s:
    found = np.full(count, NO_OI, np.int64)
    known = np.flatnonzero(oi != NO_OI)
    last = np.append(run_starts(run[known])[1:], len(known)) - 1
    if len(known):
        found[run[known[last]]] = oi[known[last]]
    return found
