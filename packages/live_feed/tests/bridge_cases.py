"""Frames, a clock set by hand, and the intake with a real journal, for the bridge's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import orjson

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.session.events import Connected
from kite_broker_zerodha.wire import encode_frame, encode_packet
from kite_live_feed.counters import Counters
from kite_live_feed.intake import Intake
from kite_live_feed.journal import Chunk, Journal
from kite_live_feed.options import JournalOptions

START_NS = 1_795_000_000_000_000_000
SESSION = START_NS & ~15
INFY = 408065


class HandClock:
    """Time that moves only when the test says so."""

    def __init__(self, ns: int = START_NS) -> None:
        self.ns = ns

    def now_ns(self) -> int:
        return self.ns

    def monotonic_s(self) -> float:
        return self.ns / 1e9

    async def sleep(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


def ltp(price: int, token: int = INFY) -> bytes:
    """A packet of eight bytes."""
    return encode_packet(PacketKind.LTP, {"instrument_token": token, "last_price": price})


def frame(count: int, first_price: int = 100, token: int = INFY) -> bytes:
    """A frame of ``count`` good packets of one instrument."""
    return encode_frame([ltp(first_price + number, token) for number in range(count)])


class Numbered(NamedTuple):
    """What the journal says of one frame."""

    shard: int
    session: int
    first_seq: int
    payload: bytes


class Stage:
    """An intake over a real journal, and everything that can be seen of it."""

    def __init__(
        self, folder: Path, options: JournalOptions | None = None, tokens: tuple[int, ...] = (INFY,)
    ) -> None:
        self.clock = HandClock()
        self.counters = Counters()
        self.woken = 0
        self.journal = Journal(folder / "journal", options, self.clock.now_ns)
        self.intake = Intake(
            feed="test",
            writer=self.journal.writer,
            counters=self.counters,
            clock=self.clock,
            wake=self._wake,
            tokens_of=lambda shard: tokens,
        )

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.journal.close()

    def _wake(self) -> None:
        self.woken += 1

    def connect(self, shard: int = 0, session: int = SESSION) -> None:
        self.intake.on_event(Connected(shard, session + shard, self.clock.ns))

    def receive(self, payload: bytes, shard: int = 0) -> None:
        self.clock.ns += 1000
        self.intake.on_frame(shard, payload, self.clock.ns)

    def chunks(self) -> list[Chunk]:
        """Everything journaled since the last call."""
        found = []
        while (chunk := self.journal.reader.read_chunk(1 << 20)) is not None:
            found.append(chunk)
        return found


def frames_of(chunks: list[Chunk]) -> list[Numbered]:
    """The frames of chunks in the order of the journal."""
    found = []
    for chunk in chunks:
        for row in chunk.frame_rows:
            found.append(Numbered(row.shard, row.feed_session, row.first_seq, chunk.payload(row)))
    return found


def events_of(chunks: list[Chunk]) -> list[dict[str, Any]]:
    """The feed events of chunks in the order of the journal."""
    return [orjson.loads(event) for chunk in chunks for event in chunk.events]
