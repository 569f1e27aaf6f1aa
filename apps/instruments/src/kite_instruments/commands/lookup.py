"""``lookup``: an instrument by symbol, token or expression, today or on any day."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kite_instruments.commands.options import AsOf, Exchanges, open_store, settings_of
from kite_instruments.shown import as_json as json_form
from kite_instruments.shown import instrument, text_of
from kite_runtime.clock import today
from kite_runtime.console import clean_json, say, stdout
from kite_runtime.errors import UsageError
from kite_runtime.options import AsJson, Root
from kite_runtime.tables import SparingTable, make_table

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from kite_bars_store.instruments import Validity
    from kite_bars_store.instruments.lookups import Ranges
    from kite_bars_store.instruments.selection import Query

_COLUMNS: Final = {
    "exchange": "exchange",
    "tradingsymbol": "symbol",
    "instrument_token": "token",
    "name": "name",
    "expiry": "expiry",
    "strike": "strike",
    "instrument_type": "type",
    "lot_size": "lot",
    "tick_size": "tick",
}
_NUMBERS: Final = frozenset({"instrument_token", "strike", "lot_size", "tick_size"})


def command(
    terms: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TERM...",
            help="A symbol (M&M26AUGFUT, NSE:INFY, NIFTY 50), a token, or an underlying with what "
            "narrows it: NIFTY front 24000:24500 CE.",
        ),
    ] = None,
    underlying: Annotated[
        str | None, typer.Option("--underlying", metavar="NAME", help="Contracts of this name.")
    ] = None,
    expiry: Annotated[
        str | None,
        typer.Option(
            "--expiry",
            metavar="DATE|front|next|month",
            help="This expiry, the nearest, the one after, or the nearest monthly one.",
        ),
    ] = None,
    strike: Annotated[
        str | None, typer.Option("--strike", metavar="A:B", help="Strikes from A to B, or one.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="One of CE PE FUT EQ.")
    ] = None,
    exchange: Exchanges = None,
    as_of: AsOf = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Rows of the table; 0 shows all. JSON has all.")
    ] = 50,
    root: Root = Path(),
    as_json: AsJson = False,
) -> int:
    """Find instruments, and what a symbol or a token meant at other times.

    A symbol or token is shown with the days on which it held, because tokens are given to new
    contracts. An expression is answered for today, or for --as-of. Nothing found: exit code 1.
    """
    from kite_bars_store.instruments.lookups import Ranges, find
    from kite_bars_store.instruments.selection import Query

    words = [word for term in terms or () for word in term.split()]
    flags = _query(underlying, expiry, strike, kind, exchange)
    if not words and flags == Query():
        raise UsageError(
            "name a symbol, a token or an underlying, for example `lookup NIFTY front`"
        )
    with open_store(settings_of(root)) as store:
        found = find(store, words, flags, as_of, today())
    if isinstance(found, Ranges):
        _print_ranges(found, as_json)
    else:
        _print_rows(found, limit, as_json)
    return 0


def _query(
    underlying: str | None,
    expiry: str | None,
    strike: str | None,
    kind: str | None,
    exchanges: list[str] | None,
) -> Query:
    from kite_bars_store.instruments.selection import Query, an_expiry, strikes

    low, high = strikes(strike) if strike is not None else (None, None)
    return Query(
        exchanges=tuple(exchanges or ()),
        underlyings=(underlying,) if underlying else (),
        types=(kind.upper(),) if kind else (),
        expiry=None if expiry is None else an_expiry(expiry),
        strike_low=low,
        strike_high=high,
    )


def _print_rows(rows: pa.Table, limit: int, as_json: bool) -> None:
    shown = rows if as_json or not limit else rows.slice(0, limit)
    lines = [instrument(row) for row in shown.to_pylist()]
    if as_json:
        _print_json(lines)
    else:
        table = _table()
        for line in lines:
            table.add_row(*(text_of(line[name]) for name in _COLUMNS))
        stdout.print(table)
        if len(lines) < rows.num_rows:
            say(f"{rows.num_rows - len(lines):,} more: --limit 0 shows them")
    say(f"{rows.num_rows:,} instruments")


def _print_ranges(found: Ranges, as_json: bool) -> None:
    if as_json:
        _print_json([{**_line(each), "of": "term"} for each in found.ranges])
        _print_json([{**_line(each), "of": "token"} for each in found.others])
        return
    stdout.print(_range_table(found.ranges))
    if found.others:
        stdout.print("At other times the same token named:")
        stdout.print(_range_table(found.others))


def _range_table(ranges: list[Validity]) -> SparingTable:
    table = _table("valid from", "valid to")
    for each in ranges:
        line = _line(each)
        last = each.valid_to and date.fromordinal(each.valid_to.toordinal() - 1)
        table.add_row(
            *(text_of(line[name]) for name in _COLUMNS),
            *(str(each.valid_from), str(last) if last else "open"),
        )
    return table


def _line(each: Validity) -> dict[str, Any]:
    return {
        **instrument(asdict(each)),
        "valid_from": each.valid_from,
        "valid_to": each.valid_to,
        "batch_id": each.batch_id,
    }


def _table(*more: str) -> SparingTable:
    columns = (*_COLUMNS.values(), *more)
    numbers = [_COLUMNS[name] for name in _NUMBERS]
    return make_table(*columns, right=numbers, whole=columns, spare=("tick", "lot", "name"))


def _print_json(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        print(clean_json(json.dumps(json_form(line), ensure_ascii=False)))
