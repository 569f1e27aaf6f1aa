"""Kite's candles as columns of integers. Pure.

A candle is ``[stamp, open, high, low, close, volume]`` and, where it was asked for, open interest.
Prices mix JSON's integers and floats. A float is taken for the decimal of ``price_scale`` digits
that is written as this very float, so nothing is rounded: what no such decimal is gets refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

NO_OI: Final = -1
"""Stands for "no open interest" in the column."""
PRICE_MAX: Final = 10**9
"""In rupees; no instrument of Kite comes near it."""
COUNT_MAX: Final = 10**15
"""Of volume and open interest."""
RAW_CHARS_MAX: Final = 300
_EXACT_MAX: Final = 2.0**53
_FLOAT_MAX: Final = 10**300
_BASE, _WITH_OI = 6, 7


class CandleFault(StrEnum):
    """Why a candle is refused. Of several the first one in this order is named."""

    NOT_A_CANDLE = "NOT_A_CANDLE"
    BAD_TIME = "BAD_TIME"
    BAD_PRICE = "BAD_PRICE"
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"
    NEGATIVE_PRICE = "NEGATIVE_PRICE"
    PRICE_TOO_FINE = "PRICE_TOO_FINE"
    BAD_VOLUME = "BAD_VOLUME"
    BAD_OI = "BAD_OI"


_MESSAGES: Final = {
    CandleFault.NOT_A_CANDLE: "a candle is a list of 6 values, or of 7 with open interest",
    CandleFault.BAD_TIME: "the stamp is no time with a zone and whole seconds",
    CandleFault.BAD_PRICE: "a price is no finite number",
    CandleFault.PRICE_OUT_OF_RANGE: f"a price is beyond {PRICE_MAX:,} rupees",
    CandleFault.NEGATIVE_PRICE: "a price is negative, which it may be for commodities alone",
    CandleFault.PRICE_TOO_FINE: "a price has more decimals than prices of its segment have",
    CandleFault.BAD_VOLUME: f"the volume is no whole number from 0 to {COUNT_MAX:,}",
    CandleFault.BAD_OI: f"the open interest is no whole number from 0 to {COUNT_MAX:,}",
}


@dataclass(frozen=True, slots=True)
class RefusedCandle:
    """``number`` counts the candles of the answer from 1; ``raw`` is the candle as it came."""

    number: int
    reason: CandleFault
    message: str
    raw: str


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles in the order of the answer; all arrays are of one length.

    ``ts_open_ns`` is when the candle opens, since 1970 (UTC); prices are times ``10**price_scale``;
    ``oi`` holds `NO_OI` where there is none. ``number`` is the place in the answer, from 1.
    """

    ts_open_ns: Int64s
    open: Int64s
    high: Int64s
    low: Int64s
    close: Int64s
    volume: Int64s
    oi: Int64s
    number: Int64s
    price_scale: int
    refused: tuple[RefusedCandle, ...] = ()

    def __len__(self) -> int:
        return len(self.ts_open_ns)


def parse_candles(
    rows: Sequence[Any], price_scale: int = 2, *, negative_prices: bool = False
) -> Candles:
    """The candles of an answer, whatever is in it: a row that is no candle is refused with a
    reason, and the others are taken. Whether high and low fit is not looked at."""
    faults: dict[int, CandleFault] = {}
    places, found, times = [], [], []
    for at, row in enumerate(rows):
        fault = _fault(row)
        stamp = None if fault else _stamp_s(row[0])
        if stamp is None:
            faults[at] = fault or CandleFault.BAD_TIME
            continue
        places.append(at)
        found.append(row)
        times.append(stamp)
    raw_prices = np.array([row[1:5] for row in found], np.float64).reshape(-1, 4)
    prices, price_faults = _scaled(raw_prices, price_scale, negative_prices)
    faults.update((places[row], fault) for row, fault in price_faults.items())
    keep = np.ones(len(found), np.bool_)
    keep[list(price_faults)] = False
    volume = [row[5] for row in found]
    oi = [row[6] if len(row) == _WITH_OI else NO_OI for row in found]
    return Candles(
        np.array(times, np.int64)[keep] * 1_000_000_000,
        prices[keep, 0],
        prices[keep, 1],
        prices[keep, 2],
        prices[keep, 3],
        np.array(volume, np.int64)[keep],
        np.array(oi, np.int64)[keep],
        np.array(places, np.int64)[keep] + 1,
        price_scale,
        tuple(
            RefusedCandle(at + 1, fault, _MESSAGES[fault], _raw(rows[at]))
            for at, fault in sorted(faults.items())
        ),
    )


def _fault(row: Any) -> CandleFault | None:
    """Whether a row fits the arrays; JSON knows NaN here, and integers of any size."""
    if not isinstance(row, list) or len(row) not in (_BASE, _WITH_OI):
        return CandleFault.NOT_A_CANDLE
    for price in row[1:5]:
        kind = type(price)
        if kind is not float and (kind is not int or not -_FLOAT_MAX < price < _FLOAT_MAX):
            return CandleFault.BAD_PRICE
    if not _is_count(row[5]):
        return CandleFault.BAD_VOLUME
    if len(row) == _WITH_OI and not _is_count(row[6]):
        return CandleFault.BAD_OI
    return None


def _is_count(value: Any) -> bool:
    kind = type(value)
    return (kind is int or (kind is float and value % 1 == 0)) and 0 <= value <= COUNT_MAX


def _raw(row: Any) -> str:
    return json.dumps(row, default=repr)[:RAW_CHARS_MAX]


def _stamp_s(stamp: Any) -> int | None:
    """``2017-12-15T09:15:00+0530`` as seconds since 1970; None for what has no zone."""
    try:
        time = datetime.fromisoformat(stamp)
        if time.tzinfo is None or time.microsecond:
            return None
        return int(time.timestamp())
    except (TypeError, ValueError, OverflowError):
        return None


def _scaled(
    prices: npt.NDArray[np.float64], price_scale: int, negative: bool
) -> tuple[Int64s, dict[int, CandleFault]]:
    """Whole numbers of the scale, and the rows that have a price that is none."""
    factor = float(10**price_scale)
    finite = np.isfinite(prices)
    sane = finite & (np.abs(np.where(finite, prices, 0.0)) <= PRICE_MAX)
    safe = np.where(sane, prices, 0.0)
    scaled = np.rint(safe * factor)
    # Division rounds correctly, so this is the float that the decimal is read as.
    exact = (scaled / factor == safe) & (np.abs(scaled) < _EXACT_MAX)
    faults: dict[int, CandleFault] = {}
    for fault, bad in (
        (CandleFault.PRICE_TOO_FINE, ~exact),
        (CandleFault.NEGATIVE_PRICE, (safe < 0) & (not negative)),
        (CandleFault.PRICE_OUT_OF_RANGE, ~sane),
        (CandleFault.BAD_PRICE, ~finite),
    ):
        faults.update(dict.fromkeys(np.flatnonzero(bad.any(axis=1)).tolist(), fault))
    return scaled.astype(np.int64), faults
