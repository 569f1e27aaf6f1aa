"""One row by the reference validator: what the record would be, and why it is refused. Pure.

Slow and complete; ``columns`` does the same for all rows at once and hands over what it doubts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from kite_broker_zerodha.packets import price_scale_of
from kite_contracts.reasons import ReasonCode
from kite_contracts.validate import Violation, explain

SUBJECT: Final = "instrument"
VERSION: Final = 1
CONTRACT: Final = f"{SUBJECT}.v{VERSION}"
KITE: Final = "kite"
"""The ``source`` of every row."""
OPTION_TYPES: Final = ("CE", "PE")
"""What has a strike; for the rest dumps say 0, old ones -0.01."""

INTEGER: Final = re.compile(r"-?[0-9]{1,40}")
DECIMAL: Final = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_SPREADSHEET_DAY: Final = re.compile(r"[0-9]{1,2}([-/.])([0-9]{1,2}|[A-Za-z]{3})\1([0-9]{2}){1,2}")
"""A date as Excel writes it in a CSV file, by the country of the machine."""
_RANGE_KEYWORDS: Final = frozenset({"minimum", "maximum", "enum"})


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that breaks the contract.

    ``line`` counts from 1 with the header; ``error_path`` is a JSON Pointer, None where the line is
    no row; ``raw`` is the line without its end. ``exchange`` and ``tradingsymbol`` are empty where
    they cannot be read.
    """

    line: int
    reason: ReasonCode
    message: str
    raw: bytes
    error_path: str | None = None
    exchange: str = ""
    tradingsymbol: str = ""


def record_of(texts: Mapping[str, str], observed_on: date) -> dict[str, Any]:
    """The record that a row's texts mean. What cannot be read as its type stays text."""
    token = _integer(texts["instrument_token"])
    strike = texts["strike"] if texts["instrument_type"] in OPTION_TYPES else None
    prices = [text for text in (strike, texts["tick_size"]) if text is not None]
    scale = _scale(token, prices)
    return {
        "exchange": texts["exchange"],
        "tradingsymbol": texts["tradingsymbol"],
        "instrument_token": token,
        "exchange_token": _integer(texts["exchange_token"]),
        "name": texts["name"] or None,
        "expiry": texts["expiry"] or None,
        "strike": None if strike is None else _price(strike, scale),
        "price_scale": scale,
        "tick_size": _price(texts["tick_size"], scale),
        "lot_size": _integer(texts["lot_size"]),
        "instrument_type": texts["instrument_type"],
        "segment": texts["segment"],
        "observed_on": observed_on.isoformat(),
        "source": KITE,
    }


def fault_of(record: Mapping[str, Any]) -> Violation | None:
    """Why the record is refused: the contract's word, or a day that no calendar has."""
    violation = explain(SUBJECT, VERSION, record)
    expiry = record["expiry"]
    if expiry is not None and _SPREADSHEET_DAY.fullmatch(expiry):
        return Violation(
            "/expiry",
            "pattern",
            f"{expiry!r} is no date like 2026-08-25: a spreadsheet program has saved this file "
            "and changed its dates; take it as it came from Kite",
        )
    if violation is None and expiry is not None:
        try:
            date.fromisoformat(expiry)
        except ValueError:
            return Violation("/expiry", "pattern", f"{expiry!r} is no day")
    return violation


def reason_of(violation: Violation) -> ReasonCode:
    """The code of a broken rule."""
    out_of_range = violation.keyword in _RANGE_KEYWORDS
    return ReasonCode.SEMANTIC_RANGE if out_of_range else ReasonCode.SCHEMA_INVALID


def decimals(text: str) -> int:
    """How many decimals a decimal text needs; 0.10 needs one."""
    return len(text.partition(".")[2].rstrip("0"))


def _integer(text: str) -> int | str:
    return int(text) if INTEGER.fullmatch(text) else text


def _scale(token: int | str, prices: list[str]) -> int:
    """The scale of the token's ticks, at least 2; more where a price has more decimals."""
    base = price_scale_of(token) if isinstance(token, int) else 0
    return max([2, base, *(decimals(text) for text in prices if DECIMAL.fullmatch(text))])


def _price(text: str, scale: int) -> int | str:
    return scaled(text, scale) if DECIMAL.fullmatch(text) else text


def scaled(text: str, scale: int) -> int:
    """A decimal text times 10**scale, exactly; ``scale`` is at least its `decimals`."""
    whole, _, part = text.partition(".")
    return int(whole + part.rstrip("0").ljust(scale, "0"))
