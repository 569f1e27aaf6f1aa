"""An order postback as the fields that may be passed on. Pure.

A list of what is taken, and not of what is left out: the checksum, tokens and whatever Kite adds
later stay behind. It comes from outside: a value of another kind than expected counts as absent.

Source: https://kite.trade/docs/connect/v3/postbacks. Of its fields ``app_id``, ``guid``, ``meta``,
``market_protection``, ``status_message_raw`` and ``exchange_update_timestamp`` are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

TEXT_CHARS_MAX: Final = 300
TEXTS: Final = (
    "order_id",
    "exchange_order_id",
    "parent_order_id",
    "user_id",
    "placed_by",
    "status",
    "status_message",
    "order_timestamp",
    "exchange_timestamp",
    "variety",
    "exchange",
    "tradingsymbol",
    "order_type",
    "transaction_type",
    "validity",
    "product",
    "tag",
)
NUMBERS: Final = (
    "instrument_token",
    "quantity",
    "disclosed_quantity",
    "filled_quantity",
    "unfilled_quantity",
    "pending_quantity",
    "cancelled_quantity",
)
PRICES: Final = ("price", "trigger_price", "average_price")
"""Rupees, as exact decimal text."""

_NUMBER_MAX: Final = 2**63 - 1
_PRICE_MAX: Final = Decimal(10) ** 12
_PRICE_DIGITS: Final = 8

Order = Mapping[str, Any]


def order_of(text: str) -> Order | None:
    """The fields of a postback, the text message ``{"type": "order", "data": {...}}``."""
    try:
        parsed = json.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    data = parsed.get("data") if isinstance(parsed, dict) else None
    if not isinstance(data, dict):
        return None
    return {
        **{name: _text(data.get(name)) for name in TEXTS},
        **{name: _number(data.get(name)) for name in NUMBERS},
        **{name: _price(data.get(name)) for name in PRICES},
    }


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return "".join(c if c.isprintable() else " " for c in value[:TEXT_CHARS_MAX])


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _NUMBER_MAX:
        return None
    return value


def _price(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    price = Decimal(value)
    if not price.is_finite() or abs(price) >= _PRICE_MAX:
        return None
    if price != round(price, _PRICE_DIGITS):
        return None
    text = format(price, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
