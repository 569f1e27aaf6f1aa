"""Options and preparations that several commands share, each with its help once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress

from kite_bars_store.bars import BarStore, MergeRules, load_rules
from kite_bars_store.database import Connection, connect
from kite_bars_store.instruments import InstrumentStore
from kite_contracts.sessions import IST, SessionCalendar
from kite_hist_merge.settings import Settings, load_settings
from kite_runtime.console import stderr
from kite_runtime.errors import UsageError

_COMPACT: Final = re.compile(r"[0-9]{8}")
_SYMBOL: Final = re.compile(r"[A-Za-z]{1,10}:.{1,60}")


def a_date(text: str) -> date:
    """A date as it is typed. Raises BadParameter, which Typer shows with the option's name."""
    text = text.strip()
    try:
        if _COMPACT.fullmatch(text):
            return datetime.strptime(text, "%Y%m%d").date()
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no date such as 2024-01-05 or 20240105") from error


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


Root = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="Folder with .env, .infra/.env and configs."),
]
From = Annotated[
    date,
    typer.Option(
        "--from",
        metavar="DATE",
        parser=a_date,
        help="The first day, in India: 2024-01-05 or 20240105.",
    ),
]
To = Annotated[
    date,
    typer.Option("--to", metavar="DATE", parser=a_date, help="The last day, included."),
]
Symbols = Annotated[
    list[str] | None,
    typer.Option(
        "--symbols",
        metavar="EXCHANGE:SYMBOL",
        parser=a_symbol,
        help="Only this instrument, such as NSE:SBIN; may be repeated. Default: the universe.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Read and compare everything, write nothing, say what would be."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


@dataclass(frozen=True)
class Days:
    """``[since, until)``: from midnight of the first day to the midnight after the last one."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=IST)

    @property
    def until(self) -> datetime:
        after = date.fromordinal(self.last.toordinal() + 1)
        return datetime(after.year, after.month, after.day, tzinfo=IST)


def days_of(first: date, last: date) -> Days:
    """The span of ``--from`` and ``--to``. Raises UsageError when they are the wrong way round."""
    if last < first:
        raise UsageError(f"--to {last} is before --from {first}: exchange them")
    return Days(first, last)


def settings_of(root: Path) -> Settings:
    """The settings of this process. Raises ConfigurationError."""
    return load_settings(root, os.environ)


def rules_of(settings: Settings) -> MergeRules:
    """The merge rules that the settings name, or the packaged ones. Raises RulesFaulty."""
    return load_rules(settings.rules_file)


@dataclass(frozen=True)
class Stores:
    """What commands on the database need; all share one connection."""

    connection: Connection
    bars: BarStore
    instruments: InstrumentStore
    rules: MergeRules
    calendar: SessionCalendar


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The database, checked. Raises SettingError, RulesFaulty, TryAgain and NotConfigured."""
    dsn = settings.require_postgres()
    rules = rules_of(settings)
    with closing(connect(dsn, application_name="hist_merge")) as connection:
        instruments = InstrumentStore(connection)
        instruments.check()
        calendar = SessionCalendar.load()
        bars = BarStore(connection, rules, calendar)
        bars.check()
        yield Stores(connection, bars, instruments, rules, calendar)


def progress_bar() -> Progress:
    """A bar on stderr while it lasts; nothing where no terminal is."""
    return Progress(console=stderr, transient=True, disable=not stderr.is_terminal)


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """The day in India."""
    return now().astimezone(IST).date()
