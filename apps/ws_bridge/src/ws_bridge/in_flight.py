"""What is on its way to Kafka: one entry a journal chunk, finished in the order it was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from kafka_io.delivery import Delivery
from kafka_io.errors import QueueFull, UnknownTopic
from ws_bridge.counters import Counters
from ws_bridge.journal import Position


@dataclass
class SideRecord:
    """A dead letter or an event: sent on its own, and again until Kafka has acknowledged it.

    Ticks must keep their order, so a failed tick makes the whole producer start over. Side records
    have no order to keep; a topic that is missing for them must not repeat the ticks.
    """

    send: Callable[[Delivery], None]
    delivery: Delivery = field(default_factory=Delivery)

    def attempt(self) -> None:
        """Send it, forgetting an earlier failure. Raises ProducerFatal."""
        self.delivery = Delivery()
        try:
            self.send(self.delivery)
        except (QueueFull, UnknownTopic) as refused:
            self.delivery.error = str(refused)


@dataclass
class ChunkInFlight:
    """One chunk of the journal whose records have been handed to the producer."""

    position: Position
    """Where the acknowledged position moves to when the chunk is done."""
    delivery: Delivery = field(default_factory=Delivery)
    side: list[SideRecord] = field(default_factory=list)
    ticks: int = 0
    packets: int = 0
    events: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    oldest_recv_ns: int = 0
    frames: int = 0

    @property
    def done(self) -> bool:
        """True when Kafka has acknowledged every record of the chunk."""
        return self.delivery.ok and all(each.delivery.ok for each in self.side)

    def failed_side_records(self) -> list[SideRecord]:
        """The side records whose last attempt failed."""
        return [
            each for each in self.side if each.delivery.done and each.delivery.error is not None
        ]

    def book(self, counters: Counters, now_ns: int) -> None:
        """Enter the acknowledged chunk in the bridge's books."""
        dead = self.reasons.total()
        counters.packets_decoded += self.packets
        counters.ticks_acked += self.ticks
        counters.dead_acked += dead
        counters.events_acked += self.events
        counters.dead_by_reason.update(self.reasons)
        if self.oldest_recv_ns:
            counters.last_ack_latency_ns = max(0, now_ns - self.oldest_recv_ns)
            counters.latency.observe(counters.last_ack_latency_ns / 1e9, self.frames)
