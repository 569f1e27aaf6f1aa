"""What `daily` and `reconcile` share: sources, windows, the run, and what to say at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from kite_bar_history.kite_history import KiteHistory
from kite_bar_history.live_bars import SOURCE, LiveBars
from kite_bar_history.protocol import BarSource, RefusedLine, Window, windows_of
from kite_bar_history.refused import RefusedFiles
from kite_bar_history.run import DryRun, Merges, Unfinished, merge_windows
from kite_bar_history.summary import RunSummary, remarks, remarks_on_missing
from kite_bar_history.universe import Listed, is_known_by, universe
from kite_bar_history.vendor_files.files import Asked, VendorFiles
from kite_bar_history.vendor_files.input import files_of
from kite_bar_history.vendor_files.layouts import FILE, Layout, load_layouts
from kite_bar_history.vendor_files.spool import Spool
from kite_bar_history.vendor_files.values import Roster
from kite_bars_store.bars import SourceBars
from kite_bars_store.bars.anomalies import Doubts
from kite_bars_store.bars.missing.coverage import missing_minutes
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.stores import Days, Stores
from kite_contracts.sessions import IST, SessionCalendar
from kite_hist_merge.commands.options import now, progress_bar, today
from kite_hist_merge.kite_login import logged_in
from kite_hist_merge.settings import Settings
from kite_hist_merge.stopping import stop_between_steps
from kite_runtime.checkpoint import Checkpoint, checkpoint_path
from kite_runtime.console import say
from kite_runtime.errors import Interrupted, TryAgainLater, UsageError

INTERVALS: Final = ("m1", "d1")


def an_interval(text: str) -> str:
    """A length of recorded bars. Raises BadParameter."""
    if text not in INTERVALS:
        raise typer.BadParameter(f"{text!r} is not recorded: take m1 or d1")
    return text


Vendor = Annotated[
    list[Path] | None,
    typer.Option(
        "--vendor",
        metavar="PATH",
        help="A vendor's file, or a folder of them; may be repeated. CSV, text or Parquet, also "
        "as .gz or .zst.",
    ),
]
LayoutName = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="The layout of the files, of configs/vendor.toml. Default: the one that fits.",
    ),
]
AcceptAdjusted = Annotated[
    bool,
    typer.Option(
        "--accept-adjusted", help="Take files whose layout says that prices were adjusted later."
    ),
]
NoKite = Annotated[
    bool, typer.Option("--no-kite", help="Do not ask Kite; files, or live bars, alone.")
]
Live = Annotated[
    bool,
    typer.Option("--live", help="Also the final bars that the live feed left in the topic bars."),
]
Intervals = Annotated[
    list[str] | None,
    typer.Option(
        "--interval",
        metavar="m1|d1",
        parser=an_interval,
        help="Only minutes (m1) or days (d1). Default: both.",
    ),
]


@dataclass(frozen=True)
class Order:
    """What a person asked for."""

    days: Days
    vendor: Sequence[Path] = ()
    symbols: Sequence[str] | None = None
    layout: str | None = None
    accept_adjusted: bool = False
    with_kite: bool = True
    intervals: Sequence[str] = INTERVALS
    dry_run: bool = False
    with_live: bool = False

    def check(self) -> None:
        """Before anything is opened. Raises UsageError and InputUnusable."""
        files_of(self.vendor)
        if self.days.first > today():
            raise UsageError(f"--from {self.days.first} has not come yet: name earlier days")
        if not self.vendor and not self.with_kite and not self.with_live:
            raise UsageError("--no-kite leaves nothing to read: name files with --vendor")


@dataclass
class Run:
    """A run that is under way, with everything that it needs."""

    settings: Settings
    stores: Stores
    order: Order
    look: Callable[[Sequence[SourceBars], Window], None] | None = None
    listed: list[Listed] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def to_end(self) -> RunSummary:
        """Read, merge, look for missing minutes. Raises Interrupted after Ctrl-C, when what was
        done is said."""
        order, stores = self.order, self.stores
        order.check()
        layouts = chosen_layouts(self.settings, order) if order.vendor else {}
        self.paths = files_of(order.vendor)
        self.listed = universe(
            self.settings.universe_file, order.symbols, order.days.last, stores.instruments
        )
        summary = RunSummary(dry_run=order.dry_run)
        summary.notes += remarks(self.listed, order.days.first, order.days.last, stores.calendar)
        keep = RefusedFiles(refused_folder(self.settings, now()))
        with stop_between_steps("window") as wish:

            def stop() -> bool:
                return wish.asked

            with self._sources(summary, layouts, keep, stop) as sources:
                self._merge(summary, sources, keep, stop)
        summary.refused_folder = None if order.dry_run else keep.folder
        if not summary.stopped and not order.dry_run and "m1" in order.intervals:
            self._explain_missing(summary)
        return summary

    def _merge(
        self,
        summary: RunSummary,
        sources: Sequence[BarSource],
        keep: RefusedFiles,
        stop: Callable[[], bool],
    ) -> None:
        order, stores = self.order, self.stores
        store: Merges = stores.bars
        if order.dry_run:
            store = DryRun(stores.connection, stores.rules, stores.calendar)
        span = order.days.since, order.days.until
        windows = [
            window
            for interval in order.intervals
            for window in windows_of(self.listed, *span, interval)
        ]
        doubts = Doubts()
        with self._unfinished() as unfinished, progress_bar() as bar:
            left = unfinished.left(windows)
            task = bar.add_task("merging", total=len(left))

            def look(said: Sequence[SourceBars], window: Window) -> None:
                doubts.look(said)
                if self.look is not None:
                    self.look(said, window)

            def progress(done: int, window: Window) -> None:
                first = window.listed[0].instrument.name
                text = f"{window.since:%Y-%m} {window.interval} from {first}"
                bar.update(task, completed=done, description=text)

            try:
                merge_windows(
                    store,
                    sources,
                    left,
                    progress=progress,
                    judge=SessionJudge(stores.calendar, stores.rules.phases),
                    keep=None if order.dry_run else keep,
                    look=look,
                    stop=stop,
                    done=unfinished.note,
                    summary=summary,
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
            if not summary.stopped:
                unfinished.finish()

    @contextmanager
    def _unfinished(self) -> Iterator[Unfinished]:
        """What an interrupted run of this very order merged on this day need not be fetched again.

        Files are read again, which costs little; so this is for Kite alone. Who comes second while
        the same is running does all of it: twice the same writes nothing.
        """
        order = self.order
        if order.dry_run or not order.with_kite:
            yield Unfinished(None)
            return
        info = self.stores.connection.info
        files = [(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in self.paths]
        path = checkpoint_path(
            *(self.settings.state_dir, "merge", (info.host, info.port, info.dbname), today()),
            *(order.days.first, order.days.last, order.intervals, order.layout, files),
            [each.instrument.name for each in self.listed],
        )
        with ExitStack() as stack:
            try:
                checkpoint = stack.enter_context(Checkpoint(path))
            except TryAgainLater:
                yield Unfinished(None)
                return
            yield Unfinished(checkpoint)

    @contextmanager
    def _sources(
        self,
        summary: RunSummary,
        layouts: dict[str, Layout],
        keep: RefusedFiles,
        stop: Callable[[], bool],
    ) -> Iterator[list[BarSource]]:
        """Kite first, as far as it is asked; the files are read here."""
        with ExitStack() as stack:
            sources: list[BarSource] = []
            if self.order.with_kite:
                kite = stack.enter_context(logged_in(self.settings))
                sources.append(KiteHistory(kite, self.stores.calendar))
            if self.order.with_live:
                others = frozenset(self.stores.rules.sources) - {SOURCE}
                kafka = self.settings.require_kafka()
                sources.append(LiveBars(kafka, self.settings.topic, others=others))
            if self.order.vendor:
                files = stack.enter_context(closing(self._files(layouts)))
                self._load(files, summary, keep, stop)
                sources.append(files)
            yield sources

    def _files(self, layouts: dict[str, Layout]) -> VendorFiles:
        days, stores = self.order.days, self.stores
        roster = Roster(self.listed, is_known_by(self.settings.universe_file, stores.instruments))
        since_ns, until_ns = (int(each.timestamp()) * 10**9 for each in (days.since, days.until))
        return VendorFiles(
            layouts,
            Asked(roster, since_ns, until_ns),
            Spool(self.settings.state_dir / "spool"),
            SessionJudge(stores.calendar, stores.rules.phases),
            accept_adjusted=self.order.accept_adjusted,
        )

    def _load(
        self,
        files: VendorFiles,
        summary: RunSummary,
        keep: RefusedFiles,
        stop: Callable[[], bool],
    ) -> None:
        def refuse(lines: Sequence[RefusedLine]) -> None:
            summary.refuse(lines)
            if not self.order.dry_run:
                keep(lines)

        with progress_bar() as bar:
            task = bar.add_task("reading files", total=len(self.paths))
            for path in self.paths:
                if stop():
                    return
                bar.update(task, description=path.name)
                summary.files.append(files.load(path, refuse))
                bar.advance(task)

    def _explain_missing(self, summary: RunSummary) -> None:
        """Of the days that are over."""
        days, calendar = self.order.days, self.stores.calendar
        last = min(days.last, last_day_over(calendar, {e.segment for e in self.listed}, now()))
        if last < days.first or not self.listed:
            return
        names = [each.instrument.name for each in self.listed]
        missing = missing_minutes(self.stores.connection, names, days.first, last, calendar)
        summary.missing.update({str(cause): n for cause, n in missing.by_cause().items()})
        summary.unexplained = missing.unexplained
        watched = zip(missing.watched, missing.present, strict=True)
        without = [each.name for each, minutes in watched if not minutes.any()]
        refused = summary.refused.total()
        summary.notes += remarks_on_missing(missing.by_symbol(), without, refused)


def last_day_over(calendar: SessionCalendar, segments: Iterable[str], at: datetime) -> date:
    """The last day in India whose sessions in all of these segments have ended at ``at``."""
    today = at.astimezone(IST).date()
    at_ns = int(at.timestamp()) * 10**9
    phases = [phase for each in segments for phase in calendar.day(each, today).phases]
    return today if all(phase.closes_ns <= at_ns for phase in phases) else today - timedelta(1)


def chosen_layouts(settings: Settings, order: Order) -> dict[str, Layout]:
    """Those of the file, or the one that ``--layout`` names. Raises VendorFileError, UsageError."""
    layouts = load_layouts(settings.vendor_file)
    if order.layout is None:
        return layouts
    if order.layout not in layouts:
        raise UsageError(
            f"there is no layout {order.layout!r} in {settings.vendor_file or FILE}: take one of "
            f"{', '.join(layouts)}"
        )
    return {order.layout: layouts[order.layout]}


def refused_folder(settings: Settings, at: datetime) -> Path:
    """Where this run's refused lines go."""
    return settings.state_dir / "refused" / f"{at:%Y%m%dT%H%M%S}"


def ended(summary: RunSummary) -> None:
    """Raises Interrupted when the run was stopped; to be called when the summary is printed."""
    if summary.stopped:
        say("what is merged stays; the same command goes on from here")
        raise Interrupted
