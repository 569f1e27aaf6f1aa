"""`daily` with Kite, which is the simulated one."""

from __future__ import annotations

import json
import signal
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from kite_logins import history_calls, log_in

from kite_runtime.testing import Place
from kite_simulator import RestSimulator
from kite_simulator.vendor_files import write

MONTHS = 4
VERDICTS = {"CONFLICT_BROKER_WON": 4, "WITHIN_TOLERANCE": 2, "BROKER_ONLY": 10, "VENDOR_ONLY": 0}
"""Of two instruments: a close and a volume, a high, five minutes."""


def span(months: int = MONTHS) -> tuple[str, ...]:
    """Some whole months before this one."""
    last = datetime.now(UTC).date().replace(day=1) - timedelta(1)
    first = last.replace(day=1)
    for _ in range(months - 1):
        first = (first - timedelta(1)).replace(day=1)
    return ("--from", f"{first:%Y%m%d}", "--to", f"{last}", "--interval", "m1")


@pytest.fixture()
def here(kite_place: Place, kite: RestSimulator) -> Place:
    log_in(kite, kite_place)
    return kite_place


def told(stdout: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stdout)
    return found


def test_an_interrupted_daily_asks_kite_for_no_window_again(
    here: Place, kite: RestSimulator
) -> None:
    running = here.start("daily", *span())
    running.until(lambda: len(history_calls(kite)) >= 3, "the second window")
    stopped = running.finish(signal.SIGINT)
    assert (stopped.code, stopped.sentence) == (130, "stopped by Ctrl-C")
    calls = len(history_calls(kite))
    assert "the same command goes on from here" in stopped.stderr
    assert calls < 2 * MONTHS

    done = here("daily", *span(), "--json")
    assert done.code in (0, 3), done.stderr
    assert "windows are merged already" in done.stderr
    assert len(history_calls(kite)) == 2 * MONTHS
    assert told(done.stdout)["read"]["kite"] > 0

    dry = told(here("daily", *span(1), "--dry-run", "--json").stdout)
    assert (dry["added"], dry["unchanged"], dry["golden"]["inserted"]) == (
        0,
        dry["read"]["kite"],
        0,
    )


def test_without_a_login_the_remedy_is_told(kite_place: Place) -> None:
    finished = kite_place("daily", *span())
    assert finished.code == 78
    assert finished.sentence.startswith("not logged in at Kite")


def test_a_vendor_of_the_same_market_differs_where_it_was_made_to(
    here: Place, kite: RestSimulator
) -> None:
    day = date(2026, 11, 23)
    folder = here.folder / "feeds"
    tokens = {"SBIN": 779521, "INFY": 408065}
    write(folder, kite.service.history, tokens, [day], "bar-end-text", lambda _: None)
    words = ("daily", "--from", f"{day}", "--to", f"{day}", "--interval", "m1", "--json")
    done = here(*words, "--vendor", "feeds")
    assert done.code == 3, done.stderr
    found = told(done.stdout)
    assert {name: found["verdicts"].get(name, 0) for name in VERDICTS} == VERDICTS
    assert found["refused"] == {"COLUMN_COUNT": 1}
    assert found["golden"]["inserted"] == 750
    shown = here("show", "NSE:SBIN", f"{day}T10:15").stdout
    assert "CONFLICT_BROKER_WON" in shown
