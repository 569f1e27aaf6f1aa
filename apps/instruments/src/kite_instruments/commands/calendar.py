"""``calendar``: what a day is, in which hours a segment trades, why, and by which source."""

from __future__ import annotations

import json
from calendar import monthrange
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import typer

from kite_contracts.sessions import CLASSES, SEGMENTS, PhaseName, SessionCalendar, TradingDay
from kite_runtime.clock import today
from kite_runtime.console import say, stdout
from kite_runtime.errors import UsageError
from kite_runtime.options import FROM, TO, AsJson, Root, a_date
from kite_runtime.tables import make_table

SESSIONS: Final = Path("configs/sessions.toml")
DAYS_MAX: Final = 3660


def a_month(text: str) -> date:
    """The first day of a month. Raises BadParameter."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no month such as 2026-08") from error


def a_segment(text: str) -> str:
    """A segment's name, in either case. Raises BadParameter."""
    if text.upper() not in SEGMENTS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(SEGMENTS)}")
    return text.upper()


def a_class(text: str) -> str:
    """A class of instruments. Raises BadParameter."""
    if text not in CLASSES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(CLASSES)}")
    return text


Segment = Annotated[
    str,
    typer.Option(
        "--segment", metavar="NAME", parser=a_segment, help=f"One of {' '.join(SEGMENTS)}."
    ),
]
Day = Annotated[
    date | None,
    typer.Option("--date", metavar="DATE", parser=a_date, help="One day. Default: today in India."),
]
Month = Annotated[
    date | None,
    typer.Option("--month", metavar="YYYY-MM", parser=a_month, help="All days of a month."),
]
StockClass = Annotated[
    str | None,
    typer.Option(
        "--class",
        metavar="CLASS",
        parser=a_class,
        help="Instruments with other hours than their segment: fo-stock (NSE, BSE), agri or "
        "agri-international (MCX, NCO).",
    ),
]


def command(
    segment: Segment = "NSE",
    on: Day = None,
    first: Annotated[date | None, FROM] = None,
    last: Annotated[date | None, TO] = None,
    month: Month = None,
    stock_class: StockClass = None,
    root: Root = Path(),
    as_json: AsJson = False,
) -> int:
    """Explain a day of a segment, or list the days of a month or a span.

    Shows the phases, the bars to expect, the reason, and the source: a circular, the exchange's
    holidays, or that the answer is assumed. In a list, `*` marks what differs from the usual and
    `?` what is assumed. The hours are those of configs/sessions.toml, or the delivered ones.
    """
    span = _span(on, first, last, month)
    path = root / SESSIONS
    calendar = SessionCalendar.load(path if path.exists() else None)
    if span is None:
        day = calendar.day(segment, on or today(), stock_class)
        _print_day(day, as_json)
    else:
        _print_days(calendar.days(segment, *span, stock_class), as_json)
    if warning := calendar.ends_soon(segment, today()):
        say(f"warning: {warning}")
    return 0


def _span(
    on: date | None, first: date | None, last: date | None, month: date | None
) -> tuple[date, date] | None:
    """First and last day of a list; None where one day is asked for. Raises UsageError."""
    ways = [name for name, value in (("--date", on), ("--month", month)) if value is not None]
    if first is not None or last is not None:
        ways.append("--from and --to")
    if len(ways) > 1:
        raise UsageError(f"{ways[0]} and {ways[1]} exclude each other: give one of them")
    if month is not None:
        return month, month.replace(day=monthrange(month.year, month.month)[1])
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise UsageError("--from and --to belong together: give both, or --date for one day")
    if not 0 <= (last - first).days < DAYS_MAX:
        raise UsageError(
            f"--from {first} --to {last} must be 1 to {DAYS_MAX:,} days, the first one first"
        )
    return first, last


def _print_day(day: TradingDay, as_json: bool) -> None:
    if as_json:
        print(json.dumps(day.as_dict()))
        return
    who = f"{day.segment} ({day.stock_class})" if day.stock_class else day.segment
    stdout.print(f"{who} {_verdict(day)} on {day.date:%A}, {day.date}", markup=False)
    if day.phases:
        table = make_table("phase", "opens", "closes", "minutes", "verified", right={"minutes"})
        for phase in day.phases:
            minutes = (phase.closes_ns - phase.opens_ns) // 60_000_000_000
            sure = "yes" if phase.is_sure else "no"
            table.add_row(
                *(str(phase.name), f"{phase.opens:%H:%M}", f"{phase.closes:%H:%M}"),
                *(str(minutes), sure),
            )
        stdout.print(table)
    for name in ("kind", "reason", "source", "note"):
        if text := str(getattr(day, name)):
            stdout.print(f"{name + ':':8}{text}", markup=False, soft_wrap=True)
    if day.is_assumed:
        stdout.print("This answer is assumed; docs/calendar.md shows how to state it as a fact.")


def _verdict(day: TradingDay) -> str:
    if not day.is_trading:
        return "is closed"
    bars = len(day.minutes())
    return f"trades ({bars:,} one-minute bars)" if bars else "trades, at hours that are not known,"


def _print_days(days: list[TradingDay], as_json: bool) -> None:
    if as_json:
        for day in days:
            print(json.dumps(day.as_dict()))
    else:
        columns = ("", "date", "day", "kind", "continuous", "bars", "why")
        table = make_table(*columns, right={"bars"})
        for day in days:
            mark = "*" * day.is_irregular + "?" * day.is_assumed
            table.add_row(
                *(mark, str(day.date), f"{day.date:%a}", str(day.kind), _hours(day)),
                *(str(len(day.minutes()) or ""), day.reason if mark else ""),
            )
        stdout.print(table)
    trading = sum(day.is_trading for day in days)
    bars = sum(len(day.minutes()) for day in days)
    irregular = sum(day.is_irregular for day in days)
    assumed = sum(day.is_assumed for day in days)
    say(
        f"{len(days):,} days: {trading:,} trading days with {bars:,} bars, "
        f"{irregular:,} irregular (*), {assumed:,} assumed (?)"
    )


def _hours(day: TradingDay) -> str:
    """The continuous phases, joined where one follows the other."""
    spans: list[tuple[int, int, str]] = []
    for phase in day.phases:
        if phase.name is not PhaseName.CONTINUOUS:
            continue
        begins = f"{phase.opens:%H:%M}"
        opens_ns = phase.opens_ns
        if spans and spans[-1][1] == phase.opens_ns:
            opens_ns, _, earlier = spans.pop()
            begins = earlier.split("-")[0]
        spans.append((opens_ns, phase.closes_ns, f"{begins}-{phase.closes:%H:%M}"))
    return ", ".join(text for *_, text in spans)
