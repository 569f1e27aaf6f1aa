"""A run: what was asked for, from which sources, merged window by window.

A window is merged whole (by pieces of one transaction each) before the next one is read, so the
memory is that of one window, and after Ctrl-C or a crash the same call goes on: what is merged
already writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from kite_bar_history.kite_history import NOT_LISTED, KiteHistory
from kite_bar_history.live_bars import SOURCE, LiveBars
from kite_bar_history.merged_before import MergedBefore
from kite_bar_history.protocol import BarSource, RefusedLine, Window, windows_of
from kite_bar_history.refused import PLAIN_HEADER, RefusedFiles, not_kept, plain
from kite_bar_history.summary import (
    RunSummary,
    remarks,
    remarks_on_missing,
    remarks_on_names,
)
from kite_bar_history.universe import Listed, universe
from kite_bar_history.vendor_files.contracts import Contracts
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.input import files_of, sha256_of
from kite_bar_history.vendor_files.layouts import Layout, chosen_layouts, default_text
from kite_bar_history.vendor_files.spool import Spool
from kite_bar_history.vendor_files.values import Roster
from kite_bars_store.bars import BarColumns, BarStore, MergeResult, SourceBars
from kite_bars_store.bars.anomalies import Anomalies
from kite_bars_store.bars.columns import take
from kite_bars_store.bars.missing.coverage import missing_minutes
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.database import transaction
from kite_bars_store.stores import Days, Stores
from kite_contracts.sessions.model import midnight_ns
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.checkpoint import Checkpoint, checkpoint_path
from kite_runtime.clock import IST
from kite_runtime.console import progress_bar, say
from kite_runtime.errors import TryAgainLater, UsageError
from kite_runtime.stopping import Stop, stop_on_signals

if TYPE_CHECKING:
    from kite_broker_zerodha.rest import KiteRest

INTERVALS: Final = ("m1", "d1")


@dataclass(frozen=True)
class Resources:
    """What runs draw on."""

    stores: Stores
    universe_file: Path
    """tokens.csv."""
    vendor_file: Path | None
    """Layouts of vendors' files; None for the packaged ones."""
    state_dir: Path
    log_in: Callable[..., KiteRest]
    """A client, a context manager; ``sleep`` is how it waits."""
    kafka: KafkaSettings | None
    bars_topic: str
    events_topic: str
    kite_is_simulated: bool = False
    """Whether ``log_in`` reaches a simulator, whose bars belong to simulated feeds."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def today(self) -> date:
        """The day in India."""
        return self.now().astimezone(IST).date()

    def universe(self, symbols: Sequence[str] | None, day: date) -> list[Listed]:
        """Those of ``symbols``, or else of the file. Raises as `universe` does."""
        master = self.stores.instruments
        return universe(self.universe_file, symbols, day, master, self.today())

    def judge(self) -> SessionJudge:
        return SessionJudge(self.stores.calendar, self.stores.rules.phases)

    def refused_files(self) -> RefusedFiles:
        """Where the refused lines of a run that begins now go."""
        return RefusedFiles(self.state_dir / "refused" / f"{self.now():%Y%m%dT%H%M%S}")

    def checkpoint(self, work: str, *what: object) -> Checkpoint:
        """That of this work on this database."""
        info = self.stores.connection.info
        database = info.host, info.port, info.dbname
        return Checkpoint(checkpoint_path(self.state_dir, work, database, *what))


@dataclass(frozen=True)
class Order:
    """What was asked for."""

    days: Days
    vendor: Sequence[Path] = ()
    symbols: Sequence[str] | None = None
    layout: str | None = None
    accept_adjusted: bool = False
    with_kite: bool = True
    intervals: Sequence[str] = INTERVALS
    dry_run: bool = False
    with_live: bool = False

    def check(self, today: date) -> None:
        """Before anything is opened. Raises UsageError and InputUnusable."""
        files_of(self.vendor)
        self.days.check_begun(today)
        if not self.vendor and not self.with_kite and not self.with_live:
            raise UsageError("--no-kite leaves nothing to read: name files with --vendor")


class Merges(Protocol):
    """`BarStore`, or what stands for it in a dry run."""

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult: ...


class Run:
    """An order being carried out. ``look`` gets all bars of each window after its merge."""

    def __init__(
        self,
        resources: Resources,
        order: Order,
        look: Callable[[Sequence[SourceBars], Window], None] | None = None,
    ) -> None:
        self._resources = resources
        self._stores = resources.stores
        self._order = order
        self._look = look
        self._keep = resources.refused_files()
        self._paths: list[Path] = []
        self._sha256_of = cache(sha256_of)
        self.listed: list[Listed] = []
        self._roster = Roster(())
        self.summary = RunSummary(dry_run=order.dry_run, days=order.days)

    def to_end(self) -> RunSummary:
        """Read, merge, look for missing minutes; Ctrl-C ends it between two windows. Raises what
        store and sources raise."""
        order, summary, resources = self._order, self.summary, self._resources
        order.check(resources.today())
        layouts = chosen_layouts(resources.vendor_file, order.layout) if order.vendor else {}
        self._paths = files_of(order.vendor)
        days = order.days
        self.listed = resources.universe(order.symbols, days.last)
        self._roster = Roster(self.listed, Contracts(self.listed, self._stores.instruments))
        summary.notes += remarks(self.listed, days.first, days.last, self._stores.calendar)
        before = self._merged_before()
        if before is not None and before.holds():
            summary.notes.append(
                "the files were merged before and are not read again: the same bytes, instruments "
                "and days by the same layouts and rules"
            )
            self._paths, before = [], None
        with stopping_after("window") as stop, self._sources(layouts, stop) as sources:
            self._merge(sources, stop)
        if before is not None:
            before.note(summary)
        summary.refused_folder = None if order.dry_run else self._keep.folder
        if not summary.stopped and not order.dry_run and "m1" in order.intervals:
            self._explain_missing()
        return summary

    def _merged_before(self) -> MergedBefore | None:
        """None where nothing is remembered: without files, in a dry run, and where all bars are
        looked at."""
        order, stores, resources = self._order, self._stores, self._resources
        if not self._paths or order.dry_run or self._look is not None:
            return None
        asked = order.days, order.intervals, order.accept_adjusted, order.layout, self.listed
        own = resources.vendor_file
        layouts = default_text() if own is None else own.read_bytes()
        known = stores.instruments.days()
        return MergedBefore(
            *(resources.state_dir, stores.bars, self._paths, self._sha256_of), asked, layouts, known
        )

    def _merge(self, sources: Sequence[BarSource], stop: Stop) -> None:
        order, summary = self._order, self.summary
        store: Merges = DryRun(self._stores) if order.dry_run else self._stores.bars
        windows = [
            window
            for interval in order.intervals
            for window in windows_of(self.listed, order.days.since, order.days.until, interval)
        ]
        doubts = Anomalies()
        with self._unfinished() as unfinished, progress_bar() as bar:
            left = unfinished.left(windows)
            task = bar.add_task("merging", total=len(left))

            def look(bars: Sequence[SourceBars], window: Window) -> None:
                doubts.look(bars)
                if self._look is not None:
                    self._look(bars, window)

            def progress(done: int, window: Window) -> None:
                first = window.listed[0].instrument.name
                text = f"{window.since:%Y-%m} {window.interval} from {first}"
                bar.update(task, completed=done, description=text)

            try:
                merge_windows(
                    *(store, sources, left, summary, self._resources.judge()),
                    progress=progress,
                    keep=None if order.dry_run else self._keep,
                    look=look,
                    stop=stop,
                    done=unfinished.note,
                )
            except Exception:
                if summary.windows:
                    say(
                        f"{summary.windows} of {len(left)} windows were merged before this; "
                        "the same command goes on there"
                    )
                raise
            finally:
                summary.doubts += doubts.sentences
            if not summary.stopped and (again := unfinished.finish()):
                summary.notes.append(
                    f"{again} of {len(windows)} windows were not answered whole: the same command "
                    "asks Kite for these again"
                )

    @contextmanager
    def _unfinished(self) -> Iterator[Unfinished]:
        """What an interrupted run of this very order merged on this day need not be fetched again.

        Files are read again, which costs little; so this is for Kite alone. Who comes second while
        the same is running does all of it: twice the same writes nothing.
        """
        order = self._order
        checkpoint = None
        with ExitStack() as stack:
            if order.with_kite and not order.dry_run:
                stats = [(str(path), path.stat()) for path in self._paths]
                found = self._resources.checkpoint(
                    *("merge", self._resources.today(), order.days.first, order.days.last),
                    *(order.intervals, order.layout),
                    [(name, each.st_size, each.st_mtime_ns) for name, each in stats],
                    [each.instrument.name for each in self.listed],
                )
                with suppress(TryAgainLater):
                    checkpoint = stack.enter_context(found)
            yield Unfinished(checkpoint, self._resources.now())

    @contextmanager
    def _sources(self, layouts: dict[str, Layout], stop: Stop) -> Iterator[list[BarSource]]:
        """Kite first, as far as it is asked; the files are read here."""
        resources, stores = self._resources, self._stores
        with ExitStack() as stack:
            sources: list[BarSource] = []
            if self._order.with_kite:
                kite = stack.enter_context(resources.log_in())
                sources.append(KiteHistory(kite, stores.calendar))
            if self._order.with_live:
                assert resources.kafka is not None  # --live requires the setting
                others = frozenset(stores.rules.sources) - {SOURCE}
                sources.append(LiveBars(resources.kafka, resources.bars_topic, others=others))
            if self._paths:
                files = stack.enter_context(closing(self._files(layouts)))
                self._load(files, stop)
                sources.append(files)
            yield sources

    def _files(self, layouts: dict[str, Layout]) -> VendorFiles:
        days, resources = self._order.days, self._resources
        since_ns, until_ns = (int(each.timestamp()) * 10**9 for each in (days.since, days.until))
        return VendorFiles(
            layouts,
            Asked(self._roster, since_ns, until_ns),
            Spool(resources.state_dir / "spool"),
            resources.judge(),
            accept_adjusted=self._order.accept_adjusted,
            sha256_of=self._sha256_of,
        )

    def _load(self, files: VendorFiles, stop: Stop) -> None:
        def refuse(lines: Sequence[RefusedLine]) -> None:
            self.summary.refuse(lines)
            if not self._order.dry_run:
                self._keep(lines)

        with progress_bar() as bar:
            task = bar.add_task("reading files", total=len(self._paths))
            for path in self._paths:
                if stop:
                    return
                bar.update(task, description=path.name)
                self.summary.files.append(files.load(path, refuse))
                bar.advance(task)
        self.summary.notes += remarks_on_names(files.without(), self._roster)

    def _explain_missing(self) -> None:
        """Of the days that are over."""
        days, summary, stores = self._order.days, self.summary, self._stores
        if not self.listed:
            return
        names = [each.instrument.name for each in self.listed]
        missing = missing_minutes(
            *(stores.connection, names, days.first, days.last, stores.calendar),
            now=self._resources.now(),
        )
        summary.missing.update({str(cause): n for cause, n in missing.by_cause().items()})
        summary.unexplained = missing.unexplained
        watched = zip(missing.watched, missing.present, strict=True)
        without = [each.name for each, minutes in watched if not minutes.any()]
        refused = summary.refused.total()
        summary.notes += remarks_on_missing(missing.by_symbol(), without, refused)


def stopping_after(step: str) -> AbstractContextManager[Stop]:
    """The first signal asks for the end after the step that is under way, the next one is as
    ever."""
    return stop_on_signals(lambda: say(f"stopping after this {step}; once more stops at once"))


class DryRun:
    """Merges like the store, sees what that writes, and rolls it back."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult:
        """What `BarStore.merge` would answer. Locks are held until the end of this call."""
        stores, result = self._stores, None
        try:
            with transaction(stores.connection, "a dry run"):
                # A store remembers the partitions that it made, and these vanish: so a new one.
                store = BarStore(stores.connection, stores.rules, stores.calendar)
                result = store.merge(sources)
                raise _Undo
        except _Undo:
            assert result is not None
            return result


class _Undo(Exception):
    """Rolls a dry run back."""


def merge_windows(
    store: Merges,
    sources: Sequence[BarSource],
    windows: Iterable[Window],
    total: RunSummary,
    judge: SessionJudge,
    *,
    keep: Callable[[Sequence[RefusedLine]], None] | None,
    progress: Callable[[int, Window], None] = lambda done, window: None,
    look: Callable[[Sequence[SourceBars], Window], None] = lambda bars, window: None,
    stop: Stop | None = None,
    done: Callable[[Window], None] = lambda window: None,
) -> None:
    """Merge the windows, each with all sources, and add what was done to ``total``.

    ``judge`` counts bars outside the session; ``keep`` gets the refused lines of each window,
    ``progress`` how many are done before each, ``look`` all its bars, ``done`` the window when it
    is merged and need not be read again. After ``stop`` no further window is begun. Raises what
    store and sources raise.
    """
    for window in windows:
        if stop:
            total.stopped = True
            break
        progress(total.windows, window)
        readings = [source.read(window) for source in sources]
        said = [each for reading in readings for each in reading.bars]
        refused = [line for reading in readings for line in reading.refused]
        bars, unlisted = while_listed(said, window.listed)
        refused += unlisted
        for part in rounds(bars):
            result = store.merge(part)
            total.add(result)
            refused += not_kept(result.refused, part)
        look(bars, window)
        total.outside.add(judge.outside(bars))
        total.refuse(refused)
        total.repeated += sum(reading.repeated for reading in readings)
        total.not_asked += sum(reading.not_asked for reading in readings)
        if keep is not None and refused:
            keep(refused)
        for each in bars:
            total.read[each.source] += len(each.bars)
        total.windows += 1
        if all(reading.is_final for reading in readings):
            done(window)


def while_listed(
    said: Sequence[SourceBars], listed: Sequence[Listed]
) -> tuple[list[SourceBars], list[RefusedLine]]:
    """The bars of days on which their instruments were listed; of others nothing becomes golden,
    whoever has them: a continuous name, for example, that was given to an expired contract."""
    lives = {each.instrument.name: each for each in listed}
    kept: list[SourceBars] = []
    refused: list[RefusedLine] = []
    for each in said:
        own = [lives[instrument.name] for instrument in each.instruments]
        since = np.array([_day_ns(life.since, 0) for life in own], np.int64)
        until = np.array([_day_ns(life.until, 1 << 62) for life in own], np.int64)
        place, opens = each.bars.instrument, each.bars.ts_open_ns
        good = (opens >= since[place]) & (opens < until[place])
        for row in np.flatnonzero(~good).tolist():
            life = own[int(place[row])]
            when = "after its last day" if opens[row] >= until[place[row]] else "before its first"
            refused.append(
                RefusedLine(
                    *(each.file_name or each.source, row + 1, NOT_LISTED),
                    f"{life.instrument.name} was not listed on this day, which is {when}",
                    *(plain(each, row), PLAIN_HEADER),
                )
            )
        if not good.all():
            each = replace(each, bars=BarColumns(**take(each.bars.as_dict(), good)))
        if len(each.bars):
            kept.append(each)
    return kept, refused


def _day_ns(day: date | None, otherwise: int) -> int:
    return otherwise if day is None else midnight_ns(day)


def rounds(bars: Sequence[SourceBars]) -> Iterator[list[SourceBars]]:
    """Parts in which each source stands once for an interval, in the order given.

    Several files of one source are observations one after the other: the last one counts.
    """
    waiting = list(bars)
    while waiting:
        part: dict[tuple[str, str], SourceBars] = {}
        rest = []
        for each in waiting:
            if part.setdefault((each.source, each.interval), each) is not each:
                rest.append(each)
        yield list(part.values())
        waiting = rest


class Unfinished:
    """Windows that an interrupted run has merged; without a checkpoint there are none.

    A window that was not over at ``now``, when the run began, is never among them: it grows.
    """

    def __init__(self, checkpoint: Checkpoint | None, now: datetime) -> None:
        self._checkpoint = checkpoint
        self._now = now
        self._left: dict[str, Window] = {}

    def left(self, windows: Sequence[Window]) -> list[Window]:
        """Those that are still to do."""
        found = self._not_done(windows)
        self._left = {_key(each): each for each in found}
        return found

    def _not_done(self, windows: Sequence[Window]) -> list[Window]:
        if self._checkpoint is None:
            return list(windows)
        if self._checkpoint.work is None:
            self._checkpoint.begin({})
            return list(windows)
        left = [each for each in windows if _key(each) not in self._checkpoint.done]
        say(f"resuming: {len(windows) - len(left)} of {len(windows)} windows are merged already")
        return left

    def note(self, window: Window) -> None:
        """It is merged, and all of it was answered."""
        self._left.pop(_key(window), None)
        if self._checkpoint is not None and window.until <= self._now:
            self._checkpoint.note(_key(window))

    def finish(self) -> int:
        """Forget what was noted, unless some windows are to be asked for again: how many."""
        if self._checkpoint is None:
            return 0
        if not self._left:
            self._checkpoint.finish()
        return len(self._left)


def _key(window: Window) -> str:
    names = [each.instrument.name for each in window.listed]
    return f"{window.interval} {window.since:%Y-%m-%d} {names[0]} {names[-1]}"
