"""Tables from contracts: types, descriptions, a later version, a newer layout, other buckets."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
from archive_stage import archived_rows, fill, ticks
from psycopg.conninfo import conninfo_to_dict
from pyiceberg.types import IntegerType, LongType, StringType

from kite_contracts.store import Contract
from kite_contracts.tick_batch import FIELDS
from kite_lake.catalog import Lake, open_lake
from kite_lake.errors import LakeUnreachable, LakeUnusable
from kite_lake.tables import LAYOUT_PROPERTY, TICKS, schema_of


def _second_version() -> Contract:
    first = TICKS.contract()
    json, avro = copy.deepcopy(first.json), copy.deepcopy(first.avro)
    json["properties"]["exchange_seq"] = {
        "description": "The exchange's own number.",
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 2**62,
    }
    avro["fields"].append({"name": "exchange_seq", "type": ["null", "long"], "default": None})
    return replace(first, version=2, json=json, avro=avro)


def test_every_field_of_the_contract_is_a_column() -> None:
    schema = schema_of(TICKS)
    assert set(schema.column_names) == {"trading_day", "mode", *FIELDS}
    price, scale = schema.find_field("bid_4_price"), schema.find_field("price_scale")
    assert (price.field_type, price.required) == (LongType(), False)
    assert (scale.field_type, scale.required) == (IntegerType(), True)
    assert schema.find_field("mode").field_type == StringType()
    assert all(each.doc for each in schema.fields)
    assert "Decimals: price_scale." in str(price.doc)


def test_a_field_of_a_later_version_is_a_new_optional_column(lake: Lake) -> None:
    fill(lake, ticks(10))
    later = replace(lake, contracts={"tick": _second_version()})
    table = later.table(TICKS)
    added = table.schema().find_field("exchange_seq")
    assert (added.field_type, added.required) == (LongType(), False)
    assert added.doc == "The exchange's own number."
    fill(later, ticks(10, first_seq=10))
    fill(lake, ticks(10, first_seq=20))  # a process of the earlier release goes on beside it
    rows = archived_rows(lake)
    assert rows["feed_seq"].to_pylist() == list(range(30))
    assert rows["exchange_seq"].null_count == 30


def test_another_number_of_buckets_is_refused(lake: Lake, tmp_path: Path) -> None:
    lake.table(TICKS)
    other = open_lake(tmp_path / "lake", buckets=32)
    with pytest.raises(LakeUnusable, match="TICK_ARCHIVE_BUCKETS is 32.*made with 16"):
        other.table(TICKS)
    assert other.existing(TICKS) is not None  # reading needs no such setting


def test_a_table_of_a_newer_release_is_refused(lake: Lake) -> None:
    with lake.table(TICKS).transaction() as transaction:
        transaction.set_properties({LAYOUT_PROPERTY: "2"})
    for open_table in (lake.table, lake.existing):
        with pytest.raises(LakeUnusable, match="newer release"):
            open_table(TICKS)


def test_a_warehouse_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(LakeUnusable, match="cannot be used"):
        open_lake(blocked / "lake")
    with pytest.raises(LakeUnusable, match="needs a database"):
        open_lake("s3://bucket/ticks")


def test_a_catalog_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(
        LakeUnreachable, match="the catalog postgresql://user@127.0.0.1:1/kite"
    ) as caught:
        open_lake(tmp_path, "postgresql://user:secret@127.0.0.1:1/kite")
    assert "secret" not in str(caught.value)


def test_a_catalog_in_postgres(tmp_path: Path, fresh_dsn: str) -> None:
    given = conninfo_to_dict(fresh_dsn)
    address = f"postgresql://{given['user']}@/{given['dbname']}?host={given['host']}"
    lake = open_lake(tmp_path / "lake", address)
    fill(lake, ticks(10))
    assert archived_rows(lake).num_rows == 10
    lake.close()
