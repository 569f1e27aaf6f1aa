"""``show``: one bar, everything that is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.console import Group as Stack
from rich.markup import escape
from rich.table import Table

from kite_contracts.errors import UnknownContractError
from kite_contracts.sessions import SessionCalendar
from kite_hist_merge.commands.options import AsOf, Recorded, a_time, open_stores, settings_of
from kite_runtime.clock import IST
from kite_runtime.console import stdout
from kite_runtime.options import AsJson, Root
from kite_runtime.tables import SparingTable

if TYPE_CHECKING:
    from kite_bars_store.bars import SourceBars
    from kite_bars_store.bars.explain import Asked
    from kite_bars_store.stores import Stores

AROUND: Final = 2
"""Bars shown on each side."""
_PRICES: Final = ("open", "high", "low", "close", "volume", "oi")


def command(
    symbol: Annotated[
        str,
        typer.Argument(
            metavar="SYMBOL",
            help="Such as NSE:SBIN; quote one with a blank or an &: 'NSE:NIFTY 50', 'NSE:M&M'.",
        ),
    ],
    time: Annotated[
        datetime,
        typer.Argument(
            metavar="TIME",
            parser=a_time,
            help="When the bar opens: 2026-06-01T10:15 or '2026-06-01 10:15', in India's time "
            "unless it names a zone; a date is enough for a day.",
        ),
    ],
    interval: Annotated[
        Recorded, typer.Option("--interval", help="m1 is a minute, d1 a day.")
    ] = Recorded.MINUTES,
    as_of: AsOf = None,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Show one bar: what every source had of it and when, the golden bar, and why it is so."""
    from kite_bar_history.universe import symbol_of
    from kite_bars_store.bars import INTERVALS, BarSurvey
    from kite_bars_store.bars.explain import Asked, tell
    from kite_bars_store.database import snapshot

    with (
        open_stores(settings_of(root)) as stores,
        snapshot(stores.connection, "reading a bar"),
    ):
        names = BarSurvey(stores.connection).names()
        opens = _opening(time, interval)
        asked = Asked(symbol_of(symbol, names), opens, interval, as_of)
        story = stores.bars.story(asked.symbol, opens, interval)
        step = timedelta(minutes=INTERVALS[interval])
        minutes = interval == Recorded.MINUTES
        day = _day(stores, asked) if minutes else []
        around = stores.bars.read_bars(
            [asked.symbol],
            opens - AROUND * step,
            opens + (AROUND + 1) * step,
            interval,
            as_of=as_of,
        ).to_pylist()
        absent = _absent(stores.calendar, asked)
    observations = () if story is None else story.observations
    document = tell(asked, observations, around, stores.rules, absent, day)
    if as_json:
        print(orjson.dumps(document).decode())
    else:
        stdout.print(Stack(*_view(document)))
    return 0


def _opening(time: datetime, interval: str) -> datetime:
    """When the bar opens that ``time`` is in."""
    local = time.astimezone(IST)
    if interval == Recorded.DAYS:
        return local.replace(hour=0, minute=0, second=0, microsecond=0)
    return local.replace(second=0, microsecond=0)


def _day(stores: Stores, asked: Asked) -> list[SourceBars]:
    """What the sources have on the bar's day."""
    from kite_bars_store.bars import BarSurvey

    since = asked.ts_open.replace(hour=0, minute=0)
    span, survey = (since, since + timedelta(1)), BarSurvey(stores.connection)
    own = survey.instruments(*span, [asked.symbol], observed=True)
    found = survey.observed(own, *span, stores.rules, asked.as_of)
    return [each for said in found for each in said]


def _absent(calendar: SessionCalendar, asked: Asked) -> str:
    """Why the calendar expects no bar; empty where it does, or does not know the exchange."""
    from kite_bars_store.bars.sql import nanoseconds

    try:
        if asked.interval == Recorded.DAYS:
            day = calendar.day(asked.exchange, asked.ts_open.date())
            return "" if day.is_trading else f"{day.date}: {day.reason}"
        cause = calendar.cause(asked.exchange, nanoseconds(asked.ts_open))
    except UnknownContractError:
        return ""
    return "" if cause is None else cause.sentence


def _view(document: Mapping[str, Any]) -> Iterator[Any]:
    when = document["ts_open"][:16].replace("T", " ")
    known = "" if document["as_of"] is None else f", as of {document['as_of']}"
    yield f"[bold]{escape(document['symbol'])}[/bold] {when} IST, {document['interval']}{known}"
    golden = document["golden"]
    if golden is None:
        yield "no golden bar"
    else:
        yield f"[bold]{golden['verdict']}[/bold]"
    yield from (escape(f"  {line}") for line in document["why"])
    yield from (escape(f"  {line}") for line in document["flags"])
    if document["observations"]:
        yield _said(document)
    if document["around"]:
        yield _around(document)


def _said(document: Mapping[str, Any]) -> Table:
    table = Table(title="observations", title_justify="left")
    for name in ("source", "status", "batch", "recorded at (IST)", "file"):
        table.add_column(name, overflow="fold")
    for name in _PRICES:
        table.add_column(name, justify="right", no_wrap=True)
    golden = document["golden"]
    for each in document["observations"]:
        table.add_row(
            each["source"]
            if each["purpose"] == "history"
            else f"{each['source']} ({each['purpose']})",
            each["status"],
            str(each["batch_id"]),
            each["recorded_at"][:19].replace("T", " "),
            escape(each["file"] or ""),
            *(_value(each[name], name, golden) for name in _PRICES),
        )
    if golden is not None:
        table.add_section()
        cells = (_value(golden[name], name, None) for name in _PRICES)
        table.add_row("golden", *("",) * 4, *cells, style="bold")
    return table


def _value(value: object, name: str, golden: Mapping[str, Any] | None) -> str:
    """A value as text, marked where it is not the golden one."""
    text = "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return f"[yellow]{text}[/yellow]" if golden is not None and value != golden[name] else text


def _around(document: Mapping[str, Any]) -> Table:
    spare = ("flags", "oi")
    table = SparingTable(title="golden bars around it", title_justify="left", spare=spare)
    table.add_column("time (IST)")
    for name in _PRICES:
        table.add_column(name, justify="right")
    table.add_column("verdict")
    table.add_column("flags", overflow="fold")
    for each in document["around"]:
        table.add_row(
            each["ts_open"][:16].replace("T", " "),
            *(_value(each[name], name, None) for name in _PRICES),
            each["verdict"],
            ", ".join(each["flags"]),
            style="bold" if each["ts_open"] == document["ts_open"] else "",
        )
    return table
