"""For people and machines: instruments as tables, JSON and CSV, and what a sync did."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from kite_runtime.console import say, stdout

if TYPE_CHECKING:
    from kite_instruments.publishing import Published
    from kite_instruments.syncing import Outcome

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def shortest(value: int | None, scale: int) -> Decimal | None:
    """A scaled integer as the exact decimal, without zeros at its end: 460.75, 24350."""
    from kite_bars_store.instruments import price

    if value is None:
        return None
    exact = price(value, scale)
    whole = exact.to_integral_value()
    return whole if exact == whole else exact.normalize()


def text_of(value: Any) -> str:
    """A value as people read it; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, list | tuple):
        return " ".join(map(text_of, value))
    return str(value)


def instrument(row: Mapping[str, Any], suffix: str = "") -> dict[str, Any]:
    """A row of the history with its prices in rupees."""
    scale = row["price_scale" + suffix]
    names = (
        *("exchange", "tradingsymbol", "instrument_token", "exchange_token", "name", "expiry"),
        *("strike", "tick_size", "lot_size", "instrument_type", "segment"),
    )
    shown = {name: row[name + suffix] for name in names}
    for name in ("strike", "tick_size"):
        shown[name] = shortest(row[name + suffix], scale)
    return shown


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same for JSON: days as text, prices as exact text."""
    return {
        name: str(value) if isinstance(value, date) else
        f"{value:f}" if isinstance(value, Decimal) else value
        for name, value in row.items()
    }  # fmt: skip


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV that a spreadsheet does not take for formulas: such texts get a ``'`` in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_safe(value) for value in row])
    return out.getvalue()


def _safe(value: Any) -> str:
    text = text_of(value)
    is_text = isinstance(value, str | list | tuple)
    return "'" + text if is_text and text.startswith(_FORMULA) else text


def show(outcome: Outcome, as_json: bool) -> None:
    """A table for people, or one JSON object, on stdout."""
    if as_json:
        print(json.dumps(outcome.as_dict()))
        return
    batch = "dry run, nothing is written"
    if outcome.batch_id is not None:
        batch = f"batch {outcome.batch_id}"
    title = f"{', '.join(outcome.exchanges)} on {outcome.day}, from {outcome.label}: {batch}"
    stdout.print(title, markup=False, soft_wrap=True)
    if not outcome.new:
        stdout.print("nothing new: that batch has this very dump")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for name, number, meaning in _lines(outcome):
        table.add_row(name, f"{number:,}", meaning)
    stdout.print(table)
    stdout.print(f"took {outcome.took_s:.1f} s")


def _lines(outcome: Outcome) -> list[tuple[str, int, str]]:
    lines = [
        ("read", outcome.read, "lines of the dump"),
        ("good", outcome.good, "keep the contract"),
        ("refused", len(outcome.refused), "in the dead letters"),
    ]
    lines += [(f"  {reason}", number, "") for reason, number in outcome.reasons.items()]
    if outcome.kept:
        lines.append(("kept", outcome.kept, "stay as they were, their row was refused"))
    return [
        *lines,
        ("added", outcome.added, "symbols that are new"),
        ("changed", outcome.changed, "symbols with another token, lot, tick …"),
        ("removed", outcome.removed, "symbols that are gone before their expiry"),
        ("unchanged", outcome.unchanged, ""),
        ("renamed", outcome.renamed, "the same contract under another symbol"),
        ("moved", outcome.moved, "the same symbol on another token"),
        ("token reused", outcome.reused, "the token names another contract now"),
    ]


def tell_published(published: Published, topic: str) -> None:
    """What the topic got, on stderr."""
    if not published.listed and not published.gone:
        say(f"topic {topic}: nothing new")
        return
    say(f"topic {topic}: {published.listed:,} instruments, {published.gone:,} gone")
