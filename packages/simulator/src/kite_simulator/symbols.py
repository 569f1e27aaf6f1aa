"""Names for the simulator's master: public symbols, made-up ones to fill it, and contracts.

Contracts end on the weekdays of 2026 (NSE Tuesday, BSE Thursday); holidays are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from kite_broker_zerodha.packets import Segment

MONTHS: Final = ("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC").split()
_WEEKLY_MONTHS: Final = "123456789OND"
TUESDAY: Final = 1
THURSDAY: Final = 3


def weeklies(day: date, weekday: int, count: int) -> list[date]:
    """The next ``count`` days of this weekday (Monday is 0), ``day`` itself included."""
    first = day + timedelta(days=(weekday - day.weekday()) % 7)
    return [first + timedelta(weeks=number) for number in range(count)]


def monthlies(day: date, weekday: int, count: int) -> list[date]:
    """The last such weekday of this month, if it is still to come, and of the following ones."""
    found: list[date] = []
    first = day.replace(day=1)
    while len(found) < count:
        following = (first + timedelta(days=32)).replace(day=1)
        last = following - timedelta(days=1)
        last -= timedelta(days=(last.weekday() - weekday) % 7)
        if last >= day:
            found.append(last)
        first = following
    return found


def contract_name(underlying: str, expiry: date, suffix: str) -> str:
    """``NIFTY26AUG`` + suffix when the expiry is its weekday's last of the month, as Kite names
    monthly contracts; else ``NIFTY`` + year + one character for the month + day."""
    if (expiry + timedelta(weeks=1)).month != expiry.month:
        return f"{underlying}{expiry:%y}{MONTHS[expiry.month - 1]}{suffix}"
    return f"{underlying}{expiry:%y}{_WEEKLY_MONTHS[expiry.month - 1]}{expiry:%d}{suffix}"


INDICES: Final = (
    (256265, "NIFTY 50", "NSE"),
    (260105, "NIFTY BANK", "NSE"),
    (264969, "INDIA VIX", "NSE"),
    (257801, "NIFTY FIN SERVICE", "NSE"),
    (288009, "NIFTY MID SELECT", "NSE"),
    (259849, "NIFTY IT", "NSE"),
    (265, "SENSEX", "BSE"),
    (274441, "BANKEX", "BSE"),
)
"""(instrument token, symbol, exchange)."""

KNOWN_TOKENS: Final = MappingProxyType(
    {
        "INFY": 408065,
        "RELIANCE": 738561,
        "SBIN": 779521,
        "M&M": 519937,
        "HDFCBANK": 341249,
        "TCS": 2953217,
        "ICICIBANK": 1270529,
        "BAJAJ-AUTO": 4267265,
    }
)
"""The tokens that these symbols have at Kite; the others get one from their name."""

NAMES: Final = MappingProxyType(
    {"INFY": "INFOSYS", "M&M": "MAHINDRA & MAHINDRA", "BAJAJ-AUTO": "BAJAJ AUTO", "TCS": "TCS"}
)

_LARGE: Final = (
    "ADANIENT ADANIPORTS APOLLOHOSP ASIANPAINT AXISBANK BAJAJ-AUTO BAJAJFINSV BAJFINANCE BEL "
    "BHARTIARTL CIPLA COALINDIA DRREDDY EICHERMOT ETERNAL GRASIM HCLTECH HDFCBANK HDFCLIFE "
    "HINDALCO HINDUNILVR ICICIBANK INDIGO INFY ITC JIOFIN JSWSTEEL KOTAKBANK LT M&M MARUTI "
    "MAXHEALTH NESTLEIND NTPC ONGC POWERGRID RELIANCE SBILIFE SBIN SHRIRAMFIN SUNPHARMA "
    "TATACONSUM TATASTEEL TCS TECHM TITAN TMPV TRENT ULTRACEMCO WIPRO"
).split()
_ODD: Final = "M&MFIN J&KBANK ARE&M GMRP&UI S&SPOWER NAM-INDIA GVT&D 20MICRONS 3MINDIA".split()
_SERIES: Final = ("-BE", "-SM", "-GB", "-N1")
_FILLERS: Final = 150


def stocks() -> Iterator[str]:
    """Symbols of the cash segment: large ones, odd ones, and made-up ones of several series."""
    yield from _LARGE
    yield from _ODD
    for number in range(_FILLERS):
        yield f"SIM{number:03}"
        yield f"SIM{number:03}{_SERIES[number % len(_SERIES)]}"


class Underlying(NamedTuple):
    """What has futures and options. ``strikes`` on each side of the price, ``step`` apart (None:
    by the size of the price); ``weeks`` and ``months`` are expiries of options. ``token`` is that
    of the cash instrument, 0 when the nearest future gives the price."""

    symbol: str
    segment: Segment
    token: int
    lot: int
    strikes: int = 0
    step: Decimal | None = None
    weeks: int = 0
    months: int = 0


def _of_stock(symbol: str, strikes: int) -> Underlying:
    return Underlying(symbol, Segment.NFO, KNOWN_TOKENS.get(symbol, 0), 500, strikes, months=2)


UNDERLYINGS: Final = (
    Underlying("NIFTY", Segment.NFO, 256265, 65, 30, Decimal(50), weeks=5, months=2),
    Underlying("BANKNIFTY", Segment.NFO, 260105, 30, 30, Decimal(100), months=2),
    Underlying("SENSEX", Segment.BFO, 265, 20, 20, Decimal(100), weeks=4, months=1),
    Underlying("BANKEX", Segment.BFO, 274441, 30, 10, Decimal(100), months=1),
    Underlying("USDINR", Segment.CDS, 0, 1, 12, Decimal("0.25"), months=2),
    Underlying("EURINR", Segment.CDS, 0, 1, 8, Decimal("0.25"), months=1),
    Underlying("CRUDEOIL", Segment.MCX, 0, 100, 10, months=1),
    Underlying("GOLDM", Segment.MCX, 0, 100, 10, months=1),
    Underlying("NATURALGAS", Segment.MCX, 0, 1250, 10, months=1),
    *(_of_stock(symbol, 10 if symbol in KNOWN_TOKENS else 0) for symbol in _LARGE),
)
