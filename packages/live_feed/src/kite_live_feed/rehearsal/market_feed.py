"""The seeded market and its faults as frames and session events, without sockets or clocks (pure).

The same seed and script give the same frames at the same times. What must come out of the bridge is
counted from the script, not from the decoder.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from kite_broker_zerodha.packet_records import packet_record
from kite_broker_zerodha.packets import PacketKind, Segment, price_scale_of, segment_of
from kite_broker_zerodha.session.events import (
    AuthExpired,
    AuthRestored,
    Connected,
    Disconnected,
    FeedSessions,
    GapCause,
    GapClosed,
    GapOpened,
    SessionEvent,
    Stale,
    Subscribed,
    TextMessage,
)
from kite_broker_zerodha.subscriptions import Plan
from kite_contracts.reasons import ReasonCode
from kite_contracts.tick_batch import TickMode
from kite_live_feed.rehearsal.demo import REASONS
from kite_simulator import Fault, FaultKind, Market
from kite_simulator.faults import Outgoing, spoil
from kite_simulator.market import START_EPOCH_S, cut

NS: Final = 1_000_000_000
FRAME_PACKETS: Final = 30
TICKS_A_SECOND: Final = 100
"""The market's own time, so that a smoke of thousands of ticks spans minutes of bars."""
SILENCE_S: Final = 5
"""What the watchdog would wait before it gives a half-open connection up."""
RECONNECT_S: Final = 2

_BREAKS: Final = {
    FaultKind.DROP: GapCause.DISCONNECTED,
    FaultKind.HALF_OPEN: GapCause.SILENT,
    FaultKind.FORBID: GapCause.AUTH_EXPIRED,
}


@dataclass(frozen=True)
class Frame:
    """One frame as it would arrive."""

    shard: int
    payload: bytes
    ts_recv_ns: int


@dataclass
class Expected:
    """What the script must cause, whatever the bridge does."""

    frames: int = 0
    packets: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    intended: dict[tuple[int, int], ReasonCode] = field(default_factory=dict)
    """(feed session, feed seq) of each faulty packet → the reason that it must have."""
    _session: int = 0
    _next_seq: int = 0

    def connected(self, feed_session: int) -> None:
        """A new feed session: its packets are numbered from 0."""
        self._session, self._next_seq = feed_session, 0

    def sent(self, outgoing: Outgoing) -> None:
        """One frame more; its faulty packets follow the good ones."""
        self.frames += 1
        self.packets += outgoing.packets.total() + outgoing.bad.total()
        self._next_seq += outgoing.packets.total()
        for name, count in outgoing.bad.items():
            self.reasons[str(REASONS[name])] += count
            for _ in range(count):
                self.intended[self._session, self._next_seq] = REASONS[name]
                self._next_seq += 1


class SmokeClock:
    """Virtual time: only the script moves it."""

    def __init__(self, start_ns: int) -> None:
        self.ns = start_ns

    def now_ns(self) -> int:
        return self.ns

    def monotonic_s(self) -> float:
        return self.ns / NS

    async def sleep(self, seconds: float) -> None:
        self.ns += int(seconds * NS)


class SmokeFeed:
    """Iterate for frames and session events in order; ``expected`` and ``bars`` fill meanwhile."""

    def __init__(self, plan: Plan, ticks: int, seed: int, script: tuple[Fault, ...]) -> None:
        self.expected = Expected()
        self.clock = SmokeClock(START_EPOCH_S * NS)
        self.bars = BarBuilder()
        self._market = Market(seed)
        self._plan = plan
        self._ticks = ticks
        self._script = {fault.at_frame: fault for fault in script}
        self._noise = np.random.Generator(np.random.PCG64((seed, 2)))
        self._feed_sessions = FeedSessions()
        self._gap: GapOpened | None = None

    def __iter__(self) -> Iterator[Frame | SessionEvent]:
        modes = dict(self._plan.shards[0])
        tokens = list(modes)
        self._market.add(tokens)
        yield from self._connect()
        sent = number = 0
        while sent < self._ticks:
            count = min(FRAME_PACKETS, self._ticks - sent, len(tokens))
            chosen = [tokens[(sent + place) % len(tokens)] for place in range(count)]
            now_s = (self.clock.ns - START_EPOCH_S * NS) / NS
            whole = self._market.advance(chosen, now_s)
            packets = [
                cut(packet, modes[token]) for token, packet in zip(chosen, whole, strict=True)
            ]
            self.bars.add(packets, self.clock.ns)
            sent += count
            number += 1
            yield from self._deliver(packets, self._script.get(number))
            self.clock.ns += count * NS // TICKS_A_SECOND

    def _deliver(self, packets: list[bytes], fault: Fault | None) -> Iterator[Frame | SessionEvent]:
        for outgoing in spoil(fault.kind if fault else None, packets, self._noise):
            self.expected.sent(outgoing)
            yield Frame(0, outgoing.payload, self.clock.ns)
            yield from self._close_gap()
        if fault is not None:
            yield from self._afterwards(fault)

    def _afterwards(self, fault: Fault) -> Iterator[SessionEvent]:
        last_ns = self.clock.ns
        if fault.kind in _BREAKS:
            yield from self._break(fault.kind, last_ns)
        elif fault.kind is FaultKind.STALL:
            self.clock.ns += int(fault.number * NS)
            yield self._told("STALE", Stale(0, self._tokens, last_ns))
            yield self._open_gap(last_ns, GapCause.STALLED)
        elif fault.kind is FaultKind.SLOW:
            self.clock.ns += int(fault.number * NS)
        elif fault.kind is FaultKind.TEXT:
            yield TextMessage(0, "message", "the market is simulated")

    def _break(self, kind: FaultKind, last_ns: int) -> Iterator[SessionEvent]:
        if kind is FaultKind.HALF_OPEN:
            self.clock.ns += SILENCE_S * NS
        reason = f"fault script: {kind}"
        yield self._told("DISCONNECTED", Disconnected(0, self.clock.ns, 1006, reason))
        yield self._open_gap(last_ns, _BREAKS[kind])
        self.clock.ns += RECONNECT_S * NS
        if kind is FaultKind.FORBID:
            yield self._told("AUTH_EXPIRED", AuthExpired(0, self.clock.ns, reason))
            self.clock.ns += RECONNECT_S * NS
            yield self._told("AUTH_RESTORED", AuthRestored(0, self.clock.ns))
        yield from self._connect()

    def _connect(self) -> Iterator[SessionEvent]:
        session = self._feed_sessions.allocate(0, self.clock.ns)
        self.expected.connected(session)
        yield self._told("CONNECTED", Connected(0, session, self.clock.ns))
        by_mode: dict[TickMode, list[int]] = {}
        for token, mode in self._plan.shards[0].items():
            by_mode.setdefault(mode, []).append(token)
        for mode, tokens in sorted(by_mode.items()):
            yield self._told("SUBSCRIBED", Subscribed(0, tuple(tokens), mode))

    def last_tick(self) -> dict[str, Any]:
        """The newest packet of the first instrument, as a Tick record."""
        packet = self._market.packet(self._tokens[0])
        record = packet_record(packet, ts_recv_ns=self.clock.ns)
        assert record is not None, "the market makes documented packets only"
        return record

    @property
    def _tokens(self) -> tuple[int, ...]:
        return tuple(self._plan.shards[0])

    def _open_gap(self, from_ns: int, cause: GapCause) -> SessionEvent:
        self._gap = GapOpened(0, self._tokens, from_ns, cause)
        return self._told("GAP_OPENED", self._gap)

    def _close_gap(self) -> Iterator[SessionEvent]:
        gap, self._gap = self._gap, None
        if gap is not None:
            yield self._told(
                "GAP_CLOSED",
                GapClosed(0, gap.tokens, gap.from_ns, self.clock.ns, gap.cause),
            )

    def _told(self, name: str, event: SessionEvent) -> SessionEvent:
        self.expected.events[name] += 1
        return event


MINUTE_NS: Final = 60_000_000_000
SOURCE: Final = "smoke"

_LAST: Final = struct.Struct(">Ii")
_VOLUME: Final = struct.Struct(">I")
_VOLUME_AT: Final = 16


class BarBuilder:
    """Feed it the market's packets in order; ``bars`` are sorted by time and token."""

    def __init__(self) -> None:
        self._prices: dict[tuple[int, int], list[int]] = {}
        self._traded: Counter[tuple[int, int]] = Counter()
        self._volumes: dict[int, int] = {}

    def add(self, packets: list[bytes], ts_ns: int) -> None:
        """Take in unspoiled packets received at ``ts_ns``."""
        minute_ns = ts_ns // MINUTE_NS * MINUTE_NS
        for packet in packets:
            token, last = _LAST.unpack_from(packet)
            self._prices.setdefault((minute_ns, token), []).append(last)
            if len(packet) in (PacketKind.QUOTE, PacketKind.FULL):
                volume = int(_VOLUME.unpack_from(packet, _VOLUME_AT)[0])
                self._traded[minute_ns, token] += volume - self._volumes.get(token, volume)
                self._volumes[token] = volume

    def bars(self) -> list[dict[str, Any]]:
        """All bars so far, each final."""
        return [
            {
                "instrument_token": token,
                "exchange": Segment(segment_of(token)).name,
                "tradingsymbol": f"SMOKE{token >> 8}",
                "interval": "m1",
                "ts_open_ns": minute_ns,
                "price_scale": price_scale_of(token),
                "open": prices[0],
                "high": max(prices),
                "low": min(prices),
                "close": prices[-1],
                "volume": self._traded[minute_ns, token],
                "oi": None,
                "source": SOURCE,
                "is_final": True,
            }
            for (minute_ns, token), prices in sorted(self._prices.items())
        ]
