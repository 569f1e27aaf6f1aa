"""`daily` with Kite, which is the simulated one."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kite_logins import history_calls, log_in

from kite_runtime.testing import Place
from kite_simulator import RestSimulator

MONTHS = 4


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
