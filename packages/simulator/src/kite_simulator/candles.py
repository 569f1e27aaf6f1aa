"""``/instruments/historical`` as Kite answers it: minutes grouped, limits kept, stamps in India's
time. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.packets import Segment, price_scale_of, segment_of
from kite_broker_zerodha.spans import DAYS_A_CALL
from kite_contracts.sessions.model import MINUTE_NS, day_of, midnight_ns
from kite_runtime.clock import IST
from kite_simulator.history import FIELDS, History
from kite_simulator.rest_faults import RestAnswer, error_answer, json_answer

Int64s = npt.NDArray[np.int64]

_MINUTES: Final[Mapping[str, int]] = MappingProxyType(
    {"minute": 1, **{f"{n}minute": n for n in (3, 5, 10, 15, 30, 60)}, "day": 0}
)
_CONTINUOUS: Final = (Segment.NFO, Segment.MCX)
_IST_S: Final = 330 * 60
_WHOLE_DAY: Final = timedelta(days=1, minutes=-1)


class _Wrong(Exception):
    """Kite's words for a call that it does not take."""


def candle_answer(
    history: History, token: int, interval: str, query: Mapping[str, str], now: datetime
) -> RestAnswer:
    """The candles, or Kite's refusal. ``token`` is listed; ``query`` is as it came."""
    try:
        first, last = _span(interval, query)
        continuous, oi = _flag(query, "continuous"), _flag(query, "oi")
        if continuous and (interval != "day" or segment_of(token) not in _CONTINUOUS):
            raise _Wrong("invalid interval for continuous data")
    except _Wrong as wrong:
        return error_answer(HTTPStatus.BAD_REQUEST, str(wrong), "InputException")
    if interval == "day":
        bars = _days(history, token, first, last, now)
    else:
        minutes = history.minutes(token, first, last, now)
        bars = _grouped(history, token, minutes, _MINUTES[interval])
    rows = _rows(bars, price_scale_of(token), oi)
    return json_answer({"status": "success", "data": {"candles": rows}})


def _span(interval: str, query: Mapping[str, str]) -> tuple[datetime, datetime]:
    if interval not in _MINUTES:
        raise _Wrong("invalid interval")
    first, last = _time(query, "from"), _time(query, "to")
    if first > last:
        raise _Wrong("from date should not be after to date")
    if last - first > timedelta(days=DAYS_A_CALL[interval]):
        raise _Wrong(f"interval exceeds max limit: {DAYS_A_CALL[interval]} days")
    return first, last


def _time(query: Mapping[str, str], name: str) -> datetime:
    """``YYYY-MM-DD HH:MM:SS`` in India's time; the time of day may be left out."""
    try:
        found = datetime.fromisoformat(query.get(name, ""))
    except ValueError:
        raise _Wrong(f"invalid {name} date") from None
    if found.tzinfo is not None:
        raise _Wrong(f"invalid {name} date")
    return found.replace(tzinfo=IST)


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "0")
    if value not in ("0", "1"):
        raise _Wrong(f"invalid {name} value")
    return value == "1"


def _days(history: History, token: int, first: datetime, last: datetime, now: datetime) -> Int64s:
    """Day candles whose midnight lies in the span; each is of the whole day."""
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    if midnight < first:
        midnight += timedelta(days=1)
    final = last.replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = history.minutes(token, midnight, final + _WHOLE_DAY, now)
    keys = np.array([midnight_ns(day_of(ts_ns)) for ts_ns in minutes[:, 0].tolist()], np.int64)
    return _folded(minutes, keys)


def _grouped(history: History, token: int, minutes: Int64s, length: int) -> Int64s:
    """Bars of ``length`` minutes, counted from the opening of each day, of the minutes that were
    asked for alone: so one that is cut is a part of it, as at Kite."""
    if length == 1 or not len(minutes):
        return minutes
    days = minutes[:, 0] + 330 * MINUTE_NS
    keys = np.empty(len(minutes), np.int64)
    for number in np.unique(days // (1440 * MINUTE_NS)).tolist():
        own = days // (1440 * MINUTE_NS) == number
        times = minutes[own, 0]
        opens = history.opening_of(token, day_of(int(times[0])))
        assert opens is not None  # the day has minutes
        keys[own] = opens + (times - opens) // (length * MINUTE_NS) * (length * MINUTE_NS)
    return _folded(minutes, keys)


def _folded(minutes: Int64s, keys: Int64s) -> Int64s:
    """One bar for each run of equal keys."""
    if not len(minutes):
        return minutes
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    ends = np.append(starts[1:], len(keys)) - 1
    bars = np.empty((len(starts), len(FIELDS)), np.int64)
    bars[:, 0], bars[:, 1] = keys[starts], minutes[starts, 1]
    bars[:, 2] = np.maximum.reduceat(minutes[:, 2], starts)
    bars[:, 3] = np.minimum.reduceat(minutes[:, 3], starts)
    bars[:, 4] = minutes[ends, 4]
    bars[:, 5] = np.add.reduceat(minutes[:, 5], starts)
    bars[:, 6] = minutes[ends, 6]
    return bars


def _rows(bars: Int64s, price_scale: int, oi: bool) -> list[tuple[Any, ...]]:
    """As JSON has them: whole prices are integers, the others floats."""
    local = (bars[:, 0] // 10**9 + _IST_S).astype("datetime64[s]")
    stamps = [f"{stamp}+0530" for stamp in np.datetime_as_string(local).tolist()]
    prices = (
        [int(price) if price.is_integer() else price for price in column.tolist()]
        for column in (bars[:, 1:5] / 10**price_scale).T
    )
    counts = bars[:, 5 : 7 if oi else 6].T.tolist()
    return list(zip(stamps, *prices, *counts, strict=True))
