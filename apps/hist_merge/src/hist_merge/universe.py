"""The instruments that are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from bars_store.bars import BarInstrument


@dataclass(frozen=True)
class Listed:
    """An instrument as it was listed on the days in question."""

    instrument: BarInstrument
    segment: str
    """The segment of the session calendar: NSE, NFO, CDS, MCX, …"""
    token: int | None = None
    """Kite's instrument token on these days; None when it is not known (files need none)."""
