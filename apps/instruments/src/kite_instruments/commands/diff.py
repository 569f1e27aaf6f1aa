"""``diff``: what is new, gone, renamed, moved, reused or changed between two masters."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kite_bars_store.errors import DumpRefused
from kite_broker_zerodha.errors import NotADump
from kite_instruments.commands.options import Exchanges, open_store, settings_of
from kite_instruments.fetching import read_file
from kite_instruments.shown import as_csv, as_json, instrument, text_of
from kite_runtime.clock import today
from kite_runtime.console import clean_json, say, stdout
from kite_runtime.errors import UsageError
from kite_runtime.options import Root
from kite_runtime.tables import make_table

if TYPE_CHECKING:
    from kite_bars_store.instruments.changes import Changes, Compared

KINDS: Final = ("added", "expired", "removed", "renamed", "moved", "reused", "changed")
_PAIRS: Final = frozenset({"renamed", "moved", "reused", "changed"})
_DAY: Final = re.compile(r"(?<![0-9])(20[0-9]{2})-?([01][0-9])-?([0-3][0-9])(?![0-9])")
_CSV: Final = (
    *("kind", "exchange", "tradingsymbol", "instrument_token", "exchange_token", "name", "expiry"),
    *("strike", "tick_size", "lot_size", "instrument_type", "segment", "differs"),
)
_BEFORE: Final = _CSV[1:-1]
_MEANINGS: Final = {
    "added": "new contracts",
    "expired": "gone, after their expiry",
    "removed": "gone, before their expiry",
    "renamed": "the same contract under another symbol",
    "moved": "the same symbol on another token",
    "reused": "the token names another contract now",
    "changed": "other terms: lot, tick, name …",
}


def a_kind(text: str) -> str:
    """A kind of change. Raises BadParameter."""
    if text not in KINDS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(KINDS)}")
    return text


def command(
    first: Annotated[
        str | None, typer.Argument(metavar="[A]", help="A day, or a dump file.")
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="[B]", help="A later day, or another dump file.")
    ] = None,
    exchange: Exchanges = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            parser=a_kind,
            help=f"One of {' '.join(KINDS)}; may be " "repeated.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Rows a kind in the table; 0 shows all.")
    ] = 10,
    root: Root = Path(),
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print JSON: one change a line.")
    ] = False,
    csv_rows: Annotated[bool, typer.Option("--csv", help="Print CSV: one change a row.")] = False,
) -> int:
    """Compare two days of the history, two files, or without arguments the last two days.

    Contracts are matched by token first: a token that keeps its underlying, expiry and type under
    another symbol is renamed; one whose contract is another is reused. A share under another symbol
    is renamed if the two dumps are a week apart at most; the day of a file is that in its name
    (master-2025-10-23.csv). Compared are the exchanges that both have.
    """
    if json_lines and csv_rows:
        raise UsageError("--json and --csv exclude each other: give one of them")
    compared = _compare(first, second, exchange or [], root)
    if compared.left_out:
        say(f"{', '.join(compared.left_out)} is in one of the two alone and left out")
    kinds = kind or list(KINDS)
    found = _lines(compared.changes, kinds)
    if json_lines:
        for line in found:
            shown = as_json({name: line[name] for name in line if name != "before"})
            before = line["before"] and as_json(line["before"])
            print(clean_json(json.dumps({**shown, "before": before}, ensure_ascii=False)))
    elif csv_rows:
        header = [*_CSV, *(f"{name}_before" for name in _BEFORE)]
        sys.stdout.write(as_csv(header, (_csv_row(line) for line in found)))
    else:
        _print_tables(found, kinds, limit)
    counts = compared.changes.counts()
    summary = ", ".join(f"{counts[name]:,} {name}" for name in KINDS)
    before, after = compared.labels
    (say if json_lines or csv_rows else print)(f"{before} → {after}: {summary}")
    return 0


def _compare(first: str | None, second: str | None, exchanges: list[str], root: Path) -> Compared:
    from kite_bars_store.instruments.changes import compare_days, last_two_days

    if first is not None and second is None:
        raise UsageError(f"{first} alone is no comparison: give two days, two files, or nothing")
    days = [_day_in(text) for text in (first, second) if text is not None]
    if first is not None and second is not None and not any(days):
        compared, refused = _compare_files(Path(first), Path(second), exchanges, today())
        if refused:
            say(f"{refused:,} rows break the contract and are left out")
        return compared
    if not all(days):
        raise UsageError(f"{first} and {second} are a day and a file: give two of one kind")
    with open_store(settings_of(root)) as store:
        one, other = last_two_days(store) if not days else (days[0], days[1])
        assert one is not None and other is not None  # noqa: PT018 (checked above)
        return compare_days(store, one, other, exchanges)


def _day_in(text: str) -> date | None:
    """The day that a text is, or None."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _compare_files(
    first: Path, second: Path, exchanges: Iterable[str], today: date
) -> tuple[Compared, int]:
    """Compare two dumps; also how many rows of both were refused. Raises DumpRefused and
    InputUnusable."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    from kite_bars_store.instruments.changes import are_adjacent, compare_masters
    from kite_broker_zerodha.instrument_dump import parse

    dumps = []
    for path in (first, second):
        try:
            dumps.append(parse(read_file(path).data, today))
        except NotADump as error:
            raise DumpRefused(f"{path} is refused: {error}") from error
    before, after = dumps
    # A dump holds no contract that had expired by then: the first one to end tells nearly its day.
    ends = [pc.min(each.table["expiry"]).as_py() for each in dumps]
    one, other = (_day_of(path) or end for path, end in zip((first, second), ends, strict=True))
    both = pc.unique(after.table["exchange"]).to_pylist()
    labels = str(first), str(second)
    compared = compare_masters(
        *(labels, before.table, after.table, exchanges, other or today),
        adjacent=both if are_adjacent(one, other) else (),
    )
    shares = compared.changes.reused["expiry"].null_count
    if shares and (one is None or other is None):
        say(
            f"{shares:,} tokens of shares count as reused, as it is not known how far apart the "
            "files are: put their days into their names (master-2025-10-23.csv) to see renames"
        )
    return compared, len(before.refused) + len(after.refused)


def _day_of(path: Path) -> date | None:
    """The day in a file's name, such as 2025-10-23 or 20251023."""
    for found in _DAY.finditer(path.name):
        try:
            return date(*(int(each) for each in found.groups()))
        except ValueError:
            continue
    return None


def _lines(changes: Changes, kinds: Iterable[str]) -> list[dict[str, Any]]:
    """The changes of these kinds as flat rows, in the order of `KINDS`."""
    wanted = set(kinds)
    found: list[dict[str, Any]] = []
    for kind in KINDS:
        if kind in wanted:
            found += (_line(kind, row) for row in getattr(changes, kind).to_pylist())
    return found


def _line(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    if kind not in _PAIRS:
        return {"kind": kind, **instrument(row), "differs": [], "before": None}
    before = instrument(row, "_before")
    now = instrument(row)
    differs = [name for name in now if now[name] != before[name]]
    return {"kind": kind, **now, "differs": differs, "before": {n: before[n] for n in differs}}


def _csv_row(line: dict[str, Any]) -> list[Any]:
    before = line["before"] or {}
    return [*(line[name] for name in _CSV), *(before.get(name) for name in _BEFORE)]


def _print_tables(found: list[dict[str, Any]], kinds: list[str], limit: int) -> None:
    for kind in KINDS:
        rows = [line for line in found if line["kind"] == kind]
        if kind not in kinds or not rows:
            continue
        table = make_table(
            *("exchange", "symbol", "token", "expiry", "strike", "lot", "what differs"),
            title=f"{kind}: {len(rows):,} ({_MEANINGS[kind]})",
            whole={"symbol", "token"},
        )
        for line in rows[: limit or None]:
            table.add_row(
                *(line["exchange"], line["tradingsymbol"], str(line["instrument_token"])),
                *(text_of(line["expiry"]), text_of(line["strike"]), text_of(line["lot_size"])),
                _difference(line),
            )
        stdout.print(table)
        if limit and len(rows) > limit:
            say(f"{len(rows) - limit:,} more: --limit 0, --json or --csv shows them")


def _difference(line: dict[str, Any]) -> str:
    before = line["before"] or {}
    short = {"tradingsymbol": "was", "instrument_token": "token was", "strike": "strike was"}
    return ", ".join(
        f"{short.get(name, name + ' was')} {text_of(value) or 'none'}"
        for name, value in before.items()
        if name not in ("exchange_token",)
    )
