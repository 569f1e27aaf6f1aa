"""When each instrument trades, for the watchdogs: no ticks outside these hours is no fault.

The hours are those of :mod:`kite_contracts.sessions`. Where it is not sure that every instrument
of a segment trades, the answer is no: a false alarm costs more than an outage that the next tick
ends anyway. Days beyond the known holidays count as trading days.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from kite_broker_zerodha.packets import Segment, segment_of
from kite_broker_zerodha.session.liveness import IsOpen
from kite_contracts.sessions import Holidays, SessionCalendar, exchange_holidays
from kite_contracts.sessions.model import midnight_ns
from kite_runtime.errors import KiteError

SESSIONS: Final = Path("configs/sessions.toml")
_NAMES: Final = {int(segment): segment.name for segment in Segment}


def load_calendar(root: Path) -> SessionCalendar:
    """That of ``configs/sessions.toml``; without that file, the delivered one.

    Takes seconds (the exchange's holidays), which an event loop must not lose: call it before.
    Raises contracts' ConfigurationError, one sentence, and KiteError when the child dies.
    """
    path = root / SESSIONS
    return SessionCalendar.load(path if path.exists() else None, _holidays())


def load_market_hours(root: Path) -> IsOpen:
    """The hours of `load_calendar`."""
    return make_is_open(load_calendar(root))


def calendar_ends_ns(calendar: SessionCalendar, tokens: Iterable[int]) -> int:
    """Midnight in India of the last day whose holidays are known for the segments of all these."""
    names = {_NAMES.get(segment_of(token)) for token in tokens}
    ends = [calendar.facts_end(name) for name in names if name is not None]
    known = [each for each in ends if each is not None]
    return midnight_ns(min(known)) if known else 0


def _holidays() -> Holidays:
    """The exchange's holidays, found by a child process.

    The libraries that know them (pandas among them) take 80 MB, which a process never gives back;
    the bridge needs a set of dates. The child ends by itself, also when the bridge is killed.
    """
    fork = multiprocessing.get_context("fork")
    answer, end_of_child = fork.Pipe(duplex=False)
    child = fork.Process(target=_send_holidays, args=(end_of_child,))
    child.start()
    end_of_child.close()
    with answer:
        try:
            holidays: Holidays = answer.recv()
        except EOFError:
            child.join()
            raise KiteError(
                f"the exchange's holidays could not be loaded (exit code {child.exitcode}): "
                "start the bridge again"
            ) from None
    child.join()
    return holidays


def _send_holidays(end_of_child: Connection) -> None:
    end_of_child.send(exchange_holidays())


def make_is_open(calendar: SessionCalendar) -> IsOpen:
    def is_open(token: int, now_ns: int) -> bool:
        name = _NAMES.get(segment_of(token))
        return name is not None and calendar.surely_open(name, now_ns)

    return is_open
