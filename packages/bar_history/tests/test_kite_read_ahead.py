"""Windows read ahead: in their order, not too many at once, none lost when the work is held."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Barrier, Event, Lock

import pytest

from kite_bar_history.protocol import Reading, RefusedLine, Window
from kite_bar_history.read_ahead import ReadAhead
from kite_broker_zerodha.errors import AuthRefused
from kite_runtime.clock import IST

START = datetime(2026, 6, 1, tzinfo=IST)
WINDOWS = [
    Window([], "m1", START + timedelta(days=n), START + timedelta(days=n + 1)) for n in range(9)
]
PATIENCE_S = 30.0


class Slow:
    """A source that answers with the window's beginning, and counts who asks at once."""

    name = "kite"

    def __init__(self, meeting: Barrier | None = None) -> None:
        self.asked: list[Window] = []
        self._meeting = meeting
        self._lock = Lock()

    def read(self, window: Window) -> Reading:
        assert self._lock.acquire(blocking=False), "two threads share one client"
        try:
            self.asked.append(window)
            if self._meeting is not None:
                self._meeting.wait(PATIENCE_S)
            return Reading(refused=(RefusedLine(str(window.since), 0, "", "", ""),))
        finally:
            self._lock.release()


def place(reading: Reading) -> str:
    return reading.refused[0].place


def test_answers_come_in_order_while_all_clients_ask() -> None:
    meeting = Barrier(3)  # nobody gets on unless three ask at once
    clients = [Slow(meeting) for _ in range(3)]
    with ReadAhead(clients, WINDOWS) as ahead:
        found = [place(ahead.read(window)) for window in WINDOWS]
    assert found == [str(window.since) for window in WINDOWS]
    assert sorted(w.since for each in clients for w in each.asked) == [w.since for w in WINDOWS]


def test_what_was_begun_is_given_out_after_a_hold_and_no_more_is_begun() -> None:
    clients = [Slow(), Slow()]
    with ReadAhead(clients, WINDOWS) as ahead:
        given = [ahead.read(WINDOWS[0])]
        for window in WINDOWS[1:]:
            if not ahead.hold():
                break
            given.append(ahead.read(window))
    asked = [window for each in clients for window in each.asked]
    assert len(given) == len(asked) == 3


def test_an_error_comes_where_its_window_would_and_the_rest_is_cut_short() -> None:
    left = Event()

    class Refused(Slow):
        def read(self, window: Window) -> Reading:
            if window is WINDOWS[1]:
                raise AuthRefused("log in again")
            return super().read(window)

    with ReadAhead([Refused(), Refused()], WINDOWS, on_leave=left.set) as ahead:
        assert place(ahead.read(WINDOWS[0])) == str(START)
        with pytest.raises(AuthRefused):
            ahead.read(WINDOWS[1])
    assert left.is_set()


def test_another_order_is_a_mistake() -> None:
    with ReadAhead([Slow()], WINDOWS) as ahead, pytest.raises(ValueError, match="order"):
        ahead.read(WINDOWS[4])
