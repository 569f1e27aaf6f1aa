"""One-minute bars of the seeded market, as records of the ``Bar`` contract (pure)."""

from __future__ import annotations

import struct
from typing import Any, Final

from kite_broker_zerodha.packets import PacketKind, Segment, price_scale_of, segment_of

MINUTE_NS: Final = 60_000_000_000
SOURCE: Final = "smoke"

_LAST: Final = struct.Struct(">Ii")
_VOLUME: Final = struct.Struct(">I")
_VOLUME_AT: Final = 16


class BarBuilder:
    """Feed it the market's packets in order; ``bars`` are sorted by time and token."""

    def __init__(self) -> None:
        self._bars: dict[tuple[int, int], dict[str, Any]] = {}
        self._volumes: dict[int, int] = {}

    def add(self, packets: list[bytes], ts_ns: int) -> None:
        """Take in unspoiled packets received at ``ts_ns``."""
        minute_ns = ts_ns // MINUTE_NS * MINUTE_NS
        for packet in packets:
            token, last = _LAST.unpack_from(packet)
            bar = self._bars.get((minute_ns, token))
            if bar is None:
                bar = self._bars[minute_ns, token] = _new_bar(token, minute_ns, last)
            bar["high"] = max(bar["high"], last)
            bar["low"] = min(bar["low"], last)
            bar["close"] = last
            bar["volume"] += self._traded(token, packet)

    def bars(self) -> list[dict[str, Any]]:
        """All bars so far, each final."""
        return [bar for _, bar in sorted(self._bars.items())]

    def _traded(self, token: int, packet: bytes) -> int:
        if len(packet) not in (PacketKind.QUOTE, PacketKind.FULL):
            return 0
        volume = int(_VOLUME.unpack_from(packet, _VOLUME_AT)[0])
        before = self._volumes.get(token, volume)
        self._volumes[token] = volume
        return volume - before


def _new_bar(token: int, minute_ns: int, price: int) -> dict[str, Any]:
    return {
        "instrument_token": token,
        "exchange": Segment(segment_of(token)).name,
        "tradingsymbol": f"SMOKE{token >> 8}",
        "interval": "m1",
        "ts_open_ns": minute_ns,
        "price_scale": price_scale_of(token),
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": 0,
        "oi": None,
        "source": SOURCE,
        "is_final": True,
    }
