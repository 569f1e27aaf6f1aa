"""An archived day over Kite's protocol: our session receives what was recorded."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from archive_stage import fill
from recordings import recorded

from kite_broker_zerodha.session.credentials import FixedCredentials
from kite_broker_zerodha.session.session import KiteSession
from kite_broker_zerodha.session.testing import Recorder
from kite_broker_zerodha.wire import encode_frame
from kite_contracts.tick_batch import TickMode
from kite_lake.catalog import open_lake

STOCK, INDEX = 408_065, 256_265
MODES = {STOCK: TickMode.FULL, INDEX: TickMode.FULL, 5_633: TickMode.QUOTE, 2_305: TickMode.LTP}
FRAMES = 40
LIMIT_S = 60


@pytest.fixture()
def packets(tmp_path: Path) -> list[list[bytes]]:
    """Those of each frame; the archive holds their ticks, a quarter of a second apart."""
    found, batch = recorded(MODES, FRAMES, every_ns=250_000_000)
    lake = open_lake(tmp_path / "lake")
    fill(lake, batch)
    lake.close()
    return found


@contextmanager
def serving(tmp_path: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command as a process, and its address."""
    command = [sys.executable, "-m", "kite_tick_archive.cli", "serve", *words]
    options = ["--port", "0", "--rest-port", "0", "--root", str(tmp_path)]
    env = {**os.environ, "TICK_ARCHIVE_WAREHOUSE": str(tmp_path / "lake"), "POSTGRES_DSN": ""}
    with subprocess.Popen(
        [*command, *options], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"ws://127\.0\.0\.1:\d+", line):
                    yield found[0], process
                    break
            else:
                pytest.fail("it ended before it listened")
        finally:
            process.kill()


async def received(address: str, modes: dict[int, TickMode], frames: int) -> list[bytes]:
    heard = Recorder()
    session = KiteSession(0, address, FixedCredentials("k", "dummy"), heard)
    await session.apply(modes)
    async with asyncio.timeout(LIMIT_S):
        running = asyncio.create_task(session.run())
        await heard.until(lambda: len(heard.frames) >= frames)
        await session.stop()
        await running
    return [payload for _, payload, _ in heard.frames]


def test_a_day_is_received_as_it_was(packets: list[list[bytes]], tmp_path: Path) -> None:
    with serving(tmp_path, "2026-01-05", "--speed", "0") as (address, process):
        found = asyncio.run(received(address, MODES, FRAMES))
        process.send_signal(signal.SIGTERM)
        printed, said = process.communicate(timeout=LIMIT_S)
    assert found == [encode_frame(each) for each in packets]
    assert process.returncode == 0, said
    assert json.loads(printed)["ticks"] == sum(map(len, packets))


def test_one_instrument_from_a_time_on(packets: list[list[bytes]], tmp_path: Path) -> None:
    day = ("2026-01-05", str(STOCK), "--start", "09:15:05", "--speed", "0")
    own = [encode_frame([each[0]]) for each in packets[20:] if len(each) == len(MODES)]
    with serving(tmp_path, *day) as (address, _):
        assert asyncio.run(received(address, MODES, len(own))) == own


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("2026-01-06",), 1, "no tick from 2026-01-06 is archived"),
        (("2026-01-05", "1"), 1, "no tick of 1 from 2026-01-05 is archived"),
        (("2026-01-05", "--start", "9"), 2, "--start '9' is no time: write it like 09:15"),
        (("today",), 2, "DAY 'today' is no day"),
        (("2026-01-05", "--instruments", "gone.csv"), 2, "--instruments gone.csv cannot be read"),
    ],
)
def test_bad_input_is_one_sentence(
    packets: list[list[bytes]], tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kite_tick_archive.cli", "serve", *words, "--root", str(tmp_path)],
        env={**os.environ, "TICK_ARCHIVE_WAREHOUSE": str(tmp_path / "lake"), "POSTGRES_DSN": ""},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
