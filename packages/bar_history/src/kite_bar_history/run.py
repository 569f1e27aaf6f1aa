"""Windows, one after the other: read from every source, merge, count.

A window is merged whole (by pieces of one transaction each) before the next one is read, so the
memory is that of one window, and after Ctrl-C or a crash the same call goes on: what is merged
already writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from kite_bar_history.protocol import BarSource, RefusedLine, Window
from kite_bar_history.refused import not_kept
from kite_bar_history.summary import RunSummary
from kite_bars_store.bars import BarStore, MergeResult, MergeRules, SourceBars
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.database import Connection, transaction
from kite_contracts.sessions import SessionCalendar
from kite_runtime.checkpoint import Checkpoint
from kite_runtime.console import say

Progress = Callable[[int, Window], None]
"""Called before each window with how many are done."""


class Merges(Protocol):
    """`BarStore`, or what stands for it in a dry run."""

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult: ...


class DryRun:
    """Merges like the store, sees what that writes, and rolls it back."""

    def __init__(
        self, connection: Connection, rules: MergeRules, calendar: SessionCalendar
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._calendar = calendar

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult:
        """What `BarStore.merge` would answer. Locks are held until the end of this call."""
        result = None
        try:
            with transaction(self._connection, "a dry run"):
                # A store remembers the partitions that it made, and these vanish: so a new one.
                store = BarStore(self._connection, self._rules, self._calendar)
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
    *,
    progress: Progress | None = None,
    judge: SessionJudge | None = None,
    keep: Callable[[Sequence[RefusedLine]], None] | None = None,
    look: Callable[[Sequence[SourceBars], Window], None] | None = None,
    stop: Callable[[], bool] | None = None,
    done: Callable[[Window], None] | None = None,
    summary: RunSummary | None = None,
) -> RunSummary:
    """Merge the windows, each with all sources; what was done is added to ``summary``.

    Give ``summary`` to see what was done when an error or Ctrl-C ends the run. With ``judge`` bars
    outside the session are counted by cause; ``keep`` gets the refused lines of each window
    (`refused.RefusedFiles`), ``look`` all its bars; ``done`` is called when it is merged. When
    ``stop`` says so, the run ends before the next window. Raises what store and sources raise.
    """
    total = RunSummary() if summary is None else summary
    for window in windows:
        if stop is not None and stop():
            total.stopped = True
            break
        if progress is not None:
            progress(total.windows, window)
        readings = [source.read(window) for source in sources]
        said = [bars for reading in readings for bars in reading.bars if len(bars.bars)]
        refused = [line for reading in readings for line in reading.refused]
        for part in rounds(said):
            result = store.merge(part)
            total.add(result)
            refused += not_kept(result.refused, part)
        if look is not None:
            look(said, window)
        if judge is not None:
            total.outside.add(judge.outside(said))
        total.refuse(refused)
        total.repeated += sum(reading.repeated for reading in readings)
        if keep is not None and refused:
            keep(refused)
        for bars in said:
            total.read[bars.source] += len(bars.bars)
        total.windows += 1
        if done is not None:
            done(window)
    return total


def rounds(said: Sequence[SourceBars]) -> Iterator[list[SourceBars]]:
    """Parts in which each source stands once for an interval, in the order given.

    Several files of one source are words one after the other: the last one counts.
    """
    waiting = list(said)
    while waiting:
        part: dict[tuple[str, str], SourceBars] = {}
        rest = []
        for each in waiting:
            key = (each.source, each.interval)
            if key in part:
                rest.append(each)
            else:
                part[key] = each
        yield list(part.values())
        waiting = rest


class Unfinished:
    """Windows that an interrupted run has merged; without a checkpoint there are none."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._checkpoint = checkpoint

    def left(self, windows: Sequence[Window]) -> list[Window]:
        """Those that are still to do."""
        if self._checkpoint is None:
            return list(windows)
        if self._checkpoint.work is None:
            self._checkpoint.begin({})
            return list(windows)
        left = [each for each in windows if _key(each) not in self._checkpoint.done]
        say(f"going on: {len(windows) - len(left)} of {len(windows)} windows are merged already")
        return left

    def note(self, window: Window) -> None:
        if self._checkpoint is not None:
            self._checkpoint.note(_key(window))

    def finish(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.finish()


def _key(window: Window) -> str:
    names = [each.instrument.name for each in window.listed]
    return f"{window.interval} {window.since:%Y-%m-%d} {names[0]} {names[-1]}"
