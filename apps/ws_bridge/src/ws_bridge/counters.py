"""The bridge's own books: plain counters that metrics, the live view and the ledger read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Counts since the process started; every one only rises, but for the gauges at the end."""

    frames_received: int = 0
    bytes_received: int = 0
    frames_journaled: int = 0
    packets_journaled: int = 0
    frames_lost: int = 0
    """Frames given up because the journal was full: counted, announced, never silent."""
    packets_decoded: int = 0
    ticks_enqueued: int = 0
    dead_enqueued: int = 0
    ticks_acked: int = 0
    dead_acked: int = 0
    events_journaled: int = 0
    events_by_type: Counter[str] = field(default_factory=Counter)
    events_acked: int = 0
    producer_restarts: int = 0
    journal_damage: int = 0
    reconnects: int = 0
    text_messages: Counter[str] = field(default_factory=Counter)
    dead_by_reason: Counter[str] = field(default_factory=Counter)
    gaps_opened: int = 0
    gaps_closed: int = 0
    session_packets: dict[int, int] = field(default_factory=dict)
    """feed_session → packets numbered so far, for every session of this process."""

    in_flight: int = 0
    journal_backlog_bytes: int = 0
    shards_connected: int = 0
    auth_expired: bool = False
    last_ack_latency_ns: int = 0
