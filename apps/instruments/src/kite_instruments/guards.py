"""When a dump must not replace the master, whatever its rows say (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_instruments.errors import DumpRefused


def expired(rows: pa.Table, day: date) -> pa.Table:
    """The contracts that had ended before ``day``; a dump of that day has none."""
    return rows.filter(pc.fill_null(pc.less(rows["expiry"], pa.scalar(day)), False))


def check_day(rows: pa.Table, day: date, source: str) -> None:
    """Raises DumpRefused when the dump is older than said."""
    old = expired(rows, day).sort_by("expiry")
    if old.num_rows:
        first = old["expiry"][0].as_py()
        raise DumpRefused(
            f"{source} is older than {day}: it holds {old.num_rows} contracts that expired before, "
            f"such as {old['tradingsymbol'][0]} on {first}; say its day by --date, {first} at the "
            "latest"
        )


def check_exchanges(found: Iterable[str], asked: Iterable[str], source: str) -> None:
    """Raises DumpRefused when the dump lacks an exchange that was asked for."""
    there = set(found)
    missing = [exchange for exchange in asked if exchange not in there]
    if missing:
        raise DumpRefused(
            f"{source} has no row of {' and '.join(missing)} (it has {', '.join(sorted(there))}): "
            "the last good master stays"
        )


def check_drop(exchange: str, now: int, before: int | None, share_max: float) -> None:
    """Raises DumpRefused when the exchange has lost too many instruments to be believed.

    ``before`` is how many of the last master still hold on the dump's day; ``share_max`` 0.2 lets
    a fifth of them go.
    """
    if not before or now >= before * (1.0 - share_max):
        return
    lost = (before - now) / before
    raise DumpRefused(
        f"{exchange} has {now:,} instruments and had {before:,}: {lost:.0%} fewer, and --max-drop "
        f"allows {share_max:.0%}; the last good master stays (if the exchange did shrink, run it "
        "again with a larger --max-drop)"
    )
