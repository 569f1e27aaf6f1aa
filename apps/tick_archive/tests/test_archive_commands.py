"""Each command as a process: what it prints, and its exit code for good and bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from archive_stage import fill, fill_records, ticks, without

from kite_contracts.tick_batch import TS_EVENT_NS, TS_RECV_NS
from kite_lake.catalog import open_lake
from kite_lake.tables import FEED_EVENTS, LAYOUT_PROPERTY, TICKS

DAY = "2026-11-18"


@pytest.fixture()
def warehouse(tmp_path: Path) -> Path:
    """1,100 ticks of one day, without two numbers."""
    place = tmp_path / "lake"
    lake = open_lake(place)
    fill(lake, without(ticks(1_000), 5, 6))
    fill(lake, ticks(100, first_seq=1_000))
    lake.close()
    return place


def _call(warehouse: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if name not in ("KAFKA_BOOTSTRAP",)}
    given |= {"TICK_ARCHIVE_WAREHOUSE": str(warehouse), "POSTGRES_DSN": "", "COLUMNS": "160", **env}
    return subprocess.run(
        [sys.executable, "-m", "kite_tick_archive.cli", *words, "--root", str(warehouse.parent)],
        env=given,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_status_lists_the_days(warehouse: Path) -> None:
    done = _call(warehouse, "status", "--json")
    assert done.returncode == 0, done.stderr
    (day,) = json.loads(done.stdout)["days"]
    assert (day["day"], day["rows"], day["files"]) == (DAY, 1_098, 32)


def test_verify_reports_what_is_missing_by_exit_code_3(warehouse: Path) -> None:
    done = _call(warehouse, "verify", DAY)
    assert done.returncode == 3
    assert "missing: 2 ticks" in done.stderr
    assert "numbers 5 to 6" in done.stderr
    lake = open_lake(warehouse)
    event = {"type": "LOSS", "ts_ns": 2**62, "from_ns": 0, "to_ns": 2**62, "shard": 0}
    fill_records(lake, FEED_EVENTS, event)
    done = _call(warehouse, "verify", DAY, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sessions"][0]["in_gaps"] == 2


def test_read_prints_lines_and_export_writes_a_file(warehouse: Path, tmp_path: Path) -> None:
    done = _call(warehouse, "read", "256265", "--from", DAY, "--columns", "feed_seq,ts_recv")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    times = {line["feed_seq"]: line["ts_recv"] for line in lines}
    assert sorted(times) == list(range(0, 1_100, 50))
    assert len(lines) == len(times)
    assert times[0] == "2026-11-18T11:06:40.123456789+00:00"
    done = _call(warehouse, "export", str(tmp_path / "x.csv"), "--from", DAY)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1_099


def test_prune_does_nothing_without_yes(warehouse: Path) -> None:
    assert _call(warehouse, "compact").returncode == 0
    done = _call(warehouse, "prune", "--keep", "1d")
    assert done.returncode == 0, done.stderr
    assert "nothing is removed without --yes" in done.stderr
    assert json.loads(_call(warehouse, "status", "--json").stdout)["days"][0]["files"] == 16
    assert _call(warehouse, "prune", "--keep", "1d", "--yes").returncode == 0
    assert json.loads(_call(warehouse, "status", "--json").stdout)["days"] == []


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["verify", "2026-11-19"], 1, "no tick of 2026-11-19 is archived"),
        (["verify", "18.11.2026"], 2, "is no day: write it like 2026-11-30"),
        (["read", "1", "--from", DAY], 1, "no tick of 1 from 2026-11-18 is archived"),
        (["read", "NSE:X", "--from", DAY], 78, "POSTGRES_DSN is not set"),
        (["read", "--from", DAY, "--to", "2026-11-17"], 2, "before the start"),
        (["read", "--from", DAY, "--columns", "nonsense"], 2, "nonsense is no column"),
        (["export", "x.xlsx", "--from", DAY], 2, "neither in .parquet nor in .csv"),
        (["prune", "--keep", "3x"], 2, "is no time such as 2y"),
        (["compact", "2999-01-01"], 2, "is not over yet"),
        (["run"], 78, "KAFKA_BOOTSTRAP is not set"),
        (["bars"], 78, "KAFKA_BOOTSTRAP is not set"),
        (["bars", "--bootstrap", "127.0.0.1:9", "--tokens", "/none.csv"], 78, "/none.csv"),
        (["status", "--warehouse", "/proc/none"], 78, "cannot be used"),
        (["status", "--warehouse", "s3://bucket/x"], 78, "needs a database"),
    ],
)
def test_bad_input_is_one_sentence(
    warehouse: Path, words: list[str], code: int, sentence: str
) -> None:
    done = _call(warehouse, *words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interval_that_bars_do_not_have(warehouse: Path) -> None:
    done = _call(warehouse, "bars", TICK_ARCHIVE_BARS="m1,s2")
    assert done.returncode == 78
    assert "TICK_ARCHIVE_BARS" in done.stderr
    assert "m1, m3, m5" in done.stderr


def test_run_refuses_other_buckets_and_a_newer_table(
    warehouse: Path,
    kafka_bootstrap: str,
) -> None:
    kafka = {"KAFKA_BOOTSTRAP": kafka_bootstrap}
    done = _call(warehouse, "run", "--once", TICK_ARCHIVE_BUCKETS="4", **kafka)
    assert done.returncode == 78
    assert "TICK_ARCHIVE_BUCKETS is 4" in done.stderr
    with open_lake(warehouse).table(TICKS).transaction() as transaction:
        transaction.set_properties({LAYOUT_PROPERTY: "2"})
    done = _call(warehouse, "run", "--once", **kafka)
    assert done.returncode == 78
    assert "newer release" in done.stderr


def test_delays_tell_a_wrong_clock_by_exit_code_3(warehouse: Path) -> None:
    done = _call(warehouse, "delays", DAY, "--json")
    document = json.loads(done.stdout)
    assert sum(each["ticks"] for each in document["delays"]) == 1_098
    assert done.returncode == (3 if document["clock_error_s"] else 0), done.stderr
    other = warehouse.parent / "behind"
    lake = open_lake(other)
    batch = ticks(100)
    batch.values[:, TS_EVENT_NS] = batch.values[:, TS_RECV_NS] + 3600 * 10**9
    fill(lake, batch)
    lake.close()
    done = _call(other, "delays", DAY)
    assert done.returncode == 3
    assert "this host's clock was 3,600.0 s behind the exchange's" in done.stderr
    assert _call(other, "delays", "2026-11-19").returncode == 1
