"""Options and preparations that several commands share, each with its help once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kite_instruments.settings import Settings
from kite_runtime.options import a_date

if TYPE_CHECKING:
    from kite_bars_store.instruments import InstrumentStore


def an_exchange(text: str) -> str:
    """An exchange's name, in either case. Raises BadParameter."""
    if not (text.isascii() and text.isalnum()):
        raise typer.BadParameter(f"{text!r} is no exchange such as NFO")
    return text.upper()


Exchanges = Annotated[
    list[str] | None,
    typer.Option(
        "--exchange",
        metavar="NAME",
        parser=an_exchange,
        help="Only this exchange; may be repeated.",
    ),
]
AsOf = Annotated[
    date | None,
    typer.Option(
        "--as-of", metavar="DATE", parser=a_date, help="As it was on this day. Default: today."
    ),
]


def settings_of(root: Path) -> Settings:
    """The settings of this process. Raises ConfigurationError."""
    return Settings.load(root, os.environ)


@contextmanager
def open_store(settings: Settings) -> Iterator[InstrumentStore]:
    """The instrument history. Raises SettingError, TryAgain and NotConfigured."""
    from kite_bars_store.database import connect
    from kite_bars_store.instruments import InstrumentStore

    dsn = settings.require_postgres()
    with closing(connect(dsn, application_name="instruments")) as connection:
        store = InstrumentStore(connection)
        store.check()
        yield store
