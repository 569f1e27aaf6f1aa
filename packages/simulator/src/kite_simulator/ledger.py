"""What the simulator sent, and what a bridge without loss makes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kite_broker_zerodha.packets import PacketKind
from kite_simulator.faults import Fault, Outgoing


@dataclass(slots=True)
class ConnectionLedger:
    """One connection's share; ``ended`` is how, None while it is open."""

    number: int
    frames: int = 0
    rows: int = 0
    ended: str | None = None


@dataclass(slots=True)
class Ledger:
    """Counts of everything that a client can have received.

    A frame counts once it is handed to the connection of a client that reads. ``rows`` = ``ticks``
    + faulty rows is what a journal of these frames decodes to; ``ticks`` are the good ones.
    """

    frames: int = 0
    bytes: int = 0
    cached: int = 0
    """Good packets that answered a subscription; the others are moves of the market."""
    packets: Counter[PacketKind] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    heartbeats: int = 0
    texts: int = 0
    refused: int = 0
    """Handshakes answered with HTTP 403 or 429."""
    faults: list[Fault] = field(default_factory=list)
    connections: list[ConnectionLedger] = field(default_factory=list)

    @property
    def ticks(self) -> int:
        return self.packets.total()

    @property
    def rows(self) -> int:
        return self.ticks + self.bad.total()

    def sent(self, frame: Outgoing, connection: ConnectionLedger, cached: bool = False) -> None:
        """A frame was handed to this connection."""
        rows = frame.packets.total() + frame.bad.total()
        self.frames += 1
        self.bytes += len(frame.payload)
        self.packets.update(frame.packets)
        self.bad.update(frame.bad)
        if cached:
            self.cached += frame.packets.total()
        connection.frames += 1
        connection.rows += rows

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; equal for equal seeds, scripts and subscriptions, heartbeats aside."""
        return {
            "frames": self.frames,
            "bytes": self.bytes,
            "rows": self.rows,
            "ticks": self.ticks,
            "cached": self.cached,
            "packets": {kind.name.lower(): self.packets[kind] for kind in sorted(self.packets)},
            "bad": dict(sorted(self.bad.items())),
            "texts": self.texts,
            "refused": self.refused,
            "heartbeats": self.heartbeats,
            "faults": [f"{fault.at_frame} {fault.kind}" for fault in self.faults],
            "connections": len(self.connections),
        }
