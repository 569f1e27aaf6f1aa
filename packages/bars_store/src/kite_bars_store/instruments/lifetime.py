"""On which days an instrument is listed, by its ranges in the history. Pure.

Two questions differ. `holds`: was it listed for certain, because the master of the day has it. A
`Lifetime`: may it have been listed, as it was new in a dump and nothing is known of the days since
the dump before. Bars are taken of all days of a lifetime, and minutes are missing from no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from kite_bars_store.instruments.records import Batch, Validity


@dataclass(frozen=True)
class Lifetime:
    """``since`` is the first day, None where nothing is known before it; ``until`` the day after
    the last one, None while it is listed. ``ended`` is how it ended, the end of a sentence."""

    since: date | None
    until: date | None
    ended: str
    is_contract: bool
    """Anything else may have had another symbol before, and an index is added to dumps late: so
    before ``since`` its bars may be right, and only a contract's are wrong for certain."""


def lifetime(ranges: Sequence[Validity], dumps: Iterable[Batch]) -> Lifetime:
    """Of one symbol, with at least one range; ``dumps`` are all that the history has.

    It begins on the day after the last dump of the exchange that does not have it yet: it may have
    been listed since. It ends after the expiry, or with the first dump without it.
    """
    own = sorted(ranges, key=lambda each: each.valid_from)
    first, last = own[0], own[-1]
    without = [
        each.observed_on
        for each in dumps
        if first.exchange in each.exchanges and each.observed_on < first.valid_from
    ]
    until = end_of(last)
    if last.expiry is not None and until == last.expiry + timedelta(1):
        ended = f"expired on {last.expiry}"
    else:
        ended = f"is no longer listed since {until}"
    since = max(without) + timedelta(1) if without else None
    return Lifetime(since, until, ended, last.expiry is not None)


def holds(known: Validity, day: date) -> bool:
    """Whether the range has the day."""
    end = end_of(known)
    return known.valid_from <= day and (end is None or day < end)


def end_of(known: Validity) -> date | None:
    """The day after the last one of a range: of a contract at most that of its expiry, which may
    come before any dump that shows it."""
    ends = [known.valid_to, None if known.expiry is None else known.expiry + timedelta(1)]
    return min((each for each in ends if each is not None), default=None)
