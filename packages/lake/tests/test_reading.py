"""Ticks out of the archive: by token, name, time and column, in every form."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from archive_stage import fill, ticks

from kite_kafka_io.testing import NOW_NS
from kite_lake.catalog import Lake
from kite_lake.errors import NothingArchived
from kite_lake.export import nonempty, write
from kite_lake.reading import Named, read_ticks
from kite_runtime.clock import IST
from kite_runtime.errors import ConfigurationError, NotFound, OutputUnusable, UsageError

DAY = date(2026, 11, 18)
TOKEN = 256_265


@pytest.fixture()
def filled(lake: Lake) -> Lake:
    """1,000 ticks of 50 instruments on one day, and 100 on the next."""
    fill(lake, ticks(1_000))
    fill(lake, ticks(100, first_seq=1_000, start_ns=NOW_NS + 86_400 * 10**9))
    return lake


def test_one_instrument_of_one_day(filled: Lake) -> None:
    rows = read_ticks(filled, tokens=[TOKEN], start=DAY)
    assert rows["feed_seq"].to_pylist() == list(range(0, 1_000, 50))
    assert set(rows["instrument_token"].to_pylist()) == {TOKEN}
    assert rows.schema.field("ts_recv").type == pa.timestamp("ns", "UTC")
    assert rows["ts_recv"].cast(pa.int64())[0].as_py() == NOW_NS


def test_days_are_included_and_times_as_end_are_not(filled: Lake) -> None:
    both = read_ticks(filled, tokens=[TOKEN], start=DAY, end=DAY + timedelta(days=1))
    assert both.num_rows == 22
    first = datetime.fromtimestamp(NOW_NS / 1e9, IST)
    some = read_ticks(filled, tokens=[TOKEN], start=DAY, end=first + timedelta(milliseconds=99))
    assert some["feed_seq"].to_pylist() == [0, 50]
    naive = first.replace(tzinfo=None) + timedelta(milliseconds=99)
    assert read_ticks(filled, tokens=[TOKEN], start=DAY, end=naive).num_rows == 2
    with pytest.raises(UsageError, match="before the start"):
        read_ticks(filled, start=DAY, end=DAY - timedelta(days=1))


def test_columns_are_chosen_by_the_names_that_are_shown(filled: Lake) -> None:
    rows = read_ticks(filled, tokens=[TOKEN], start=DAY, columns=["last_price", "ts_recv"])
    assert rows.schema.names == ["last_price", "ts_recv"]
    assert rows["ts_recv"].to_pylist() == sorted(rows["ts_recv"].to_pylist())
    with pytest.raises(UsageError, match="nonsense is no column"):
        read_ticks(filled, start=DAY, columns=["nonsense"])


def test_names_are_resolved_as_of_each_day(filled: Lake) -> None:
    def resolve(name: str, first: date, last: date) -> Iterator[Named]:
        if name != "NSE:X":
            raise NotFound(f"nobody knows {name}")
        yield Named(TOKEN, first, DAY)
        yield Named(TOKEN + 256, DAY + timedelta(days=1), last)

    end = DAY + timedelta(days=1)
    rows = read_ticks(filled, symbols=["NSE:X"], start=DAY, end=end, resolve=resolve)
    assert rows.group_by("instrument_token").aggregate([([], "count_all")]).to_pylist() == [
        {"instrument_token": TOKEN, "count_all": 20},
        {"instrument_token": TOKEN + 256, "count_all": 2},
    ]
    with pytest.raises(NotFound, match="nobody knows NSE:Y"):
        read_ticks(filled, symbols=["NSE:Y"], start=DAY, resolve=resolve)
    with pytest.raises(UsageError, match="is a name"):
        read_ticks(filled, symbols=["NSE:X"], start=DAY)


def test_every_form_has_the_same_rows(filled: Lake) -> None:
    columns = ["feed_seq", "bid_0_price"]
    wanted: dict[str, Any] = {"tokens": [TOKEN], "start": DAY, "columns": columns}
    rows = read_ticks(filled, **wanted).to_pylist()
    assert read_ticks(filled, as_="pandas", **wanted).to_dict("records") == rows
    frame = read_ticks(filled, as_="polars", **wanted)
    assert isinstance(frame, polars.DataFrame)
    assert frame.to_dicts() == rows
    assert [tuple(row.values()) for row in rows] == read_ticks(
        filled, as_="duckdb", **wanted
    ).fetchall()
    batches = read_ticks(filled, as_="batches", **wanted)
    assert pa.Table.from_batches(list(batches)).to_pylist() == rows


def test_nothing_archived_is_one_sentence(lake: Lake) -> None:
    with pytest.raises(NothingArchived, match="nothing is archived"):
        read_ticks(lake, start=DAY)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_export_writes_a_whole_file(filled: Lake, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"ticks{suffix}"
    reader = nonempty(read_ticks(filled, start=DAY, as_="batches"))
    assert write(reader, file) == 1_000
    if suffix == ".parquet":
        assert pq.read_table(file).num_rows == 1_000
    else:
        lines = file.read_text().splitlines()
        assert len(lines) == 1_001
        assert lines[0].startswith('"instrument_token","mode","ts_recv"')
    assert nonempty(read_ticks(filled, tokens=[1], start=DAY, as_="batches")) is None
    full = read_ticks(filled, start=DAY, as_="batches")
    with pytest.raises((OutputUnusable, ConfigurationError), match="cannot be written"):
        write(full, Path(f"/dev/full/ticks{suffix}"))
