"""Logging in at the simulated Kite, and what it was asked."""

from __future__ import annotations

from datetime import date

from kite_broker_zerodha.rest import KiteRest
from kite_runtime.testing import Finished, Place
from kite_simulator import RestSimulator


def log_in(kite: RestSimulator, place: Place) -> None:
    """Give the place the token of the day; the simulator then answers at once."""
    kite.service.history.opening_of(779521, date(2026, 1, 5))  # which loads the calendar
    with KiteRest("dummy", root=kite.root) as rest:
        grant = rest.exchange(kite.account.log_in("dummy"), "dummy")
    place.env["KITE_ACCESS_TOKEN"] = grant.access_token.reveal()


def retries(*calls: Finished) -> int:
    """How often the calls say that they asked Kite once more, as on a machine that is busy."""
    return sum(each.stderr.count("; again in ") for each in calls)


def history_calls(kite: RestSimulator) -> list[str]:
    """The paths of the calls for candles, in order."""
    paths = [each.path for each in kite.service.served]
    return [path for path in paths if path.startswith("/instruments/historical/")]
