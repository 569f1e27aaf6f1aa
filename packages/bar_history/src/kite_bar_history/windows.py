"""The windows in which sources are asked: some instruments, one interval, at most a month. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from kite_bar_history.protocol import Window
from kite_bar_history.universe import Listed
from kite_contracts.sessions import IST

INSTRUMENTS_MAX: Final = 25
"""Of one window: a month of minutes of so many is about the 250,000 bars of one transaction."""


def windows_of(
    listed: Sequence[Listed],
    since: datetime,
    until: datetime,
    interval: str = "m1",
    *,
    instruments_max: int = INSTRUMENTS_MAX,
) -> Iterator[Window]:
    """``[since, until)`` cut at the months of India, each for the instruments in groups."""
    start = since.astimezone(IST)
    while start < until:
        next_month = (start.replace(day=1) + timedelta(31)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        end = min(next_month, until.astimezone(IST))
        for at in range(0, len(listed), instruments_max):
            yield Window(listed[at : at + instruments_max], interval, start, end)
        start = end
