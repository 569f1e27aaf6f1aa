"""``export``: the files that the bridge subscribes to, from the master and the universes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kite_broker_zerodha.errors import AuthRefused, BrokerError, CredentialsError, KiteUnavailable
from kite_instruments import fetching
from kite_instruments.commands.options import open_store, settings_of
from kite_instruments.errors import ExportFailed, LoginDead
from kite_instruments.settings import Settings
from kite_runtime.clock import today
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, NotFound, OutputUnusable, UsageError
from kite_runtime.files import read_if_there, write_whole
from kite_runtime.options import Root

if TYPE_CHECKING:
    from kite_bars_store.instruments import InstrumentStore
    from kite_bars_store.instruments.universes import Universe


def a_spot(text: str) -> tuple[str, Decimal]:
    """``NIFTY 50=24350``: whose price it is, and the price. Raises BadParameter."""
    name, _, number = text.rpartition("=")
    try:
        price = Decimal(number.strip())
    except InvalidOperation:
        price = Decimal(0)
    if not name.strip() or not price.is_finite() or price <= 0:
        raise typer.BadParameter(f"{text!r} is not like 'NIFTY 50=24350'")
    return name.strip(), price


def command(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Make this universe again; may be repeated."),
    ] = None,
    spot: Annotated[
        list[str] | None,
        typer.Option(
            "--spot",
            metavar="NAME=PRICE",
            help="A last price for universes with strikes around it, such as 'NIFTY 50=24350', "
            "instead of asking Kite; may be repeated.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit code 3 when files would change."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where the files go. Default: configs."),
    ] = None,
    root: Root = Path(),
) -> int:
    """Write tokens.csv and universe_NAME.csv from the universes of configs/universes.toml.

    The order is stable and a file that stays the same is not touched, so git shows what changed. A
    universe that cannot be made keeps its file, the others are written, and the exit code is 1.
    """
    from kite_bars_store.instruments.universes import load
    from kite_instruments.universe_files import TOKENS_FILE, difference, make

    settings = settings_of(root)
    given = dict(map(a_spot_of_option, spot or ()))
    universes = load(settings.universes_file)
    _check_only(universes, only or ())
    folder = out or root / "configs"
    day = today()
    with open_store(settings) as store:
        master = store.at(day)
        _tell_age(store, day, {name for each in universes for name in each.query.exchanges})
    if not master.num_rows:
        raise NotFound("the history has no master of today: run `instruments sync` first")
    spots = _spots(settings, [each for each in universes if not only or each.name in only], given)
    names = [TOKENS_FILE, *(each.file_name for each in universes)]
    old = {name: _read(folder / name) for name in names}
    export = make(universes, master, day, spots, old, only or ())
    changed = 0
    for name, data in export.files.items():
        changes = old[name] != data
        changed += changes
        step = difference(name, old[name], data)
        what = f"+{step.gained} -{step.lost}" if changes else "as it was"
        print(f"{folder / name}: {what}")
        if changes and not check:
            write_whole(folder / name, data)
    for warning in export.warnings:
        say(warning)
    for problem in export.problems[:-1]:
        say(f"instruments: {problem}")
    if export.problems:
        raise ExportFailed(export.problems[-1])
    return EXIT_FINDINGS if export.warnings or (check and changed) else EXIT_DONE


def a_spot_of_option(text: str) -> tuple[str, Decimal]:
    """The same for an option that Typer hands over as text. Raises UsageError."""
    try:
        return a_spot(text)
    except typer.BadParameter as error:
        raise UsageError(f"--spot: {error}") from error


def _check_only(universes: Sequence[Universe], only: Sequence[str]) -> None:
    names = [each.name for each in universes]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise UsageError(f"--only {unknown[0]}: no such universe; there are {', '.join(names)}")


def _read(path: Path) -> bytes | None:
    try:
        return read_if_there(path)
    except OSError as error:
        raise OutputUnusable(path, error) from error


def _tell_age(store: InstrumentStore, day: date, exchanges: set[str]) -> None:
    newest: dict[str, date] = {}
    for batch in store.days():
        if batch.observed_on <= day:
            newest.update(dict.fromkeys(batch.exchanges, batch.observed_on))
    for exchange, last in sorted(newest.items()):
        if last < day and exchange in exchanges:
            say(f"the master of {exchange} is of {last}: `instruments sync` brings today's")


def _spots(
    settings: Settings, universes: Sequence[Universe], given: dict[str, Decimal]
) -> dict[str, Decimal | str]:
    """Each price that is needed, or why there is none."""
    found: dict[str, Decimal | str] = {}
    for key in dict.fromkeys(each.spot for each in universes if each.spot is not None):
        name = key.partition(":")[2]
        if key in given or name in given:
            found[key] = given.get(key) or given[name]
    wanted = [each.spot for each in universes if each.spot is not None and each.spot not in found]
    if not wanted:
        return found
    try:
        with fetching.logged_in(settings) as client:
            prices = client.ltp(wanted)
    except (LoginDead, AuthRefused, CredentialsError, KiteUnavailable, BrokerError) as error:
        return {**found, **dict.fromkeys(wanted, str(error))}
    missing = {key: "Kite knows no such instrument" for key in wanted}
    return {**missing, **prices, **found}
