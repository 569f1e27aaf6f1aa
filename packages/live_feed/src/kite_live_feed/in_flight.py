"""What is on its way to Kafka: one entry a journal chunk, finished in the order it was read."""

from __future__ import annotations

from dataclasses import dataclass, field

from kite_kafka_io.dead_letters import Headers
from kite_kafka_io.producer import Delivery
from kite_live_feed.counters import Counters
from kite_live_feed.journal import Position


@dataclass(slots=True)
class SideRecord:
    """A dead letter or an event: what travels beside the ticks, by a producer of its own."""

    chunk: ChunkInFlight
    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = field(default_factory=list)
    reason: str | None = None
    """A dead letter's reason; None for an event."""
    delivery: Delivery = field(default_factory=Delivery)
    """Of the last attempt."""
    alone: bool = False
    """It was refused as unfit, perhaps because of others in its batch: it is sent by itself now."""


@dataclass
class ChunkInFlight:
    """One chunk of the journal: its ticks have been handed to the producer, or Kafka has them."""

    position: Position
    """Where the acknowledged position moves to when the chunk is done."""
    delivery: Delivery = field(default_factory=Delivery)
    side: list[SideRecord] = field(default_factory=list)
    """They are sent when Kafka has the ticks, so that publishing again does not repeat them."""
    side_left: int = 0
    """Those that Kafka has not acknowledged and that are not put aside."""
    ticks: int = 0
    packets: int = 0
    oldest_recv_ns: int = 0
    frames: int = 0
    newest_ns: dict[int, int] = field(default_factory=dict)
    """Shard → receive time of its last frame here; kept where shards change hands."""

    def book(self, counters: Counters, now_ns: int) -> None:
        counters.packets_decoded += self.packets
        counters.ticks_acked += self.ticks
        if self.oldest_recv_ns:
            counters.last_ack_latency_ns = max(0, now_ns - self.oldest_recv_ns)
            counters.latency.observe(counters.last_ack_latency_ns / 1e9, self.frames)
