"""What a bridge is made of, and who may stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from kite_broker_zerodha.session.credentials import CredentialSource
from kite_broker_zerodha.session.options import SessionOptions
from kite_kafka_io.breaker import BreakerLimits
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.topics import Topics
from kite_runtime.clock import Clock


class Group(Protocol):
    """Who shares out the shards among the bridges of a feed."""

    @property
    def confirmed(self) -> bool:
        """Whether the group says that the shards are still this bridge's."""

    @property
    def uncarried(self) -> AbstractSet[int]:
        """Shards that it gave and for which there is no connection."""

    def problems(self) -> list[str]:
        """What is wrong with it, one sentence each."""


@dataclass(frozen=True)
class BridgeParts:
    """What a bridge is made of; the commands put it together."""

    feed: str
    endpoint: str
    credentials: CredentialSource
    kafka: KafkaSettings
    framing: Framing
    topics: Topics
    session_options: SessionOptions
    clock: Clock
    topic_problems: Mapping[str, str] = field(default_factory=dict)
    """Topic of dead letters or events → why nothing can be written to it, as found at the start."""
    dead_letter_limits: BreakerLimits = field(default_factory=BreakerLimits)
    shards: int = 0
    """The universe is shared out in so many; 0 for a bridge that carries all of its plan."""
