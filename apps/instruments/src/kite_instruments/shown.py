"""Instruments for people and machines: rows of a table, JSON objects, cells of CSV (pure)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def price(value: int | None, scale: int) -> Decimal | None:
    """A scaled integer as the exact decimal, without zeros at its end: 460.75, 24350."""
    if value is None:
        return None
    exact = Decimal(value).scaleb(-scale)
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
        shown[name] = price(row[name + suffix], scale)
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
