"""Which archived contracts expire, and whether their last day is there."""

from __future__ import annotations

from contextlib import closing
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kite_lake.catalog import Lake


class Expiring(NamedTuple):
    """A contract whose ticks are archived. ``last_day`` is how its expiry day stands."""

    exchange: str
    tradingsymbol: str
    instrument_token: int
    expiry: date
    last_day: str


def expiring(lake: Lake, dsn: str, today: date, within: int) -> list[Expiring]:
    """Contracts with ticks in the last ``within`` days that expire, or expired, within as many."""
    from kite_bars_store.database import connect
    from kite_bars_store.instruments.store import InstrumentStore
    from kite_lake.errors import NothingArchived
    from kite_lake.ledger import verify
    from kite_lake.overview import tokens_of

    first, last = today - timedelta(days=within), today + timedelta(days=within)
    with closing(connect(dsn, application_name="tick_archive status")) as connection:
        store = InstrumentStore(connection)
        store.check()
        master = store.at(first)
    archived = tokens_of(lake, first, today)
    complete: dict[date, str] = {}
    found = []
    for row in master.to_pylist():
        expiry, token = row["expiry"], row["instrument_token"]
        if expiry is None or not first <= expiry <= last or token not in archived:
            continue
        state = "to come" if expiry > today else "running" if expiry == today else ""
        if not state and expiry not in archived[token]:
            state = "not archived"
        if not state:
            if expiry not in complete:
                try:
                    whole = verify(lake, expiry).is_complete
                    complete[expiry] = "complete" if whole else f"ticks missing: verify {expiry}"
                except NothingArchived:
                    complete[expiry] = "not archived"
            state = complete[expiry]
        found.append(Expiring(row["exchange"], row["tradingsymbol"], token, expiry, state))
    return sorted(found, key=lambda each: (each.expiry, each.exchange, each.tradingsymbol))
