"""Kite's instrument master: bytes in, rows of the Instrument contract and refused rows out. Pure.

Reading order: ``text`` (what is no master at all), ``columns`` (all rows at once), ``rows`` (the
few that need a reason), ``parse``.
"""

from kite_broker_zerodha.instrument_dump.parse import Dump, parse
from kite_broker_zerodha.instrument_dump.rows import CONTRACT, KITE, RefusedRow
from kite_broker_zerodha.instrument_dump.text import DUMP_BYTES_MAX, unpacked

__all__ = ["CONTRACT", "DUMP_BYTES_MAX", "KITE", "Dump", "RefusedRow", "parse", "unpacked"]
