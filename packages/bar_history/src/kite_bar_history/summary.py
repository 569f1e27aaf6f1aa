"""What a run did, added up over its windows: for people and as JSON. Pure but for printing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from kite_bar_history.protocol import RefusedLine
from kite_bar_history.timing import shift_text
from kite_bar_history.universe import Listed, near
from kite_bar_history.vendor_files.values import Roster
from kite_bars_store.bars import GoldenCount, MergeResult
from kite_bars_store.bars.comparing import Comparison
from kite_bars_store.bars.missing.missing import Cause
from kite_bars_store.bars.out_of_session import OutsideBars
from kite_bars_store.bars.records import NEEDS_A_LOOK, Flag
from kite_bars_store.stores import Days
from kite_contracts.sessions import SessionCalendar
from kite_runtime.console import stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, EXIT_TRY_LATER
from kite_runtime.invocation import as_typed

EXAMPLES_MAX: Final = 5
NO_ANSWER: Final = "NO_ANSWER"
"""The reason of an instrument that Kite keeps answering with an error; it is put aside."""
WRONG_INTERVAL: Final = "WRONG_INTERVAL"
"""The reason of bars that are wider than asked for: of an answer of Kite, or in a file."""


@dataclass(frozen=True)
class FileReport:
    """A vendor's file: by which layout it was read, what was in it, or why nothing was taken."""

    path: Path
    layout: str | None
    rows: int = 0
    """Lines with bars, refused ones included."""
    not_asked: int = 0
    """Bars of other instruments or days than those asked for."""
    reason: str | None = None
    """Why the whole file was refused: a code; None when it was read."""
    message: str = ""
    remarks: tuple[str, ...] = ()
    """What is worth a look and no fault."""

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "path": str(self.path), "remarks": list(self.remarks)}


@dataclass
class RunSummary:
    """Counts of bars, except where another unit is named."""

    dry_run: bool = False
    stopped: bool = False
    """By Ctrl-C, before all windows were merged."""
    windows: int = 0
    read: Counter[str] = field(default_factory=Counter)
    """By source."""
    added: int = 0
    revised: int = 0
    unchanged: int = 0
    revising: int = 0
    """Batches that revised bars."""
    repeated: int = 0
    not_asked: int = 0
    """Bars that Kite sent of times that were not asked for; left out."""
    revisions: int = 0
    """Stretches restated by one ratio, which wait for a decision."""
    golden: GoldenCount = field(default_factory=GoldenCount)
    refused: Counter[str] = field(default_factory=Counter)
    """Lines by reason."""
    examples: list[RefusedLine] = field(default_factory=list)
    """The first refused lines."""
    outside: OutsideBars = field(default_factory=OutsideBars)
    files: list[FileReport] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    """Minutes without a bar by cause, where they were looked for."""
    unexplained: int = 0
    """Those of them that no cause explains."""
    days: Days | None = None
    """Where the golden bars of whole days are to be listed by `findings`."""
    refused_folder: Path | None = None
    """Where the refused lines lie."""
    doubts: list[str] = field(default_factory=list)
    """Sentences on bars that can hardly be true (`doubts.Anomalies`)."""
    notes: list[str] = field(default_factory=list)
    """Sentences for people, on what was done besides."""

    def add(self, result: MergeResult) -> None:
        """Count one merge."""
        self.added += sum(each.added for each in result.batches)
        self.revised += sum(each.revised for each in result.batches)
        self.unchanged += result.unchanged
        self.revising += sum(each.revised > 0 for each in result.batches)
        self.repeated += result.repeated
        self.revisions += sum(each.revisions for each in result.batches)
        self.golden += result.golden

    def refuse(self, lines: Sequence[RefusedLine]) -> None:
        """Count refused lines."""
        self.refused.update(line.reason for line in lines)
        self.examples += lines[: EXAMPLES_MAX - len(self.examples)]

    @property
    def conflicts(self) -> int:
        return sum(n for verdict, n in self.golden.verdicts.items() if verdict.is_conflict)

    @property
    def is_clean(self) -> bool:
        """Whether the same call has nothing to say that this one did not."""
        said = self.refused.total() or self.doubts or self.outside.traded_in_halt
        return not (said or self.stopped or any(e.reason or e.remarks for e in self.files))

    @property
    def has_findings(self) -> bool:
        """Whether anything needs attention: conflicts, refused lines or files, revisions, gaps."""
        bad_files = any(each.reason for each in self.files)
        refused = self.refused.total()
        waiting = self.revisions or self.unexplained or self.doubts or self.outside.traded_in_halt
        waiting = waiting or any(self.golden.flags.get(flag) for flag in NEEDS_A_LOOK)
        return bool(self.conflicts or refused or bad_files or waiting)

    @property
    def exit_code(self) -> int:
        """That of trying again later only where nothing was possible."""
        if self.refused[NO_ANSWER] and not self.read.total():
            return EXIT_TRY_LATER
        return EXIT_FINDINGS if self.has_findings else EXIT_DONE

    def as_dict(self) -> dict[str, Any]:
        """For JSON: counts by name, the largest first."""
        golden = self.golden
        return {
            "dry_run": self.dry_run,
            "stopped": self.stopped,
            "windows": self.windows,
            "read": _sorted(self.read),
            "added": self.added,
            "revised": self.revised,
            "unchanged": self.unchanged,
            "repeated": self.repeated,
            "not_asked": self.not_asked,
            "golden": {
                "inserted": golden.inserted,
                "updated": golden.updated,
                "deleted": golden.deleted,
            },
            "verdicts": _sorted({each.name: n for each, n in golden.verdicts.items()}),
            "flags": _sorted({str(each.name): n for each, n in golden.flags.items()}),
            "conflicts": self.conflicts,
            "revisions": self.revisions,
            "refused": _sorted(self.refused),
            "refused_folder": None if self.refused_folder is None else str(self.refused_folder),
            "outside": _sorted(self.outside.causes),
            "traded_in_halt": self.outside.traded_in_halt,
            "missing": _sorted(self.missing),
            "unexplained": self.unexplained,
            "files": [each.as_dict() for each in self.files],
            "doubts": self.doubts,
            "notes": self.notes,
        }


def print_summary(summary: RunSummary, as_json: bool) -> int:
    """Print it to stdout; returns the exit code."""
    if as_json:
        stdout.print(json.dumps(summary.as_dict()), markup=False, soft_wrap=True)
    else:
        for line in lines_of(summary):
            stdout.print(as_typed(line), markup=False, soft_wrap=True)
    return summary.exit_code


def lines_of(summary: RunSummary) -> list[str]:
    """The summary for people; what is zero is left out, where that is the usual."""
    golden = summary.golden
    lines = [
        _line("read", summary.read),
        f"observations   {summary.added:,} new, {summary.revised:,} revised, "
        f"{summary.unchanged:,} unchanged",
        f"golden bars    {golden.inserted:,} inserted, {golden.updated:,} updated, "
        f"{golden.deleted:,} deleted",
    ]
    if summary.repeated:
        lines.append(f"repeated       {summary.repeated:,} bars stood there more than once")
    lines += _parts("verdicts", {each.name: n for each, n in golden.verdicts.items()})
    lines += _parts("flags", {str(each.name): n for each, n in golden.flags.items()})
    lines += finding_lines(summary)
    days, flagged = summary.days, any(flag is not Flag.FLAT for flag in +golden.flags)
    listed = summary.conflicts or summary.unexplained or summary.doubts or flagged
    listed = listed or summary.outside.traded_in_halt or summary.missing[Cause.OUTAGE]
    if days and listed and not summary.dry_run:
        lines.append(
            f"to see which   hist_merge findings --from {days.first} --to {days.last}: by flag, "
            "verdict or cause and instrument"
        )
    if summary.dry_run:
        lines.append("dry run        nothing was written; the counts are what would be")
    return lines


def finding_lines(summary: RunSummary) -> list[str]:
    """What needs attention; nothing where all is well."""
    lines: list[str] = []
    lines += _parts("outside", summary.outside.causes, " (kept as observations, never golden)")
    lines += [f"               {each}" for each in summary.outside.examples]
    if summary.outside.traded_in_halt:
        lines.append(
            f"in doubt       {summary.outside.traded_in_halt:,} bars with a volume within a halt: "
            "it may have begun or ended at another time in this segment (sessions.toml)"
        )
    lines += _parts("missing", summary.missing)
    lines += _parts("refused", summary.refused)
    lines += [
        f"               {each.place}, line {each.line}: {each.reason}: {each.message}"
        for each in summary.examples
    ]
    if more := summary.refused.total() - len(summary.examples):
        lines.append(f"               and {more:,} more")
    for each in summary.files:
        if each.reason:
            lines.append(f"file refused   {each.path}: {each.reason}: {each.message}")
        lines += [f"remark         {each.path}: {remark}" for remark in each.remarks]
    if summary.not_asked:
        lines.append(
            f"left out       {summary.not_asked:,} bars of days that Kite was not asked for"
        )
    not_asked = sum(each.not_asked for each in summary.files)
    if not_asked:
        lines.append(f"left aside     {not_asked:,} bars of other instruments or days")
    if summary.revisions:
        lines.append(
            f"revisions      {summary.revisions:,} stretches restated by one ratio wait for a "
            "decision: see `hist_merge revisions`"
        )
    if summary.refused_folder is not None:
        lines.append(
            f"to be fixed    {summary.refused_folder}: correct the lines, then give the files as "
            "--vendor"
        )
    lines += [f"in doubt       {doubt}" for doubt in summary.doubts]
    lines += [f"note           {note}" for note in summary.notes]
    return lines


def _line(name: str, counts: Counter[str]) -> str:
    said = ", ".join(f"{n:,} of {key}" for key, n in _sorted(counts).items())
    return f"{name:<14} {said or 'nothing'}"


def _parts(name: str, counts: dict[str, int] | Counter[str], tail: str = "") -> list[str]:
    if not any(counts.values()):
        return []
    return [f"{name:<14} {_listed(counts)}{tail}"]


def _listed(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{key} {n:,}" for key, n in _sorted(counts).items())


def _sorted(counts: dict[str, int] | Counter[str]) -> dict[str, int]:
    items: Iterable[tuple[str, int]] = counts.items()
    return dict(sorted(items, key=lambda item: (-item[1], item[0])))


def comparison_lines(found: Comparison) -> list[str]:
    """What to print, a line each; counts of bars where nothing else is named."""
    lines = [_counts("bars", found.bars)]
    if len(found.bars) > 1:
        lines += [
            f"{'common':<14} {found.common:,}",
            f"{'OHLC equal':<14} {found.ohlc_equal:,}",
            f"{'with volume':<14} {found.ohlc_volume_equal:,} equal in OHLC and volume",
            f"{'within a tick':<14} {found.within_one_tick:,}",
            f"{'volume equal':<14} {found.volume_equal:,}",
            f"{'largest gap':<14} {found.largest_difference} between two prices",
        ]
        lines += [f"{'open':<14} {each}" for each in found.opens.sentences(found.sources)]
        if shift := found.better_shift():
            lines.append(
                f"{'in doubt':<14} with {found.second} {shift_text(shift)}, "
                f"{found.equal_at[shift]:,} would be equal in OHLC: check its stamp and time_zone"
            )
    lines += [
        _counts("volume", found.volume),
        f"{'golden':<14} {found.golden:,} inside the session, {found.outside:,} outside it",
        _counts("verdicts", found.verdicts),
        _counts("won", found.won),
    ]
    if found.flags:
        lines.append(_counts("flags", found.flags))
    return lines


def _counts(name: str, counts: dict[str, int]) -> str:
    return f"{name:<14} {_listed(counts) or 'none'}"


def remarks(
    listed: Sequence[Listed], first: date, last: date, calendar: SessionCalendar
) -> Iterator[str]:
    """Sentences on unknown tick sizes, and on a span without any session."""
    if listed and not any(each.instrument.tick_size for each in listed):
        yield (
            f"no tick size is known on {last}: prices are held against price_bps alone, none is "
            "flagged OFF_TICK; `instruments sync` records tick sizes"
        )
    segments = sorted({each.segment for each in listed})
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    if segments and not any(calendar.day(each, day).phases for each in segments for day in days):
        yield f"there is no session of {', '.join(segments)} on these days: `instruments calendar`"


def remarks_on_missing(
    by_symbol: Mapping[str, Mapping[Cause, int]], without: Sequence[str], refused: int
) -> Iterator[str]:
    """Sentences on minutes that are missing for a reason that no calendar has: instruments
    ``without`` any bar, as when a file was of one instrument, and lines that were ``refused``."""
    absent = sum(by_symbol.get(name, {}).get(Cause.NO_BARS, 0) for name in without)
    if absent:
        yield (
            f"{absent:,} of the missing minutes are of {len(without):,} instruments without "
            f"any bar, such as {without[0]}: --symbols names those that are meant"
        )
    if refused and by_symbol:
        yield "minutes whose lines were refused are among the missing ones"


def remarks_on_names(without: Sequence[str], roster: Roster) -> Iterator[str]:
    """Sentences on instruments ``without`` bars in any file, where the files have a name much like
    theirs, or contracts that could be these if the history described them."""
    others = roster.left_aside() if without else []
    for name in without[:EXAMPLES_MAX]:
        like = near(name, others)
        if like:
            yield (
                f"no file has bars of {name}; there are some of {', '.join(like)}: if that is "
                "meant, write it under rename in the layout"
            )
    unknown = roster.undescribed()
    if unknown:
        yield (
            f"the files name contracts by expiry, and the instrument history does not describe "
            f"{', '.join(unknown[:EXAMPLES_MAX])}: run `instruments sync` on a day they are listed"
        )
