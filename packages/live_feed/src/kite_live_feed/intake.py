"""The intake: everything that arrives at the socket goes into the journal first.

It numbers the packets of each feed session, turns session events into ``FeedEvent`` records, and
makes a full journal an alarm and a counted, announced loss. What is lost is noted on the disk
(``JournalWriter.losses``) until an event reports it, by this run or the next one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from kite_broker_zerodha.frames import count_slots
from kite_broker_zerodha.session.events import (
    AuthExpired,
    AuthRestored,
    Connected,
    Disconnected,
    GapCause,
    GapClosed,
    GapOpened,
    SessionEvent,
    Stale,
    Subscribed,
    TextMessage,
)
from kite_broker_zerodha.session.orders import Order
from kite_kafka_io.breaker import BreakerState
from kite_live_feed.counters import Counters
from kite_live_feed.errors import JournalFull
from kite_live_feed.journal import JournalWriter
from kite_live_feed.journal.layout import RecordKind
from kite_live_feed.journal.losses import UnreportedGap
from kite_live_feed.journal.scan import Damage
from kite_live_feed.options import SHARDS_MAX
from kite_runtime.clock import Clock

log = structlog.get_logger()

_FRAME: Final = RecordKind.FRAME
"""A constant of the module: in Python 3.11 a member of an enum is looked up slowly."""
TEXTS_A_MINUTE: Final = 20
"""Texts of a kind that are logged or become events; more are only counted."""
ORDERS_A_MINUTE: Final = 6_000
"""Postbacks that are journaled; Kite takes 200 orders a minute of an account."""
ORDER_UPDATE: Final = "order_update"
"""The contract of a postback; the key by which the journal tells it from a feed event."""
ERROR_TEXTS_MAX: Final = 20
"""Different texts of errors that are counted apart; the rest counts as one."""
_NS_PER_MINUTE: Final = 60 * 10**9
_KEPT: Final = ("GAP", "LOSS")
"""Types of events that may use all of the room that is kept for events."""
_FIELDS: Final = ("feed_session", "from_ns", "to_ns", "cause", "detail", "count")
_LEVELS: Final = {
    "AUTH_EXPIRED": logging.ERROR,
    "BROKER_ERROR": logging.ERROR,
    "LOSS": logging.ERROR,
    "TOPIC_CHANGED": logging.ERROR,
    "DEAD_LETTERS_HIGH": logging.ERROR,
    "DISCONNECTED": logging.WARNING,
    "GAP_OPENED": logging.WARNING,
    "STALE": logging.WARNING,
}


@dataclass(kw_only=True)
class Intake:
    """The listener of the Kite sessions. Calls are quick: one append to the journal each."""

    feed: str
    writer: JournalWriter
    counters: Counters
    clock: Clock
    wake: Callable[[], None]
    tokens_of: Callable[[int], tuple[int, ...]]
    orders: bool = False
    """Journal order postbacks to be published; without it they are only counted."""
    _session: dict[int, int] = field(default_factory=dict)
    _next_seq: dict[int, int] = field(default_factory=dict)
    _last_frame_ns: dict[int, int] = field(default_factory=dict)
    _losing: bool = False
    """Frames are lost now."""
    _connected: set[int] = field(default_factory=set)
    _text_minute: int = 0
    _texts_shown: Counter[str] = field(default_factory=Counter)
    _gaps: dict[tuple[int, int], str] = field(default_factory=dict)
    """Open gaps: (shard, from_ns) → cause."""

    @property
    def connected(self) -> frozenset[int]:
        return frozenset(self._connected)

    def announce_stop(self) -> None:
        """Open a gap for every shard that has received; the next run closes it.

        A loss that lasts is announced too; without room even for that, the next run does it.
        """
        self.announce_loss()
        for shard, from_ns in sorted(self._last_frame_ns.items()):
            self._record("GAP_OPENED", shard, from_ns=from_ns, cause=GapCause.RESTART)

    def announce_earlier(self) -> None:
        """Report what the run before lost, and had no time or no room to report."""
        noted = self.writer.losses
        if not noted:
            return
        log.warning(
            "the run before lost frames",
            frames_lost=sum(loss.frames for loss in noted.losses.values()),
            packets=sum(loss.packets for loss in noted.losses.values()),
        )
        for gap in noted.gaps:
            if gap.to_ns is None:  # what came after it, to the restart, is the restart's gap
                gap.to_ns = max(gap.from_ns, self.clock.now_ns())
        self._announce_losses(None)

    def announce_loss(self) -> None:
        if self.writer.losses:
            self._announce_losses(self.clock.now_ns())

    def hand_over(self, shard: int) -> int | None:
        """Open the gap that the shard's next owner closes; where it begins, None without a frame.

        A gap that is open already is the one: the next owner goes on with it.
        """
        begins = [from_ns for of, from_ns in self._gaps if of == shard]
        last_ns = self._last_frame_ns.pop(shard, None)
        if begins:
            for from_ns in begins:
                del self._gaps[shard, from_ns]
            self.counters.gaps_open = Counter(self._gaps.values())
            return min(begins)
        if last_ns is not None:
            self._record("GAP_OPENED", shard, from_ns=last_ns, cause=GapCause.HANDOVER)
            self._gaps.pop((shard, last_ns), None)
            self.counters.gaps_open = Counter(self._gaps.values())
        return last_ns

    def yield_shard(self, shard: int) -> None:
        """The shard is no longer this bridge's: gone, or taken by another, whose gap event covers
        the gaps of this one."""
        self._last_frame_ns.pop(shard, None)
        for of, from_ns in list(self._gaps):
            if of == shard:
                self._close(shard, from_ns)

    def open_uncarried(self, shard: int, from_ns: int) -> None:
        """Report that no bridge carries the shard; its next owner closes the gap."""
        if (shard, from_ns) not in self._gaps:
            self._record("GAP_OPENED", shard, from_ns=from_ns, cause=GapCause.HANDOVER)

    def _close(self, shard: int, from_ns: int) -> None:
        cause = self._gaps[shard, from_ns]
        now_ns = self.clock.now_ns()
        self._record("GAP_CLOSED", shard, from_ns=from_ns, to_ns=now_ns, cause=cause)

    def on_dead_letters(self, alarm: bool, state: BreakerState, since_ns: int) -> None:
        """Journal that too much becomes dead letters, or no longer does; reported with shard 0."""
        now_ns = self.clock.now_ns()
        self._record(
            "DEAD_LETTERS_HIGH" if alarm else "DEAD_LETTERS_NORMAL",
            0,
            ts_ns=now_ns,
            from_ns=max(0, since_ns),
            to_ns=None if alarm else now_ns,
            cause=state.reason,
            detail=str(state),
            count=state.dead,
        )

    def on_folder_deleted(self) -> None:
        """Report that the journal had to be made again; what was in it and not read is a gap, which
        its reader reports."""
        now_ns = self.clock.now_ns()
        self._record(
            "LOSS",
            0,
            from_ns=now_ns,
            to_ns=now_ns,
            cause="journal deleted",
            detail=f"the journal folder {self.writer.directory} was deleted while the bridge ran",
        )

    def on_damage(self, damage: Damage) -> None:
        """Report what the journal does not have any more as a gap of the shard it was of, or of
        all where that is not known."""
        now_ns = self.clock.now_ns()
        to_ns = now_ns if damage.to_ns is None else damage.to_ns
        from_ns = to_ns if damage.from_ns is None else min(damage.from_ns, to_ns)
        log.error("the journal is damaged", reason=damage.cause, from_ns=from_ns, to_ns=to_ns)
        every = [shard for shard in range(SHARDS_MAX) if self.tokens_of(shard)]
        for shard in every if damage.shard is None else [damage.shard]:
            about: dict[str, Any] = {"from_ns": from_ns, "cause": "journal damaged"}
            self._record("GAP_OPENED", shard, **about, detail=damage.cause)
            self._record("GAP_CLOSED", shard, **about, detail=damage.cause, to_ns=to_ns)

    def on_topic_changed(self, detail: str) -> None:
        """Journal that the topic of ticks has another number of partitions; with shard 0."""
        self._record("TOPIC_CHANGED", 0, cause="partitions", detail=detail)

    def on_frame(self, shard: int, payload: bytes, ts_recv_ns: int) -> None:
        """Journal one binary frame; it is safe once this returns."""
        counters = self.counters
        counters.frames_received += 1
        counters.bytes_received += len(payload)
        packets = count_slots(payload)
        session = self._session[shard]
        first_seq = self._next_seq[shard]
        try:
            self.writer.append(_FRAME, shard, payload, ts_recv_ns, session, first_seq)
        except JournalFull as full:
            self._lose(shard, packets, ts_recv_ns, full)
            return
        self._next_seq[shard] = first_seq + packets
        self._last_frame_ns[shard] = ts_recv_ns
        counters.frames_journaled += 1
        counters.packets_journaled += packets
        counters.session_packets[session] = first_seq + packets
        if self.writer.losses:
            self._room_again(ts_recv_ns)
        self.wake()

    def on_event(self, event: SessionEvent) -> None:
        match event:
            case Connected():
                self._session[event.shard] = event.feed_session
                self._next_seq[event.shard] = 0
                self.counters.session_packets[event.feed_session] = 0
                self._connected.add(event.shard)
                self._record("CONNECTED", event.shard, ts_ns=event.ts_ns)
            case Disconnected():
                self.counters.reconnects += event.shard in self._connected
                self._connected.discard(event.shard)
                code = None if event.code is None else str(event.code)
                self._record(
                    "DISCONNECTED", event.shard, ts_ns=event.ts_ns, cause=code, detail=event.reason
                )
            case GapOpened() | GapClosed():
                self._record(
                    "GAP_OPENED" if isinstance(event, GapOpened) else "GAP_CLOSED",
                    event.shard,
                    tokens=event.tokens,
                    from_ns=event.from_ns,
                    to_ns=None if isinstance(event, GapOpened) else event.to_ns,
                    cause=event.cause,
                )
            case Subscribed():
                mode = event.mode.name.lower()
                self._record("SUBSCRIBED", event.shard, tokens=event.tokens, detail=mode)
            case Stale():
                self._record("STALE", event.shard, tokens=event.tokens, from_ns=event.from_ns)
            case AuthExpired():
                self.counters.auth_expired = True
                self.counters.auth_problem = event.detail
                self._record("AUTH_EXPIRED", event.shard, ts_ns=event.ts_ns, detail=event.detail)
            case AuthRestored():
                self.counters.auth_expired = False
                self._record("AUTH_RESTORED", event.shard, ts_ns=event.ts_ns)
            case TextMessage():
                self._text(event)

    def _text(self, event: TextMessage) -> None:
        """Count it; an error is an event, a message is logged: some of each kind a minute."""
        counters = self.counters
        counters.text_messages[event.kind] += 1
        text = event.text or "(not a plain text)"
        if event.kind == "error":
            known = text in counters.broker_errors
            named = known or len(counters.broker_errors) < ERROR_TEXTS_MAX
            counters.broker_errors[text if named else "other"] += 1
        minute = self.clock.now_ns() // _NS_PER_MINUTE
        if minute != self._text_minute:
            self._text_minute = minute
            self._texts_shown.clear()
        self._texts_shown[event.kind] += 1
        if event.order is not None and self.orders:
            self._order(event.shard, event.order)
        if self._texts_shown[event.kind] > TEXTS_A_MINUTE:
            return
        if event.kind == "error":
            self._record("BROKER_ERROR", event.shard, detail=text)
        elif event.kind == "message":
            log.info("message from Kite", kind=event.kind, data=text)

    def _order(self, shard: int, order: Order) -> None:
        """Journal a postback; no log line holds any of it."""
        if self._texts_shown["order"] > ORDERS_A_MINUTE:
            return
        ts_ns = self.clock.now_ns()
        update = {"feed": self.feed, "shard": shard, "ts_recv_ns": ts_ns, **order}
        content = orjson.dumps({ORDER_UPDATE: update})
        try:
            self.writer.append(RecordKind.EVENT, shard, content, ts_ns, 0, 0)
        except JournalFull:
            log.error("the journal is full: an order update is not published", shard=shard)
            return
        self.counters.events_journaled += 1
        self.wake()

    def _lose(self, shard: int, packets: int, ts_recv_ns: int, full: JournalFull) -> None:
        self.counters.frames_lost += 1
        self.counters.packets_lost += packets
        if not self._losing:
            self._losing = True
            log.error("the journal is full: frames are being lost", reason=str(full))
        self.writer.losses.lose(shard, ts_recv_ns, packets)

    def _room_again(self, now_ns: int) -> None:
        noted = self.writer.losses
        if self._losing:
            self._losing = False
            log.warning(
                "the journal has room again",
                frames_lost=sum(loss.frames for loss in noted.losses.values()),
                packets=sum(loss.packets for loss in noted.losses.values()),
            )
        self._announce_losses(now_ns)

    def _announce_losses(self, now_ns: int | None) -> None:
        """Announce every loss, and every gap that found no room; what finds none now stays noted.

        The gap of a loss ends ``now_ns``, or with the last frame that was lost.
        """
        noted = self.writer.losses
        for shard, loss in sorted(noted.losses.items()):
            to_ns = max(loss.to_ns, now_ns or 0)
            about: dict[str, Any] = {"from_ns": loss.from_ns, "cause": "journal full"}
            if (
                self._record("GAP_OPENED", shard, **about, again=True)
                and self._record("GAP_CLOSED", shard, **about, to_ns=to_ns, again=True)
                and self._record("LOSS", shard, **about, to_ns=to_ns, count=loss.frames)
            ):
                del noted.losses[shard]
        noted.gaps = [gap for gap in noted.gaps if not self._report(gap)]
        noted.save()

    def _report(self, gap: UnreportedGap) -> bool:
        """Whether the journal has all of the gap that is known; its end may be still to come."""
        about: dict[str, Any] = {"from_ns": gap.from_ns, "cause": gap.cause, "again": True}
        if not gap.opened and not self._record("GAP_OPENED", gap.shard, **about):
            return False
        gap.opened = True
        return gap.to_ns is None or self._record("GAP_CLOSED", gap.shard, to_ns=gap.to_ns, **about)

    def _record(
        self, kind: str, shard: int, *, ts_ns: int | None = None, again: bool = False, **fields: Any
    ) -> bool:
        """Journal one feed event; False when there was no room. Then only the log has it, but a gap
        is noted, unless it is noted already (``again``)."""
        if fields.get("to_ns") is not None:  # the clock may have been set back
            fields["to_ns"] = max(fields["to_ns"], fields.get("from_ns") or 0)
        if kind.startswith("GAP"):
            self._follow_gap(kind, shard, fields)
        record = feed_event(
            self.feed,
            kind,
            self.clock.now_ns() if ts_ns is None else ts_ns,
            shard,
            feed_session=self._session.get(shard),
            **fields,
        )
        self._log(record)
        try:
            if not kind.startswith(_KEPT) and self.writer.full and self.writer.reserve.is_scarce:
                raise JournalFull(self.writer.full)
            self.writer.append(RecordKind.EVENT, shard, orjson.dumps(record), record["ts_ns"], 0, 0)
        except JournalFull:
            log.error("the journal is full: a feed event is only in this log", **record)
            if not again:
                self._note_gap(kind, shard, fields)
            return False
        self.counters.events_journaled += 1
        self.counters.feed_events[kind] += 1
        self.counters.gaps_opened += kind == "GAP_OPENED"
        self.counters.gaps_closed += kind == "GAP_CLOSED"
        self.wake()
        return True

    def _note_gap(self, kind: str, shard: int, fields: dict[str, Any]) -> None:
        noted = self.writer.losses
        if kind == "GAP_OPENED":
            noted.open_gap(shard, fields["from_ns"], str(fields["cause"]))
        elif kind == "GAP_CLOSED":
            noted.close_gap(shard, fields["from_ns"], fields["to_ns"], str(fields["cause"]))

    def _follow_gap(self, kind: str, shard: int, fields: dict[str, Any]) -> None:
        if not fields.get("tokens"):
            fields["tokens"] = self.tokens_of(shard)
        gap = (shard, fields["from_ns"])
        if kind == "GAP_OPENED":
            self._gaps[gap] = str(fields["cause"])
        else:
            self._gaps.pop(gap, None)
        self.counters.gaps_open = Counter(self._gaps.values())

    def _log(self, record: dict[str, Any]) -> None:
        """One line for each event; of the tokens only their number."""
        shown = {
            name: value
            for name, value in record.items()
            if value is not None and name not in ("feed", "tokens", "ts_ns", "gap_id")
        }
        level = _LEVELS.get(record["type"], logging.INFO)
        log.log(level, "feed event", tokens=len(record["tokens"]), **shown)


def feed_event(
    feed: str, kind: str, ts_ns: int, shard: int, *, tokens: tuple[int, ...] = (), **fields: Any
) -> dict[str, Any]:
    """One record of ``feed.events``, whose fields are None where they are not given. ``gap_id``
    joins a gap's opening, closing and healing."""
    from_ns = fields.get("from_ns")
    in_gap = kind in ("GAP_OPENED", "GAP_CLOSED") and from_ns is not None
    return {
        "feed": feed,
        "type": kind,
        "ts_ns": ts_ns,
        "shard": shard,
        "tokens": list(tokens),
        **{name: fields.get(name) for name in _FIELDS},
        "gap_id": f"{feed}-{shard}-{from_ns}" if in_gap else None,
    }
