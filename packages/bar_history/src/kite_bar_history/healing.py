"""The feed's gaps: its events into the ledger, and which calls bring the minutes that are missing.

A minute belongs to a gap as soon as a part of it does, because the feed's own bar of that minute is
made of half its ticks. Minutes in which the segment does not trade are not asked for, and one that
lies in two gaps is fetched once. All of this but `collect_gaps` is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np

from kite_bar_history.kite_history import SETTLED_S
from kite_bar_history.live_bars import records_of
from kite_bar_history.protocol import Window
from kite_bar_history.universe import Listed
from kite_bars_store.bars import Gap
from kite_bars_store.bars.columns import Int64s
from kite_bars_store.bars.sql import nanoseconds, utc
from kite_broker_zerodha.spans import spans
from kite_contracts.sessions import IST, SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import MalformedRecord, UnknownSchema
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings

Find = Callable[[int, date], Listed | None]
"""The instrument that a token named on a day; None when nobody knows."""

GROUP: Final = "hist_merge.heal"
_STATES: Final = {"GAP_OPENED": "opened", "GAP_CLOSED": "closed"}
NO_MINUTES: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class Call:
    """One call of Kite, and the minutes of its answer that count."""

    listed: Listed
    window: Window
    minutes: Int64s

    def as_json(self, batches: Sequence[int]) -> dict[str, Any]:
        """What is noted of it when it is done."""
        first = np.diff(self.minutes, prepend=self.minutes[0] - 2 * MINUTE_NS) > MINUTE_NS
        starts = self.minutes[first] // MINUTE_NS
        ends = self.minutes[np.append(first[1:], True)] // MINUTE_NS + 1
        runs = np.stack([starts, ends], axis=1).tolist()
        return {"name": self.listed.instrument.name, "minutes": runs, "batches": list(batches)}


@dataclass
class Need:
    """What one gap lacks: minutes by instrument, by name."""

    gap: Gap
    minutes: dict[str, Int64s] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    """Tokens of which nobody knows what they named."""


@dataclass(frozen=True)
class Needs:
    """``waiting`` gaps are still open, or have ended too short a time ago."""

    gaps: tuple[Need, ...]
    waiting: tuple[Gap, ...]
    listed: Mapping[str, Listed]

    @property
    def unknown(self) -> set[int]:
        return {token for need in self.gaps for token in need.unknown}

    @property
    def minutes(self) -> int:
        """Over all instruments, each once."""
        return sum(len(each) for each in _by_name(self.gaps).values())

    def calls(self, done: Mapping[str, Any]) -> list[Call]:
        """Those that are left, by instrument and time."""
        there = _minutes_done(done)
        found = []
        for name, minutes in sorted(_by_name(self.gaps).items()):
            left = np.setdiff1d(minutes, there.get(name, NO_MINUTES), assume_unique=True)
            if not len(left):
                continue
            listed = self.listed[name]
            for since, until in spans("minute", *_ends(left)):
                inside = left[(left >= nanoseconds(since)) & (left < nanoseconds(until))]
                if len(inside):
                    window = Window([listed], "m1", *_ends(inside))
                    found.append(Call(listed, window, inside))
        return found

    def healed(self, done: Mapping[str, Any]) -> list[tuple[Gap, list[int]]]:
        """Gaps of which nothing is left to fetch, with the batches that brought their bars."""
        there = _minutes_done(done)
        found = []
        for need in self.gaps:
            whole = all(
                np.isin(minutes, there.get(name, NO_MINUTES)).all()
                for name, minutes in need.minutes.items()
            )
            if whole and not need.unknown:
                batches = {
                    number
                    for each in done.values()
                    if each["name"] in need.minutes
                    for number in each["batches"]
                }
                found.append((need.gap, sorted(batches)))
        return found


def needs_of(
    gaps: Sequence[Gap],
    all_tokens: Sequence[int],
    find: Find,
    calendar: SessionCalendar,
    now: datetime,
) -> Needs:
    """What the gaps lack; one without tokens concerns ``all_tokens``."""
    settled = now - timedelta(seconds=SETTLED_S)
    needs, waiting = [], []
    listed: dict[str, Listed] = {}
    for gap in gaps:
        if gap.to_ts is None or _minute_after(gap.to_ts) > settled:
            waiting.append(gap)
            continue
        need = Need(gap)
        for day, token in _days_and_tokens(gap, gap.to_ts, all_tokens):
            _add(need, listed, find, calendar, day, token)
        needs.append(need)
    return Needs(tuple(needs), tuple(waiting), listed)


def _add(
    need: Need,
    listed: dict[str, Listed],
    find: Find,
    calendar: SessionCalendar,
    day: date,
    token: int,
) -> None:
    found = find(token, day)
    if found is None:
        need.unknown.add(token)
        return
    assert need.gap.to_ts is not None  # it has ended
    times = calendar.expected_minutes(found.segment, day)
    since, until = nanoseconds(need.gap.from_ts), nanoseconds(need.gap.to_ts)
    inside = times[(times + MINUTE_NS > since) & (times < until)]
    if len(inside):
        name = found.instrument.name
        listed[name] = found
        before = need.minutes.get(name, NO_MINUTES)
        need.minutes[name] = np.union1d(before, inside)


def _days_and_tokens(
    gap: Gap, until: datetime, all_tokens: Sequence[int]
) -> list[tuple[date, int]]:
    first, last = gap.from_ts.astimezone(IST).date(), until.astimezone(IST).date()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [(day, token) for token in gap.tokens or all_tokens for day in days]


def _by_name(needs: Sequence[Need]) -> dict[str, Int64s]:
    found: dict[str, Int64s] = {}
    for need in needs:
        for name, minutes in need.minutes.items():
            found[name] = np.union1d(found.get(name, NO_MINUTES), minutes)
    return found


def _minutes_done(done: Mapping[str, Any]) -> dict[str, Int64s]:
    found: dict[str, Int64s] = {}
    for each in done.values():
        runs = [np.arange(start, end, dtype=np.int64) for start, end in each["minutes"]]
        before = found.get(each["name"], NO_MINUTES)
        found[each["name"]] = np.union1d(before, np.concatenate(runs) * MINUTE_NS)
    return found


def _ends(minutes: Int64s) -> tuple[datetime, datetime]:
    """From the first of these minutes to the end of the last."""
    return utc(int(minutes[0])), utc(int(minutes[-1]) + MINUTE_NS)


def _minute_after(time: datetime) -> datetime:
    """The end of the minute that the time lies in."""
    return time.replace(second=0, microsecond=0) + timedelta(minutes=1)


@dataclass
class EventCounts:
    """Of the records that were new to the group."""

    records: int = 0
    gaps: int = 0
    """Openings and closings that the ledger did not have."""
    unreadable: int = 0


def collect_gaps(
    kafka: KafkaSettings,
    topic: str,
    record: Callable[[Gap], bool],
    *,
    keep: bool = True,
) -> EventCounts:
    """Hand every gap of the topic that the group has not seen yet to ``record``.

    What was handed over is committed for the group, unless ``keep`` is False. ``record`` says
    whether the gap was new; an event may come twice. Raises BrokerUnreachable, UnknownTopic,
    ReadError, RegistryError and TryAgainLater.
    """
    codec, counts = AvroCodec(open_framing(kafka)), EventCounts()
    with RawReader(kafka, [topic], group=GROUP) as reader:
        for raw in records_of(reader, kafka, topic):
            counts.records += 1
            try:
                decoded = codec.decode(raw.value or b"")
            except (MalformedRecord, UnknownSchema):
                counts.unreadable += 1
                continue
            gap = gap_of(decoded.record) if decoded.subject == "feed_event" else None
            if gap is not None:
                counts.gaps += record(gap)
        if keep and counts.records:
            reader.commit()
    return counts


def gap_of(event: Mapping[str, Any]) -> Gap | None:
    """The gap that an event opens or closes; None for other events, and for one without an id."""
    state = _STATES.get(event["type"])
    if state is None or not event["gap_id"] or event["from_ns"] is None:
        return None
    end_ns = event["to_ns"] if state == "closed" else None
    if state == "closed" and (end_ns is None or end_ns < event["from_ns"]):
        return None
    return Gap(
        event["gap_id"],
        state,
        event["feed"],
        event["shard"],
        tuple(event["tokens"]),
        utc(event["from_ns"]),
        None if end_ns is None else utc(end_ns),
        event["cause"] or "",
        utc(event["ts_ns"]),
    )
