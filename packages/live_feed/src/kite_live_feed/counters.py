"""The bridge's counters, which metrics, the live view and the ledger read."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

LATENCY_BOUNDS_S: Final = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25),
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
"""Upper bounds of the latency histogram, in seconds; one bucket more holds what is above."""


class ShardView(NamedTuple):
    """One connection to Kite as it is now."""

    state: str
    tokens: int
    connect_attempts: int
    last_tick_ns: int | None


@dataclass
class Latency:
    """Frames by the time from their receipt to Kafka's acknowledgement."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    sum_s: float = 0.0

    def observe(self, seconds: float, frames: int) -> None:
        """This many frames took this long at most; one call a chunk, so it costs nothing a tick."""
        self.counts[bisect_left(LATENCY_BOUNDS_S, seconds)] += frames
        self.sum_s += seconds * frames


@dataclass
class Counters:
    """Counts since the process started; every one only rises, but for the gauges at the end."""

    calendar_ends_ns: int = 0
    """Midnight of the last day whose holidays are known; 0 where it is not known."""
    started_s: float = field(default_factory=time.time)
    """When this process began, in seconds since the epoch."""
    frames_received: int = 0
    bytes_received: int = 0
    frames_journaled: int = 0
    packets_journaled: int = 0
    frames_lost: int = 0
    """Frames given up because the journal was full: counted, announced, never silent."""
    packets_lost: int = 0
    """The packets in those frames."""
    frames_superseded: int = 0
    """Journaled frames that were not published, because another bridge had taken the shard."""
    rebalances: int = 0
    packets_decoded: int = 0
    ticks_published: int = 0
    dead_published: int = 0
    ticks_acked: int = 0
    dead_acked: int = 0
    events_journaled: int = 0
    feed_events: Counter[str] = field(default_factory=Counter)
    events_acked: int = 0
    side_refusals: int = 0
    """Answers of Kafka that refused a dead letter or an event; each is sent again."""
    records_refused: Counter[str] = field(default_factory=Counter)
    """Topic → dead letters and events that were refused for good and put aside in a file."""
    producer_restarts: int = 0
    journal_damage: int = 0
    reconnects: int = 0
    text_messages: Counter[str] = field(default_factory=Counter)
    broker_errors: Counter[str] = field(default_factory=Counter)
    """Text of an error that Kite sent → how often."""
    dead_letters: Counter[str] = field(default_factory=Counter)
    gaps_opened: int = 0
    gaps_closed: int = 0
    session_packets: dict[int, int] = field(default_factory=dict)
    """feed_session → packets numbered so far, for every session of this process."""

    in_flight: int = 0
    journal_backlog_bytes: int = 0
    journal_backlog_since_ns: int = 0
    """Receive time of the oldest frame on its way to Kafka; 0 when none is."""
    journal_disk_bytes: int = 0
    journal_room_bytes: int = 0
    journal_full: bool = False
    refused_bytes: int = 0
    gaps_open: Counter[str] = field(default_factory=Counter)
    """Cause → gaps that last now; replaced as a whole."""
    shards: dict[int, ShardView] = field(default_factory=dict)
    shards_connected: int = 0
    group_shards: tuple[int, ...] = ()
    """The shards that this bridge carries for its group; empty without a group."""
    group_size: int = 0
    """Into how many shards the group shares the universe; 0 without a group."""
    group_uncarried: int = 0
    """Shards that the group gave and that this bridge has no connection for."""
    group_unconfirmed: bool = False
    """The group has not confirmed the shards of this bridge: nothing is published until it does."""
    auth_expired: bool = False
    auth_problem: str = ""
    """The reason that Kite, or the reader of the token file, gave."""
    dead_letter_alarm: bool = False
    dead_letter_share: float = 0.0
    """Of the records acknowledged in the alarm's window."""
    last_ack_latency_ns: int = 0
    latency: Latency = field(default_factory=Latency)
