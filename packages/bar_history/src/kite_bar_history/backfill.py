"""Backfill: what is fetched from Kite, in which chunks, how long that takes, and doing it.

A chunk is what is merged and recorded as done at once: one instrument in one span that a single
call of Kite can answer. So an interruption costs the calls under way at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Event
from typing import Any, Final

from kite_bar_history.kite_history import INTERVALS, SETTLED_S, KiteHistory
from kite_bar_history.protocol import Window
from kite_bar_history.read_ahead import ReadAhead
from kite_bar_history.run import Resources, merge_windows, stopping_after
from kite_bar_history.summary import RunSummary
from kite_bar_history.universe import Listed
from kite_bars_store.bars.survey import BarSurvey
from kite_bars_store.stores import Days
from kite_broker_zerodha.spans import spans
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS
from kite_runtime.checkpoint import Checkpoint
from kite_runtime.clock import IST
from kite_runtime.console import progress_bar, say

CALLS_A_SECOND_MAX: Final = 3.0
"""Of history: ``CALLS_A_SECOND`` in ``kite_broker_zerodha.rest``, which loads kiteconnect."""
CLIENTS: Final = 3
"""That ask at once: one that takes a second for an answer makes one call a second."""


@dataclass(frozen=True)
class Work:
    """What a backfill is, fixed when it is begun: ``[since, until)`` of these symbols."""

    interval: str
    since: datetime
    until: datetime
    symbols: tuple[str, ...]
    begun: datetime

    @property
    def days(self) -> Days:
        """In India."""
        last = self.until - timedelta(days=1)
        return Days(self.since.astimezone(IST).date(), last.astimezone(IST).date())

    def as_json(self) -> dict[str, Any]:
        return {
            "interval": self.interval,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "symbols": list(self.symbols),
            "begun": self.begun.isoformat(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Work:
        """Raises KeyError, TypeError or ValueError for what `as_json` did not write."""
        since, until, begun = (
            datetime.fromisoformat(value[name]) for name in ("since", "until", "begun")
        )
        return cls(value["interval"], since, until, tuple(value["symbols"]), begun)


@dataclass(frozen=True)
class Chunk:
    """One call, or none for an instrument that Kite cannot be asked for."""

    key: str
    window: Window
    rows: int
    """Bars that the calendar expects."""

    @property
    def listed(self) -> Listed:
        return self.window.listed[0]

    @property
    def is_hopeless(self) -> bool:
        return self.listed.token is None or bool(self.listed.problem)


@dataclass(frozen=True)
class Plan:
    """Chunks by instrument, then time; ``done`` of them were done before."""

    chunks: tuple[Chunk, ...]
    done: int

    @property
    def instruments(self) -> int:
        return len({chunk.listed.instrument.name for chunk in self.chunks})

    @property
    def without_token(self) -> tuple[str, ...]:
        """Instruments that Kite cannot be asked for."""
        names = (chunk.listed.instrument.name for chunk in self.chunks if chunk.is_hopeless)
        return tuple(dict.fromkeys(names))

    @property
    def calls(self) -> int:
        return sum(not chunk.is_hopeless for chunk in self.chunks)

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks if not chunk.is_hopeless)

    def left(self, done: Iterable[str]) -> int:
        """Chunks that Kite can be asked for and that are not done."""
        asked = {chunk.key for chunk in self.chunks if not chunk.is_hopeless}
        return len(asked.difference(done))

    @property
    def seconds(self) -> float:
        """By Kite's pace alone; a slow network or database takes longer."""
        return self.calls / CALLS_A_SECOND_MAX


def span_of_days(days: int, today: date) -> tuple[datetime, datetime]:
    """``days`` days in India, the last of which is today: 60 are one call of minutes."""
    midnight = datetime(today.year, today.month, today.day, tzinfo=IST)
    return midnight - timedelta(days=days - 1), midnight + timedelta(days=1)


def plan_of(
    work: Work,
    listed: Sequence[Listed],
    done: Iterable[str],
    calendar: SessionCalendar,
    now: datetime,
) -> Plan:
    """What is left to do. Rows are those that have ended by ``now``."""
    finished = set(done)
    count = _Expected(calendar, work.interval, now)
    chunks = []
    skipped = 0
    pieces = spans(INTERVALS[work.interval], work.since, min(work.until, now))
    for each in listed:
        for since, until in pieces:
            key = f"{each.instrument.name} {since.isoformat()}"
            if key in finished:
                skipped += 1
                continue
            # To the planned end: the last piece of a resumed work may have grown meanwhile.
            end = work.until if until == pieces[-1][1] else until
            window = Window([each], work.interval, since, end)
            chunks.append(Chunk(key, window, count(each.segment, since, until)))
    return Plan(tuple(chunks), skipped)


class _Expected:
    """How many bars the calendar expects of a segment in a span, kept by day."""

    def __init__(self, calendar: SessionCalendar, interval: str, now: datetime) -> None:
        self._calendar = calendar
        self._interval = interval
        self._opened_ns = (int(now.timestamp()) - SETTLED_S) * 10**9 - MINUTE_NS
        self._days: dict[tuple[str, date], int] = {}

    def __call__(self, segment: str, since: datetime, until: datetime) -> int:
        first, last = since.astimezone(IST).date(), until.astimezone(IST).date()
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        midnight = until.astimezone(IST).time() == datetime.min.time()
        return sum(self._day(segment, day) for day in days if not (midnight and day == last))

    def _day(self, segment: str, day: date) -> int:
        if (segment, day) not in self._days:
            times = self._calendar.expected_minutes(segment, day)
            past = int((times <= self._opened_ns).sum())
            over = len(times) > 0 and past == len(times)
            self._days[segment, day] = past if self._interval == "m1" else int(over)
        return self._days[segment, day]


def new_work(
    resources: Resources,
    interval: str,
    days: int,
    symbols: Sequence[str] | None,
    *,
    only_new: bool,
) -> Work:
    """The work of these days up to today; ``only_new`` leaves out what has bars in them."""
    since, until = span_of_days(days, resources.today())
    listed = resources.universe(symbols, resources.today())
    names = [each.instrument.name for each in listed]
    if only_new:
        survey = BarSurvey(resources.stores.connection, interval)
        there = {each.name for each in survey.instruments(since, until, names, observed=True)}
        if there:
            say(
                f"{len(there):,} of {len(names):,} instruments have bars in these days already, "
                "some or all of them: --all fetches these, too"
            )
        names = [name for name in names if name not in there]
    return Work(interval, since, until, tuple(names), resources.now())


def unfinished_work(checkpoint: Checkpoint) -> Work | None:
    """What an interrupted backfill was to do; None when there is none that can be resumed."""
    if checkpoint.work is None:
        return None
    try:
        work = Work.from_json(checkpoint.work)
    except (KeyError, TypeError, ValueError):
        return None
    say(
        f"resuming the backfill of {work.begun.astimezone(IST):%Y-%m-%d %H:%M}: "
        f"{len(checkpoint.done):,} chunks are done (--restart makes a new plan)"
    )
    return work


def carry_out(
    resources: Resources, plan: Plan, checkpoint: Checkpoint, summary: RunSummary
) -> None:
    """Fetch and merge the chunks until Ctrl-C; ``summary`` counts them, also before an error.

    What Kite did not answer, or answered with other bars, stays in the checkpoint as not done. An
    instrument that cannot be asked for is not noted either: a token may be known when the work is
    resumed; but the work does not wait for it. Raises what Kite and the store raise.
    """
    keep, judge = resources.refused_files(), resources.judge()
    try:
        with (
            _kite(resources, plan) as source,
            stopping_after("chunk") as stop,
            progress_bar() as bar,
        ):
            task = bar.add_task("backfill", total=len(plan.chunks))
            for chunk in plan.chunks:
                if stop and not source.hold():
                    break
                bar.update(task, description=chunk.listed.instrument.name)
                merge_windows(
                    *(resources.stores.bars, [source], [chunk.window], summary, judge),
                    keep=keep,
                    done=lambda _, chunk=chunk: _note(checkpoint, chunk),  # type: ignore[misc]
                )
                bar.advance(task)
    finally:
        summary.refused_folder = keep.folder
    if summary.windows == len(plan.chunks) and not plan.left(checkpoint.done):
        checkpoint.finish()


def _note(checkpoint: Checkpoint, chunk: Chunk) -> None:
    if not chunk.is_hopeless:
        checkpoint.note(chunk.key)


@contextmanager
def _kite(resources: Resources, plan: Plan) -> Iterator[ReadAhead]:
    """Several clients, which share the pace of their key."""
    stopped = Event()
    calendar = resources.stores.calendar
    with ExitStack() as stack:
        clients = [stack.enter_context(resources.log_in(stopped.wait)) for _ in range(CLIENTS)]
        sources = [KiteHistory(kite, calendar, now=resources.now) for kite in clients]
        windows = [chunk.window for chunk in plan.chunks]
        yield stack.enter_context(ReadAhead(sources, windows, on_leave=stopped.set))
