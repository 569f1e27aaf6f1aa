"""Bars as records of the contract, in plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kite_contracts.tick_batch import ABSENT
from kite_lake.bars.core import Ints, PartitionBars


def records(
    made: PartitionBars, bars: Ints, names: Mapping[int, tuple[str, str]]
) -> tuple[list[dict[str, Any]], list[int]]:
    """Bars of the contract, and the tokens of those that nobody has named."""
    found, unnamed = [], []
    for number, row, *bar in bars.tolist():
        token = made.tokens[row]
        name = names.get(token)
        if name is None:
            unnamed.append(token)
            continue
        (
            opens,
            first,
            high,
            low,
            close,
            _,
            _,
            volume,
            oi,
            _,
            ticks,
            version,
            flawed,
            scale,
            _,
        ) = bar
        found.append(
            {
                "instrument_token": token,
                "exchange": name[0],
                "tradingsymbol": name[1],
                "interval": made.names[number],
                "ts_open_ns": opens,
                "price_scale": scale,
                "open": first,
                "high": high,
                "low": low,
                "close": close,
                "volume": volume,
                "oi": None if oi == ABSENT else oi,
                "source": "live",
                "is_final": True,
                "version": version,
                "complete": not flawed,
                "ticks": ticks,
            }
        )
    return found, unnamed
