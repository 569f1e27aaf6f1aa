"""The feed's gaps: its events into the ledger, and which calls bring the minutes that are missing.

A minute belongs to a gap as soon as a part of it does, because the feed's own bar of that minute is
made of half its ticks. Minutes in which the segment does not trade are not asked for, and one that
lies in two gaps is fetched once. What is needed is computed without database and network; a
`Healing` fetches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final

import numpy as np

from kite_bar_history.kite_history import SETTLED_S, UNANSWERED, KiteHistory
from kite_bar_history.live_bars import records_of
from kite_bar_history.protocol import Reading, Window
from kite_bar_history.run import Resources, merge_windows, stopping_after
from kite_bar_history.summary import RunSummary
from kite_bar_history.universe import Listed, Named, read_tokens, resolve
from kite_bars_store.bars import BarColumns, Gap, GapLedger, MergeResult, SourceBars
from kite_bars_store.bars.columns import Int64s, take
from kite_bars_store.bars.sql import nanoseconds, utc
from kite_broker_zerodha.spans import spans
from kite_contracts.feeds import is_simulated
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import MalformedRecord, UnknownSchema
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.checkpoint import Checkpoint
from kite_runtime.clock import IST
from kite_runtime.console import progress_bar, say

Find = Callable[[int, date], Listed | None]
"""The instrument that a token named on a day; None when that is unknown."""

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
    """The minutes that are missing because of one gap, by the instrument's name."""

    gap: Gap
    minutes: dict[str, Int64s] = field(default_factory=dict)
    unknown: dict[int, str] = field(default_factory=dict)
    """By token, why Kite is not asked for it: a sentence's end after the token."""


@dataclass(frozen=True)
class Needs:
    """``waiting`` gaps are still open, or have ended too short a time ago."""

    gaps: tuple[Need, ...]
    waiting: tuple[Gap, ...]
    listed: Mapping[str, Listed]

    @property
    def unknown(self) -> dict[int, str]:
        return {token: why for need in self.gaps for token, why in need.unknown.items()}

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
    """The minutes to fetch for the gaps; one without tokens concerns ``all_tokens``."""
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
    if found is None or found.problem:
        name = "" if found is None else f"{found.instrument.name} "
        problem = f"is in no master of {day}" if found is None else found.problem
        need.unknown[token] = f"{name}{problem}"
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


class Healing:
    """One run: calls, then the gaps of which every minute was asked for."""

    def __init__(self, resources: Resources, needs: Needs, checkpoint: Checkpoint) -> None:
        self._resources = resources
        self._checkpoint = checkpoint
        self._keep = resources.refused_files()
        self._judge = resources.judge()
        self.needs = needs
        self.calls = needs.calls(checkpoint.done)
        self.summary = RunSummary()
        self.healed: list[tuple[Gap, list[int]]] = []

    @property
    def calls_left(self) -> int:
        return len(self.calls) - self.summary.windows

    def run(self) -> None:
        """Fetch what is left until Ctrl-C, then close the gaps that are complete, also after an
        error. Raises what Kite and the store raise."""
        if self._checkpoint.work is None:
            self._checkpoint.begin({})
        try:
            if self.calls:
                self._fetch()
        finally:
            self._close_gaps()
            self.summary.refused_folder = self._keep.folder
        if not self.calls_left and len(self.healed) == len(self.needs.gaps):
            self._checkpoint.finish()

    def _fetch(self) -> None:
        resources = self._resources
        with resources.log_in() as kite, stopping_after("call") as stop, progress_bar() as bar:
            calendar = resources.stores.calendar
            source = KiteHistory(kite, calendar, now=resources.now, purpose="heal")
            task = bar.add_task("healing", total=len(self.calls))
            for call in self.calls:
                if stop:
                    return
                bar.update(task, description=call.listed.instrument.name)
                self._one(source, call)
                bar.advance(task)

    def _one(self, source: KiteHistory, call: Call) -> None:
        store = _Recording(self._resources.stores.bars.merge)
        summary = self.summary
        before = summary.read[source.name]
        exactly = _Exactly(source, call.minutes)
        key = f"{call.listed.instrument.name} {call.window.since.isoformat()} {len(call.minutes)}"

        def done(_: Window) -> None:
            absent = len(call.minutes) - summary.read[source.name] + before
            if absent:
                summary.missing["no bar at Kite"] += absent
            self._checkpoint.note(key, call.as_json(store.batches))

        merge_windows(
            *(store, [exactly], [call.window], summary, self._judge), keep=self._keep, done=done
        )

    def _close_gaps(self) -> None:
        ledger, now = GapLedger(self._resources.stores.connection), self._resources.now()
        self.healed = self.needs.healed(self._checkpoint.done)
        for gap, batches in self.healed:
            ledger.record(replace(gap, state="healed", happened_at=now), batch_ids=batches)


@contextmanager
def healing(resources: Resources, *, dry_run: bool) -> Iterator[Healing]:
    """Read the feed's newest events, and find what to fetch. Raises as `collect_gaps` does, and
    TryAgainLater while another process heals."""
    stores = resources.stores
    gaps = _gaps(resources, GapLedger(stores.connection), dry_run)
    find, all_tokens = token_finder(resources)
    needs = needs_of(gaps, all_tokens, find, stores.calendar, resources.now())
    with resources.checkpoint("heal") as checkpoint:
        yield Healing(resources, needs, checkpoint)


class _Exactly:
    """Kite's answer without the minutes that are not missing. A request that was refused is none:
    a gap is healed when its minutes were answered."""

    def __init__(self, source: KiteHistory, minutes: Int64s) -> None:
        self._source = source
        self._minutes = minutes
        self.name = source.name

    def read(self, window: Window) -> Reading:
        reading = self._source.read(window)
        parts = []
        for each in reading.bars:
            inside = np.isin(each.bars.ts_open_ns, self._minutes)
            bars = BarColumns(**take(each.bars.as_dict(), inside))
            parts.append(replace(each, bars=bars))
        answered = not any(line.reason in UNANSWERED for line in reading.refused)
        kept = tuple(part for part in parts if len(part.bars))
        return replace(reading, bars=kept, is_final=answered)


class _Recording:
    """Merges, and records the batches that this makes."""

    def __init__(self, merge: Callable[[Sequence[SourceBars]], MergeResult]) -> None:
        self._merge = merge
        self.batches: list[int] = []

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult:
        result = self._merge(sources)
        self.batches += [each.batch_id for each in result.batches if each.batch_id is not None]
        return result


def _gaps(resources: Resources, ledger: GapLedger, dry_run: bool) -> list[Gap]:
    """The gaps that are not healed, with those of the newest events."""
    if resources.kafka is None:
        say("KAFKA_BOOTSTRAP is not set: only gaps that are in the database already are healed")
        return ledger.unhealed()
    fresh: list[Gap] = []
    simulated: list[Gap] = []

    def handle(gap: Gap) -> bool:
        if is_simulated(gap.feed) and not resources.kite_is_simulated:
            simulated.append(gap)
            return False
        if not dry_run:
            return ledger.record(gap)
        fresh.append(gap)
        return True

    topic = resources.events_topic
    counts = collect_gaps(resources.kafka, topic, handle, keep=not dry_run)
    say(f"{counts.records:,} new events in {topic}, {counts.gaps:,} of gaps")
    if simulated:
        say(
            f"{len(simulated):,} gap events of simulated markets were left out: Kite has no bars "
            "of them"
        )
    if counts.unreadable:
        say(f"{counts.unreadable:,} records of {topic} are no events and were skipped")
    known = {gap.gap_id: gap for gap in ledger.unhealed()}
    for gap in fresh:
        if gap.gap_id not in known or gap.state == "closed":
            known[gap.gap_id] = gap
    return sorted(known.values(), key=lambda gap: (gap.from_ts, gap.gap_id))


def token_finder(resources: Resources) -> tuple[Find, list[int]]:
    """Looks a token up in the master of its day, or else in the universe's file."""
    file = resources.universe_file
    members = read_tokens(file) if file.exists() else []
    named = {each.token: each for each in members if each.token is not None}

    @cache
    def find(token: int, day: date) -> Listed | None:
        master, today = resources.stores.instruments, resources.today()
        found = resolve(Named("", "", token), day, master, today)
        if found is None and token in named:
            found = resolve(named[token], day, master, today)
        return found

    return find, list(named)
