"""What a session tells its listener. All times are ns since the epoch (UTC), from its clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from kite_broker_zerodha.session.messages import TextKind
from kite_broker_zerodha.session.orders import Order
from kite_contracts.tick_batch import TickMode

SHARD_BITS = 4


class GapCause(StrEnum):
    """Why no data came."""

    DISCONNECTED = "disconnected"
    """The connection ended, whoever closed it."""
    SILENT = "silent"
    """No inbound byte for the limit: the connection was half-open and has been dropped."""
    STALLED = "stalled"
    """Heartbeats, but none of the ticks that were usual before."""
    CONNECT_FAILED = "connect_failed"
    """The first connection could not be made."""
    AUTH_EXPIRED = "auth_expired"
    """Kite refused the token."""
    RESTART = "restart"
    """The program itself was away."""
    HANDOVER = "handover"
    """The shard went to another program of the same feed, or came from one."""


@dataclass(frozen=True, slots=True)
class Connected:
    shard: int
    feed_session: int
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection ended (``code`` is its close code), or an attempt failed (``code`` is None).

    Attempts that fail for the same reason as the one before are not reported again.
    """

    shard: int
    ts_ns: int
    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class GapOpened:
    """No data for these tokens since ``from_ns``, the receive time of the last frame."""

    shard: int
    tokens: tuple[int, ...]
    from_ns: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class GapClosed:
    """The gap that ``GapOpened`` reported ended with the frame received at ``to_ns``."""

    shard: int
    tokens: tuple[int, ...]
    from_ns: int
    to_ns: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The messages that ask for these tokens in this mode were sent."""

    shard: int
    tokens: tuple[int, ...]
    mode: TickMode


@dataclass(frozen=True, slots=True)
class Stale:
    """The feed is alive, yet these tokens are silent for unusually long since ``from_ns``."""

    shard: int
    tokens: tuple[int, ...]
    from_ns: int


@dataclass(frozen=True, slots=True)
class AuthExpired:
    """Kite refuses the credentials, or there are none. Reported once until they work again."""

    shard: int
    ts_ns: int
    detail: str


@dataclass(frozen=True, slots=True)
class AuthRestored:
    shard: int
    ts_ns: int


@dataclass(frozen=True, slots=True)
class TextMessage:
    """An order postback, an error or a broker's message; ``text`` as in ``ServerText``."""

    shard: int
    kind: TextKind
    text: str | None
    order: Order | None = field(default=None, repr=False)
    """A postback's fields, the account's private data: never logged."""


SessionEvent = (
    Connected
    | Disconnected
    | GapOpened
    | GapClosed
    | Subscribed
    | Stale
    | AuthExpired
    | AuthRestored
    | TextMessage
)


class Listener(Protocol):
    """Where a session delivers. Both calls must be quick; what they raise ends ``run``."""

    def on_frame(self, shard: int, payload: bytes, ts_recv_ns: int) -> None:
        """A binary message that is no heartbeat, whatever its bytes."""

    def on_event(self, event: SessionEvent) -> None:
        """Something happened to the session."""


class FeedSessions:
    """Numbers for connections: the start in ns, its low 4 bits replaced by the shard.

    Strictly increasing over all shards that share the allocator, and above ``after``, the highest
    number that an earlier run used. Pure.
    """

    def __init__(self, after: int = 0) -> None:
        self._last = after

    def allocate(self, shard: int, now_ns: int) -> int:
        if not 0 <= shard < 1 << SHARD_BITS:
            raise ValueError(f"shard {shard} does not fit {SHARD_BITS} bits")
        slot = max(now_ns >> SHARD_BITS, (self._last >> SHARD_BITS) + 1)
        self._last = slot << SHARD_BITS | shard
        return self._last
