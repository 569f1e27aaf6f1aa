"""Instrument dumps for tests: rows as Kite writes them, and tables of the history."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa  # type: ignore[import-untyped]

from kite_bars_store.instruments import SCHEMA
from kite_broker_zerodha.instrument_dump import parse

HEADER: Final = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,"
    "lot_size,instrument_type,segment,exchange"
)
IST: Final = ZoneInfo("Asia/Kolkata")


def row(
    symbol: str,
    number: int,
    *,
    name: str = "",
    expiry: date | str = "",
    strike: str = "0",
    tick: str = "0.05",
    lot: int = 1,
    kind: str = "EQ",
    exchange: str = "NSE",
) -> str:
    """One line; the token is that of ``number`` in the exchange's segment."""
    low = {"NSE": 1, "NFO": 2, "CDS": 3, "BFO": 5, "MCX": 7}[exchange]
    segment = exchange if kind == "EQ" else f"{exchange}-{'FUT' if kind == 'FUT' else 'OPT'}"
    quoted = f'"{name}"' if name else ""
    return (
        f"{number << 8 | low},{number},{symbol},{quoted},0,{expiry},{strike},{tick},{lot},{kind},"
        f"{segment},{exchange}"
    )


def option(
    underlying: str, expiry: date, strike: str, kind: str, number: int, *, exchange: str = "NFO"
) -> str:
    """An option; its symbol says less than its columns, as weekly ones do."""
    symbol = f"{underlying}{expiry:%y%m%d}{strike}{kind}"
    return row(
        *(symbol, number),
        name=underlying,
        expiry=expiry,
        strike=strike,
        lot=65,
        kind=kind,
        exchange=exchange,
    )


def future(underlying: str, expiry: date, number: int, *, exchange: str = "NFO") -> str:
    symbol = f"{underlying}{expiry:%y%b}FUT".upper()
    return row(
        symbol, number, name=underlying, expiry=expiry, lot=65, kind="FUT", exchange=exchange
    )


def dump(*rows: str, header: str = HEADER) -> bytes:
    return "".join(f"{line}\n" for line in (header, *rows)).encode()


def table(*rows: str) -> pa.Table:
    """The rows as the history gives them."""
    return (
        parse(dump(*rows), date(2026, 1, 1))
        .table.cast(SCHEMA)
        .sort_by([("exchange", "ascending"), ("tradingsymbol", "ascending")])
    )


def weeks(first: date, count: int) -> list[date]:
    """Days a week apart."""
    return [first + timedelta(weeks=number) for number in range(count)]
