"""Kite's REST API, by way of the official client.

Reading order: ``limits``, ``retries``, ``answers``, ``transport``, ``candles``, ``client``. The
limits of a span are in ``kite_broker_zerodha.spans``, because this package loads kiteconnect.
"""

from kite_broker_zerodha.rest.candles import (
    NO_OI,
    CandleFault,
    Candles,
    RefusedCandle,
    parse_candles,
)
from kite_broker_zerodha.rest.client import KITE_ROOT, KiteRest, Profile, open_client
from kite_broker_zerodha.rest.limits import CALLS_A_SECOND, CallKind, Pace, host_pace
from kite_broker_zerodha.rest.retries import Retries
from kite_broker_zerodha.spans import DAYS_A_CALL, spans

__all__ = [
    "CALLS_A_SECOND",
    "DAYS_A_CALL",
    "KITE_ROOT",
    "NO_OI",
    "CallKind",
    "CandleFault",
    "Candles",
    "KiteRest",
    "Pace",
    "Profile",
    "RefusedCandle",
    "Retries",
    "host_pace",
    "open_client",
    "parse_candles",
    "spans",
]
