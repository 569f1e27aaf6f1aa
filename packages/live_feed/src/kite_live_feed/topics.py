"""The topics that the bridge writes, and how its records are framed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TICKS: Final = "ticks"
TICKS_DLQ: Final = "ticks.dlq"
FEED_EVENTS: Final = "feed.events"
BARS: Final = "bars"
ORDERS: Final = "orders.updates"
SHARDS: Final = "bridge.shards"
"""Its partitions stand for shards; it holds no records."""


@dataclass(frozen=True)
class Topics:
    """Where the bridge publishes; tests and replays give names of their own."""

    ticks: str = TICKS
    dead: str = TICKS_DLQ
    events: str = FEED_EVENTS
    bars: str = BARS
    """The live bridge makes no bars; only the smoke writes here."""
    orders: str = ORDERS
    """Order postbacks, where a person wants them published."""

    @property
    def subjects(self) -> dict[str, str]:
        """Topic → the contract of what the live bridge writes there, orders left out."""
        return {self.ticks: "tick", self.events: "feed_event"}

    @property
    def names(self) -> tuple[str, str, str]:
        """Those of the live bridge, for checks at the start."""
        return (self.ticks, self.dead, self.events)
