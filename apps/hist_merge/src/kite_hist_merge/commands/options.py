"""Options and preparations that several commands share, each with its help once."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress

from kite_bars_store import stores
from kite_bars_store.stores import Stores
from kite_contracts.sessions import IST
from kite_hist_merge.settings import Settings, load_settings
from kite_runtime.console import stderr

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
WithBars = Annotated[
    list[str] | None,
    typer.Option(
        "--symbols",
        metavar="EXCHANGE:SYMBOL",
        parser=a_symbol,
        help="Only this instrument, such as NSE:SBIN; may be repeated. Default: all with bars.",
    ),
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
        "--dry-run", help="Read and compare everything, write nothing, say what would be."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


def settings_of(root: Path) -> Settings:
    """The settings of this process. Raises ConfigurationError."""
    return load_settings(root, os.environ)


def open_stores(settings: Settings) -> AbstractContextManager[Stores]:
    """The database, checked. Raises SettingError, RulesFaulty, TryAgain and NotConfigured."""
    dsn = settings.require_postgres()
    return stores.open_stores(dsn, settings.rules_file, application="hist_merge")


def progress_bar() -> Progress:
    """A bar on stderr while it lasts; nothing where no terminal is."""
    return Progress(console=stderr, transient=True, disable=not stderr.is_terminal)


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """The day in India."""
    return now().astimezone(IST).date()
