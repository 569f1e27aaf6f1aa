"""What is on its way to Kafka: one entry a journal chunk, finished in the order it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kite_kafka_io.dead_letters import Headers
from kite_kafka_io.delivery import Delivery
from kite_kafka_io.errors import QueueFull, RecordTooLarge, UnknownTopic
from kite_live_feed.counters import Counters
from kite_live_feed.journal import Position


@dataclass(frozen=True)
class Content:
    """What a side record holds, for putting it aside."""

    key: bytes | None
    value: bytes
    headers: Headers


@dataclass
class SideRecord:
    """A dead letter or an event: sent on its own, and again until Kafka has acknowledged it.

    Ticks must keep their order, so a failed tick makes the whole producer start over. Side records
    have no order to keep; a topic that is missing for them must not repeat the ticks. One that is
    refused for good is put ``aside``: the position in the journal must not wait for it for ever.
    """

    send: Callable[[Delivery], None]
    topic: str
    content: Callable[[], Content]
    reason: str | None = None
    """A dead letter's reason; None for an event."""
    delivery: Delivery = field(default_factory=Delivery)
    refused_since_s: float | None = None
    """When Kafka first refused it, on the monotonic clock; None while it has not."""
    aside: bool = False
    no_room: bool = False
    """The last attempt was not taken for want of room, which says nothing of the record."""

    def attempt(self) -> None:
        """Send it, forgetting an earlier failure. Raises ProducerFatal."""
        self.delivery = Delivery()
        self.no_room = False
        try:
            self.send(self.delivery)
        except (QueueFull, RecordTooLarge, UnknownTopic) as refused:
            self.no_room = isinstance(refused, QueueFull)
            self.delivery.error = str(refused)

    @property
    def failed(self) -> bool:
        """The last attempt failed, and nobody has put it aside."""
        return self.delivery.done and self.delivery.error is not None and not self.aside


@dataclass
class ChunkInFlight:
    """One chunk of the journal whose records have been handed to the producer."""

    position: Position
    """Where the acknowledged position moves to when the chunk is done."""
    delivery: Delivery = field(default_factory=Delivery)
    side: list[SideRecord] = field(default_factory=list)
    ticks: int = 0
    packets: int = 0
    oldest_recv_ns: int = 0
    frames: int = 0
    newest_ns: dict[int, int] = field(default_factory=dict)
    """Shard → receive time of its last frame here; kept where shards change hands."""

    @property
    def done(self) -> bool:
        """True when Kafka has acknowledged every record of the chunk, those aside excepted."""
        return self.delivery.ok and all(each.aside or each.delivery.ok for each in self.side)

    def failed_side_records(self) -> list[SideRecord]:
        """The side records whose last attempt failed."""
        return [each for each in self.side if each.failed]

    def book(self, counters: Counters, now_ns: int) -> None:
        """Enter the acknowledged chunk in the bridge's books."""
        counters.packets_decoded += self.packets
        counters.ticks_acked += self.ticks
        for each in self.side:
            if each.aside:
                continue
            if each.reason is None:
                counters.events_acked += 1
            else:
                counters.dead_acked += 1
                counters.dead_by_reason[each.reason] += 1
        if self.oldest_recv_ns:
            counters.last_ack_latency_ns = max(0, now_ns - self.oldest_recv_ns)
            counters.latency.observe(counters.last_ack_latency_ns / 1e9, self.frames)
