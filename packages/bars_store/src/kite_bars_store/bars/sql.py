"""The statements of `statements.sql`, with the golden table of a bar length put in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from kite_bars_store.database import load_statements

_LOADED: Final = load_statements("kite_bars_store.bars")
GOLDEN: Final = {1: "bars_1m", 1440: "bars_1d"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def statement(name: str, minutes: int = 1) -> bytes:
    """The statement of this name, on the golden bars of ``minutes``."""
    return _LOADED[name].replace(b"{golden}", GOLDEN[minutes].encode())


def utc(ts_ns: int) -> datetime:
    """The aware time; bars open on whole microseconds."""
    return _EPOCH + timedelta(microseconds=ts_ns // 1000)


def nanoseconds(when: datetime) -> int:
    """Raises ValueError for a time without zone."""
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone")
    return (when - _EPOCH) // timedelta(microseconds=1) * 1000
