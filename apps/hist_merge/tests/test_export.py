"""`export`: Parquet that is the same for the same bars, and that the usual readers read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from io import BytesIO
from itertools import pairwise

import hypothesis
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from merged_bars import MANDM, USDINR, bar_store, merge_the_usual, rising, said

from kite_bars_store.bars import BAR_SCHEMA, export
from kite_runtime.testing import Place

JUNE = "parquet/interval=m1/exchange=NSE/month=2026-06/bars.parquet"
JULY = "parquet/interval=m1/exchange=NSE/month=2026-07/bars.parquet"
RUPEE = "parquet/interval=m1/exchange=CDS/month=2026-06/bars.parquet"


@pytest.fixture()
def merged(place: Place) -> Place:
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        merge_the_usual(store)
        store.merge([said("kite", rising(5), MANDM, date(2026, 7, 1))])
        store.merge([said("kite", rising(3), MANDM)])
        store.merge([said("kite", rising(4, 830_000), USDINR)])
    return place


def files(place: Place) -> dict[str, tuple[bytes, int]]:
    """Content and time of change of every file below the export's folder."""
    found = sorted((place.folder / "parquet").rglob("*"))
    paths = [path for path in found if path.is_file()]
    return {
        str(path.relative_to(place.folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in paths
    }


def test_again_the_same_bytes_and_no_file_touched(merged: Place) -> None:
    first = merged("export")
    assert first.code == 0
    assert first.stdout.startswith("parquet: 67 bars in 0.0 MiB; files: 3 new, 0 changed")
    before = files(merged)
    assert list(before) == [RUPEE, JUNE, JULY]
    again = merged("export")
    assert "files: 0 new, 0 changed, 3 unchanged" in again.stdout
    assert files(merged) == before
    elsewhere = merged("export", "--out", "copy")
    assert elsewhere.code == 0
    assert (merged.folder / JUNE.replace("parquet/", "copy/", 1)).read_bytes() == before[JUNE][0]


def test_only_what_changed_is_written(merged: Place) -> None:
    merged("export")
    before = files(merged)
    with bar_store(merged.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("vendor", rising(5), MANDM, date(2026, 7, 1))])
    dry = merged("export", "--dry-run")
    assert "0 new, 1 changed, 2 unchanged" in dry.stdout
    assert files(merged) == before
    rows = merged("export", "--from", "2026-07-15", "--json").json()
    assert [(row["file"], row["state"], row["rows"]) for row in rows] == [(JULY, "changed", 5)]
    after = files(merged)
    assert {name for name in after if after[name] != before[name]} == {JULY}


def test_the_usual_readers_read_it(merged: Place) -> None:
    merged("export")
    folder = merged.folder / "parquet"
    table = ds.dataset(folder, partitioning="hive").to_table()
    assert table.num_rows == 67
    assert set(table["exchange"].to_pylist()) == {"NSE", "CDS"}
    frame = pd.read_parquet(folder)
    sbin = frame[(frame["tradingsymbol"] == "SBIN") & (frame["month"] == "2026-06")]
    close = sbin["close"] / 10.0 ** sbin["price_scale"]
    assert close.iloc[3] == 100.95
    assert str(sbin["ts_open"].dt.tz_convert("Asia/Kolkata").iloc[0]) == "2026-06-01 09:15:00+05:30"
    assert list(frame[frame["exchange"] == "CDS"]["price_scale"].unique()) == [4]


def test_a_file_tells_what_it_is(merged: Place) -> None:
    merged("export")
    path = merged.folder / JUNE
    told = export.read_metadata(path)
    assert (told["contract"], told["exchange"], told["month"], told["as_of"], told["symbols"]) == (
        *("bar.v1", "NSE", "2026-06", "", "all"),
    )
    assert len(told["rules_sha256"]) == 64
    file = pq.ParquetFile(path)
    keys = file.read(columns=["tradingsymbol", "ts_open"]).to_pylist()
    order = [(row["tradingsymbol"], row["ts_open"]) for row in keys]
    assert order == sorted(order)
    assert {order[0][0], order[-1][0]} == {"M&M", "SBIN"}
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.metadata.row_group(0).sorting_columns


def test_as_it_was_known_and_of_longer_bars(merged: Place) -> None:
    with bar_store(merged.env["POSTGRES_DSN"]) as (_, connection):
        row = connection.execute("SELECT min(recorded_at) FROM bar_batch").fetchone()
    assert row is not None
    then = merged("export", "--as-of", row[0].isoformat(), "--out", "then", "--json").json()
    assert [(each["file"].split("/")[2], each["rows"]) for each in then] == [("exchange=NSE", 55)]
    hours = merged("export", "--interval", "h1", "--symbols", "NSE:SBIN", "--out", "h").stdout
    assert hours.startswith("h: 1 bars")


def test_another_selection_is_not_put_in_its_place(merged: Place) -> None:
    merged("export")
    before = files(merged)
    for arguments, what in (
        (("--symbols", "NSE:SBIN"), "is an export of other symbols (all)"),
        (("--as-of", "2027-01-01"), "is an export of another --as-of (none)"),
    ):
        done = merged("export", *arguments)
        assert done.code == 2
        assert what in done.sentence
    (merged.folder / JULY).write_bytes(b"mine")
    assert "was not written by this command" in merged("export").sentence
    assert {name: files(merged)[name] for name in (JUNE, RUPEE)} == {
        name: before[name] for name in (JUNE, RUPEE)
    }


def test_what_cannot_be_exported_is_told(merged: Place) -> None:
    none = merged("export", "--symbols", "NSE:NOBODY")
    assert (none.code, none.sentence) == (
        *(1, "there are no such bars to export: `report` shows what there is"),
    )
    merged.write("taken", "a file")
    taken = merged("export", "--out", "taken")
    assert taken.code == 78
    assert "cannot be written" in taken.sentence
    assert merged("export", "--from", "2026-07-01", "--to", "2026-06-01").code == 2
    full = merged.line(
        *("export", "--out", "full"), env=merged.env, cwd=merged.folder, file_bytes_max=2_000
    )
    assert full.code == 78
    assert [path for path in (merged.folder / "full").rglob("*") if path.is_file()] == []


def bars(names: Sequence[str]) -> pa.Table:
    """A bar of each name."""
    count = len(names)
    columns = []
    for field in BAR_SCHEMA:
        if field.name in ("exchange", "verdict"):
            columns.append(pa.array(["NSE"] * count, field.type.value_type).cast(field.type))
        elif field.name == "tradingsymbol":
            columns.append(pa.array(names, pa.string()).cast(field.type))
        else:
            columns.append(pa.array(range(count), pa.int64()).cast(field.type))
    return pa.table(columns, schema=BAR_SCHEMA)


def coded_anew(table: pa.Table) -> pa.Table:
    """The same rows; symbols are numbered in the order in which they stand here."""
    at = table.schema.get_field_index("tradingsymbol")
    kind = table.schema.field(at).type
    column = table.column(at).cast(pa.string()).combine_chunks().dictionary_encode().cast(kind)
    return table.set_column(at, table.schema.field(at), column)


@hypothesis.settings(max_examples=40)
@given(
    names=st.lists(st.sampled_from("ABC"), max_size=9),
    cuts=st.lists(st.integers(0, 9), max_size=4).map(sorted),
)
def test_how_the_rows_come_leaves_no_trace(names: list[str], cuts: list[int]) -> None:
    whole = bars(sorted(names))
    edges = [0, *(min(cut, len(names)) for cut in cuts), len(names)]
    parts = [coded_anew(whole.slice(a, b - a)) for a, b in pairwise(edges)]
    schema = export.file_schema("m1", {"contract": "bar.v1"})
    one, other = BytesIO(), BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "ROWS_A_GROUP", 3)
        written = export.write_parquet([whole], one, schema)
        assert export.write_parquet(parts, other, schema) == written
    assert written == len(names)
    assert pq.ParquetFile(one).num_row_groups == -(-len(names) // 3)
    assert one.getvalue() == other.getvalue()
    one.seek(0)
    assert pq.read_table(one).to_pylist() == whole.select(schema.names).to_pylist()
