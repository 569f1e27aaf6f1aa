"""The report's page: everything in one file, no script, nothing from outside."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from kite_bars_store.bars import Conflict, Flag, RestatedStretch, Verdict
from kite_bars_store.bars.explain import CAUSES, FLAGS, MEANINGS, differences
from kite_bars_store.bars.missing.missing import UNEXPLAINED, Cause
from kite_bars_store.report.heatmap import LEGEND, Chart, chart, class_names, heatmap
from kite_bars_store.report.model import PRICE_EDGES, VOLUME_EDGES, Report
from kite_runtime.clock import IST

PACKAGE: Final = "kite_bars_store.report"
HOLES_MAX: Final = 20
FINDINGS_MAX: Final = 300
NAMED_MAX: Final = 6
_NARROW: Final = 600
_WIDE: Final = 1_080


@dataclass(frozen=True)
class Share:
    """A line of a table with a bar; ``part`` is of the largest line, in percent."""

    name: str
    count: int
    share: str
    part: float
    meaning: str
    kind: str = ""


@dataclass(frozen=True)
class HoleLine:
    """The same hole of several instruments."""

    since: str
    minutes: int
    cause: str
    symbols: str
    count: int


@dataclass(frozen=True)
class ConflictLine:
    """A conflict and the command that shows more."""

    symbol: str
    when: str
    details: str
    verdict: str
    command: str


@dataclass(frozen=True)
class RevisionLine:
    """A revision that waits, and what decides on it."""

    symbol: str
    source: str
    span: str
    bars: int
    ratio: str
    command: str


def render(report: Report) -> str:
    """The page."""
    missing = report.missing
    expected, present = int(missing.expected.sum()), int(missing.present.sum())
    absent = int(report.absent().sum())
    values: dict[str, Any] = {
        "report": report,
        "css": _css(),
        "first": report.days[0],
        "last": report.days[-1],
        "bars": int(report.bars.sum()),
        "coverage": _exact(present, expected),
        "absent": absent,
        "explained": _exact(expected - absent, expected),
        "conflict_share": _exact(report.conflict_count, report.compared),
        "heatmap": heatmap(report),
        "legend": LEGEND,
        "causes": _causes(report),
        "holes": list(_holes(report)),
        "verdicts": _verdicts(report),
        "charts": _charts(report),
        "by_day": _by_day(report),
        "largest": [_conflict(report, each) for each in report.largest],
        "carried_opens": list(report.opens.sentences(report.rules.sources)),
        "findings": report.findings[:FINDINGS_MAX],
        "more_findings": max(len(report.findings) - FINDINGS_MAX, 0),
        "flags": _flags(report),
        "revisions": [_revision(each) for each in report.revisions],
    }
    return _templates().get_template("report.html").render(values)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = lambda count: f"{count:,}"
    return made


def _css() -> str:
    return resources.files(PACKAGE).joinpath("templates", "report.css").read_text("utf-8")


def _exact(part: int, whole: int) -> str:
    """Two decimals, cut off: 100.00 is all."""
    return f"{part * 10_000 // whole / 100:.2f} %" if whole else "–"  # noqa: RUF001


def _shares(rows: list[tuple[str, int, str, str]], whole: int) -> list[Share]:
    most = max((row[1] for row in rows), default=0)
    return [
        Share(
            name, count, _exact(count, whole), round(100 * count / most, 1) if most else 0, *details
        )
        for name, count, *details in rows
    ]


def _causes(report: Report) -> list[Share]:
    counts = report.missing.by_cause()
    rows = [
        (str(cause), counts[cause], meaning, str(cause).lower())
        for cause, meaning in CAUSES.items()
        if cause in counts
    ]
    return _shares(rows, sum(counts.values()))


def _verdicts(report: Report) -> list[Share]:
    rows = [
        (verdict.name, report.verdicts[verdict], MEANINGS[verdict], _kind(verdict))
        for verdict in Verdict
        if report.verdicts.get(verdict)
    ]
    return _shares(rows, int(report.bars.sum()))


def _kind(verdict: Verdict) -> str:
    if verdict.is_conflict:
        return "conflict"
    paired = (Verdict.AGREED, Verdict.WITHIN_TOLERANCE, Verdict.AGREED_NO_TRADE)
    return "agreed" if verdict in paired else "alone"


def _flags(report: Report) -> list[Share]:
    rows = [
        (str(flag.name), report.flags[flag], FLAGS[flag], "flag")
        for flag in Flag
        if report.flags.get(flag)
    ]
    return _shares(rows, int(report.bars.sum()))


def _charts(report: Report) -> list[Chart]:
    prices, volumes = [0] * (len(PRICE_EDGES) + 2), [0] * (len(VOLUME_EDGES) + 2)
    for price, volume, count in report.sizes:
        prices[price] += count
        volumes[volume] += count
    title = "Conflicts by the largest difference in price"
    other = "The same conflicts by the difference in volume"
    unit = "percent of the larger volume"
    return [
        chart(title, "basis points", class_names(PRICE_EDGES), prices, _NARROW),
        chart(other, unit, class_names(VOLUME_EDGES, 100), volumes, _NARROW),
    ]


def _by_day(report: Report) -> Chart:
    sums = report.conflicts.sum(axis=0).tolist()
    days = [(f"{day:%d %b}", count) for day, count in zip(report.days, sums, strict=True)]
    traded = report.bars.sum(axis=0).tolist()
    shown = [each for each, bars in zip(days, traded, strict=True) if bars]
    names, values = [name for name, _ in shown], [count for _, count in shown]
    return chart("Conflicts by day", "", names, values, _WIDE)


def _holes(report: Report) -> Iterator[HoleLine]:
    """Equal holes of several instruments in one line; those with most missing in all come first."""
    alike: dict[tuple[datetime, int, Cause], list[str]] = defaultdict(list)
    for hole in report.missing.holes(*UNEXPLAINED, Cause.OUTAGE):
        alike[hole.since, hole.minutes, hole.cause].append(hole.symbol)
    order = sorted(alike, key=lambda key: (-key[1] * len(alike[key]), key[0], key[1], key[2]))
    for key in order[:HOLES_MAX]:
        names = alike[key]
        more = len(names) - NAMED_MAX
        named = ", ".join(names[:NAMED_MAX]) + (f" and {more:,} more" if more > 0 else "")
        yield HoleLine(f"{key[0]:%Y-%m-%d %H:%M}", key[1], str(key[2]), named, len(names))


def _conflict(report: Report, each: Conflict) -> ConflictLine:
    symbol = report.symbols[each.instrument]
    limits = report.rules.limits_of(symbol.partition(":")[0])
    apart = differences(each.won, each.other, each.tick, limits)
    when = f"{each.ts_open.astimezone(IST):%Y-%m-%dT%H:%M}"
    details = "; ".join(str(one) for one in apart if one.is_beyond)
    command = f"hist_merge show {shlex.quote(symbol)} {when}"
    who = f"{each.won.source} against {each.other.source}: {details}"
    return ConflictLine(symbol, when.replace("T", " "), who, each.verdict.name, command)


def _revision(each: RestatedStretch) -> RevisionLine:
    symbol = f"{each.exchange}:{each.tradingsymbol}"
    first, last = (f"{at.astimezone(IST):%Y-%m-%d}" for at in (each.first_open, each.last_open))
    return RevisionLine(
        symbol,
        each.source,
        first if first == last else f"{first} to {last}",
        each.bars,
        f"{each.ratio.normalize():f}",
        f"hist_merge accept {each.batch_id} {shlex.quote(symbol)} --note ''",
    )
