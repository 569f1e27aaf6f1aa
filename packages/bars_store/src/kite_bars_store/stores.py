"""The database that commands work on, and the days that they work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from kite_bars_store.bars import BarStore, MergeRules, load_rules
from kite_bars_store.database import Connection, connect
from kite_bars_store.instruments import InstrumentStore
from kite_contracts.sessions import SessionCalendar
from kite_runtime.clock import IST
from kite_runtime.errors import UsageError


@dataclass(frozen=True)
class Stores:
    """What commands on the database need; all share one connection."""

    connection: Connection
    bars: BarStore
    instruments: InstrumentStore
    rules: MergeRules
    calendar: SessionCalendar


@contextmanager
def open_stores(dsn: str, rules_file: Path | None, *, application: str) -> Iterator[Stores]:
    """The database, checked; ``rules_file`` None means the packaged merge rules.

    Raises RulesFaulty, TryAgain and NotConfigured.
    """
    rules = load_rules(rules_file)
    with closing(connect(dsn, application_name=application)) as connection:
        instruments = InstrumentStore(connection)
        instruments.check()
        calendar = SessionCalendar.load()
        bars = BarStore(connection, rules, calendar)
        bars.check()
        yield Stores(connection, bars, instruments, rules, calendar)


@dataclass(frozen=True)
class Days:
    """``[since, until)``: from midnight of the first day to the midnight after the last one."""

    first: date
    last: date

    def __str__(self) -> str:
        """As the end of a sentence."""
        one = self.first == self.last
        return f"on {self.first}" if one else f"from {self.first} to {self.last}"

    @property
    def since(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=IST)

    @property
    def until(self) -> datetime:
        after = date.fromordinal(self.last.toordinal() + 1)
        return datetime(after.year, after.month, after.day, tzinfo=IST)

    def check_begun(self, today: date) -> None:
        """Raises UsageError when all of them are still to come."""
        if self.first > today:
            raise UsageError(f"{self.first} has not come yet: name earlier days")


def days_of(first: date | None, last: date | None, day: date | None = None) -> Days:
    """The span of ``--from`` and ``--to``, or ``--day`` alone. Raises UsageError when one is
    missing, or they are the wrong way round."""
    if day is not None:
        if first or last:
            raise UsageError("--day is one day: leave out --from and --to")
        return Days(day, day)
    if first is None or last is None:
        raise UsageError("name the days with --from and --to, or one with --day")
    if last < first:
        raise UsageError(f"--to {last} is before --from {first}: exchange them")
    return Days(first, last)
