"""Options and preparations that several commands share, each with its help once."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from kite_hist_merge.settings import Settings
from kite_runtime.clock import IST, today
from kite_runtime.console import say, stderr, stdout
from kite_runtime.errors import Interrupted, NotFound

if TYPE_CHECKING:
    from kite_bar_history.run import Resources
    from kite_bar_history.summary import RunSummary
    from kite_bars_store.stores import Days, Stores
    from kite_broker_zerodha.rest import KiteRest

_SYMBOL: Final = re.compile(r"[A-Za-z]{1,10}:[^,]{1,60}")


class Recorded(StrEnum):
    """The intervals that sources have; the others are made from them."""

    MINUTES = "m1"
    DAYS = "d1"


def a_time(text: str) -> datetime:
    """A minute as it is typed, in India's time unless it names a zone. Raises BadParameter."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time such as 2024-01-05T09:15") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=IST)


def a_symbol(text: str) -> str:
    """A symbol with its exchange. Raises BadParameter."""
    text = text.strip()
    if not _SYMBOL.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no symbol such as NSE:SBIN")
    exchange, _, tradingsymbol = text.partition(":")
    return f"{exchange.upper()}:{tradingsymbol.strip()}"


def an_interval(text: str) -> str:
    """A length of recorded bars. Raises BadParameter."""
    if text not in tuple(Recorded):
        raise typer.BadParameter(f"{text!r} is not recorded: take m1 or d1")
    return text


def symbols_of(values: list[str] | None) -> list[str] | None:
    """Each symbol once, also of values with commas in them. Raises BadParameter."""
    parts = [part for value in values or () for part in value.split(",")]
    return list(dict.fromkeys(map(a_symbol, parts))) or None


def _symbols(default: str) -> Any:
    return typer.Option(
        "--symbol",
        "--symbols",
        metavar="EXCHANGE:SYMBOL",
        callback=symbols_of,
        help="Only this instrument, such as NSE:SBIN; may be repeated, or have several with commas "
        f"between. Default: {default}.",
    )


Symbols = Annotated[list[str] | None, _symbols("the universe")]
WithBars = Annotated[list[str] | None, _symbols("all with bars")]
Expected = Annotated[
    list[str] | None,
    _symbols("those of tokens.csv, and all with bars on these days or in the 31 days before"),
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        parser=a_time,
        help="The bars as they were known at this time, in India's unless it names a zone.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Read and compare everything, write nothing, show what would be."
    ),
]
Vendor = Annotated[
    list[Path] | None,
    typer.Option(
        "--vendor",
        metavar="PATH",
        help="A vendor's file, or a folder of them; may be repeated. CSV, text or Parquet, also "
        "as .gz or .zst, or one in a .zip.",
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
LayoutNames = Annotated[
    list[str] | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="The layout of the files, of configs/vendor.toml; with --files once for all, or once "
        "for each in their order. Default: the one that fits.",
    ),
]
AcceptAdjusted = Annotated[
    bool,
    typer.Option(
        "--accept-adjusted", help="Take files by whose layout prices were adjusted later."
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


def settings_of(root: Path) -> Settings:
    """The settings of this process. Raises ConfigurationError."""
    return Settings.load(root, os.environ)


def open_stores(settings: Settings) -> AbstractContextManager[Stores]:
    """The database, checked. Raises SettingError, RulesFaulty, TryAgain and NotConfigured."""
    from kite_bars_store import stores

    dsn = settings.require_postgres()
    return stores.open_stores(dsn, settings.rules_file, application="hist_merge")


def past_days(first: date | None, last: date | None, day: date | None) -> Days:
    """The span that is asked about. Raises UsageError for one that has not begun, too."""
    from kite_bars_store.stores import days_of

    days = days_of(first, last, day)
    days.check_begun(today())
    return days


def expected_names(
    stores: Stores, settings: Settings, days: Days, symbols: list[str] | None
) -> list[str]:
    """Of which instruments bars are expected: ``symbols``, or those of tokens.csv and those that
    have had bars; sorted. Raises NotFound for a symbol that is known nowhere, or where there is
    none at all."""
    from kite_bar_history.universe import read_tokens, symbol_of
    from kite_bars_store.bars import BarSurvey
    from kite_bars_store.bars.missing.coverage import expected_on

    file = settings.universe_file
    named = read_tokens(file) if file.exists() else []
    universe = [f"{each.exchange}:{each.tradingsymbol}" for each in named if each.tradingsymbol]
    if symbols is None:
        found = expected_on(*(stores.connection, days.first, days.last), universe, stores.calendar)
        if not found:
            raise NotFound(
                f"no bars are expected {days}: {file} names no "
                "instruments and none had bars in the 31 days before; name some with --symbol"
            )
        return found
    known = [*BarSurvey(stores.connection).names(), *universe]
    master = stores.instruments.histories(each.partition(":")[::2] for each in symbols)
    known += [f"{exchange}:{symbol}" for exchange, symbol in master]
    names = list(dict.fromkeys(known))
    return sorted({symbol_of(each, names) for each in symbols})


def no_session(names: Sequence[str], days: Days) -> str:
    """What to print where no minute is expected of the instruments."""
    exchanges = ", ".join(sorted({name.partition(":")[0] for name in names}))
    return (
        f"no session of {exchanges} has ended {days}, so no minute is missing: "
        "`instruments calendar`"
    )


@contextmanager
def open_resources(settings: Settings) -> Iterator[Resources]:
    """What runs need besides options; Kite is asked when they log in. Raises as `open_stores`."""
    from kite_bar_history.run import Resources
    from kite_broker_zerodha.settings import is_kite

    with open_stores(settings) as opened:
        yield Resources(
            opened,
            universe_file=settings.universe_file,
            vendor_file=settings.vendor_file,
            state_dir=settings.state_dir,
            log_in=partial(_log_in, settings),
            kafka=settings.kafka,
            bars_topic=settings.topic,
            events_topic=settings.events_topic,
            kite_is_simulated=not is_kite(settings.api_url),
        )


def _log_in(settings: Settings, sleep: Callable[[float], object] = time.sleep) -> KiteRest:
    """A client with the token of the day; a context manager. Raises as `token_of_day`."""
    from kite_broker_zerodha.rest import open_client

    return open_client(settings, settings.token_of_day(), sleep=sleep)


def show_table(title: str, rows: Mapping[str, str]) -> None:
    """Names and values, on stderr."""
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    stderr.print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """One JSON object, on stdout."""
    stdout.print(json.dumps(dict(facts)), markup=False, soft_wrap=True)


def time_of_calls(calls: int) -> str:
    """How long so many calls of history take at Kite's pace."""
    from kite_bar_history.backfill import CALLS_A_SECOND_MAX

    if not calls:
        return "none"
    whole = max(1, round(calls / CALLS_A_SECOND_MAX))
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    spent = " ".join(f"{value} {unit}" for value, unit in parts if value)
    return f"{spent} at {CALLS_A_SECOND_MAX:g} calls a second"


def ended(summary: RunSummary) -> None:
    """Raises Interrupted when the run was stopped; to be called when the summary is printed."""
    if summary.stopped:
        say("what is merged stays; the same command goes on from here")
        raise Interrupted
