"""Kite's REST API, by way of the official client.

Reading order: ``limits``, ``retries``, ``answers``, ``transport``, ``client``.
"""

from broker_zerodha.rest.client import KITE_ROOT, KiteRest, Profile
from broker_zerodha.rest.limits import CALLS_A_SECOND, CallKind, Pace
from broker_zerodha.rest.retries import Retries

__all__ = ["CALLS_A_SECOND", "KITE_ROOT", "CallKind", "KiteRest", "Pace", "Profile", "Retries"]
