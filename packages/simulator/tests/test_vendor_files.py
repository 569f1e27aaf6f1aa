"""A vendor's files hold what Kite's candles hold, but for what differs on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from kite_runtime.clock import IST
from kite_runtime.testing.programs import import_path
from kite_simulator import History, cli
from kite_simulator.vendor_files import AWAY, DOUBLED, HIGHER, LAYOUTS, MISSING, lines_of

SBIN, DAY = 779_521, date(2026, 11, 23)


def test_a_day_differs_in_these_minutes_alone() -> None:
    history = History(3)
    whole = datetime.combine(DAY, time(), IST), datetime.combine(DAY, time(23), IST)
    bars = history.minutes(SBIN, *whole, datetime.now(UTC))
    found = {
        line.opens.hour * 60 + line.opens.minute - 555: line
        for line in lines_of(history, "SBIN", SBIN, DAY)
    }
    differing = []
    for number, bar in enumerate(bars.tolist()):
        line = found.pop(number, None)
        if line is None:
            assert number in MISSING or bar[5] == 0
            continue
        if [*line.prices, line.volume] != [*(Decimal(p).scaleb(-2) for p in bar[1:5]), bar[5]]:
            differing.append(number)
    assert differing == [HIGHER, AWAY, DOUBLED]
    assert found == {}


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", cli.__name__, "vendor-files", *words],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_the_command_writes_a_file_a_day(tmp_path: Path, layout: str) -> None:
    done = call(
        str(tmp_path / "feeds"), "--from", "2026-11-20", "--to", "2026-11-23", "--layout", layout
    )
    assert done.returncode == 0, done.stderr
    assert "2026-11-21 has no session: no file" in done.stderr
    files = sorted((tmp_path / "feeds").iterdir())
    assert [each.stem[-8:] for each in files] == ["20261120", "20261123"]
    lines = files[0].read_text().splitlines()
    assert 720 < len(lines) < 745
    assert sum("INFY" in line for line in lines) > 350


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--from", "2026-11-23", "--to", "2026-11-22"), "exchange them"),
        (("--from", "23-11-2026", "--to", "2026-11-23"), "write days like 2026-11-23"),
        (("--from", "2026-11-23", "--to", "2026-11-23", "--layout", "kite"), "there are bar-end"),
        (("--from", "2026-11-23", "--to", "2026-11-23", "--symbols", "NSE:NO"), "has no NSE:NO"),
    ],
)
def test_wrong_calls(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    done = call(str(tmp_path / "feeds"), *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "feeds").exists()
