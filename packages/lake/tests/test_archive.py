"""Topics into tables on the real Kafka: each tick once, with every value of the contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from archive_stage import SESSION, Stage, ticks

from kite_contracts.tick_batch import ABSENT, FIELDS, TS_EVENT_NS
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.errors import UnknownTopic
from kite_kafka_io.testing import NOW_NS
from kite_lake.progress import progress_of
from kite_lake.rows import bucket_numbers
from kite_lake.tables import DEAD_LETTERS, FEED_EVENTS, TICKS


def test_every_value_of_a_tick_is_kept(stage: Stage) -> None:
    batch = ticks(500)
    batch.values[7, TS_EVENT_NS] = ABSENT
    stage.send(batch)
    stage.archive()
    table = stage.open().existing(TICKS)
    assert table is not None
    rows = table.scan().to_arrow().sort_by("feed_seq")
    assert rows.num_rows == 500
    assert set(rows["mode"].to_pylist()) == {"full"}
    assert set(rows["trading_day"].to_pylist()) == {date(2026, 11, 18)}
    for number, name in enumerate(FIELDS):
        expected = [
            None if value == ABSENT else value for value in batch.values[:, number].tolist()
        ]
        assert rows[name].to_pylist() == expected, name


def test_files_are_of_one_day_and_bucket_and_in_order(stage: Stage) -> None:
    stage.send(ticks(2_000))
    stage.archive()
    table = stage.open().existing(TICKS)
    assert table is not None
    names = ["instrument_token", "feed_session", "feed_seq"]
    order = [(name, "ascending") for name in names]
    buckets = set()
    for task in table.scan().plan_files():
        rows = pq.read_table(task.file.file_path.removeprefix("file://")).select(names)
        assert rows.equals(rows.sort_by(order))
        tokens = rows["instrument_token"].to_numpy()
        (bucket,) = set(bucket_numbers(tokens, 16).tolist())
        assert (task.file.partition[0], task.file.partition[1]) == (20_775, bucket)
        buckets.add(bucket)
    assert buckets == set(bucket_numbers(256_265 + 256 * np.arange(50), 16).tolist())


def test_archiving_again_adds_only_what_is_new(stage: Stage) -> None:
    stage.send(ticks(1_000))
    stage.archive()
    stage.send(ticks(300, first_seq=1_000))
    stage.archive()
    assert stage.archived() == stage.in_kafka()
    assert len(stage.archived()) == 1_300


def test_repeats_of_the_bridge_are_kept_once_also_after_a_restart(stage: Stage) -> None:
    stage.send(ticks(1_000))
    counters = stage.archive()
    assert counters.repeats == 0
    stage.send(ticks(600, first_seq=500))  # 500 to 999 were published before
    counters = stage.archive()
    assert counters.repeats == 500
    assert max(stage.archived().values()) == 1
    assert len(stage.archived()) == 1_100


def test_events_dead_letters_and_values_that_are_no_ticks(stage: Stage) -> None:
    stage.send(ticks(100))
    stage.send_record(stage.ticks, b"no tick")
    stage.send_event(type="GAP_OPENED", from_ns=NOW_NS, cause="test", tokens=[256265, 256521])
    letter = DeadLetter(
        raw=b"\x00\x03raw",
        reason="DECODE_TRUNCATED",
        message="too short",
        contract="tick.v1",
        first_failure_ns=NOW_NS,
        unit="packet",
        feed_session=SESSION,
        feed_seq=100,
    )
    stage.send_record(stage.letters, letter.raw, letter)
    stage.archive()
    stage.archive()  # nothing is added by going on
    lake = stage.open()
    events, letters = lake.existing(FEED_EVENTS), lake.existing(DEAD_LETTERS)
    assert events is not None
    assert letters is not None
    (event,) = events.scan().to_arrow().to_pylist()
    assert event["type"] == "GAP_OPENED"
    assert event["tokens"] == [256265, 256521]
    assert event["from_ns"] == NOW_NS
    assert event["kafka_topic"] == stage.events
    found = letters.scan().to_arrow().sort_by("reason").to_pylist()
    assert [row["reason"] for row in found] == ["DECODE_TRUNCATED", "SCHEMA_INVALID"]
    assert [row["raw"] for row in found] == [b"\x00\x03raw", b"no tick"]
    assert (found[0]["feed_session"], found[0]["feed_seq"]) == (SESSION, 100)
    assert found[1]["origin_topic"] == stage.ticks
    assert len(stage.archived()) == 100


def test_progress_is_in_the_snapshot_of_the_data(stage: Stage) -> None:
    stage.send(ticks(1_000))
    stage.archive()
    table = stage.open().existing(TICKS)
    assert table is not None
    progress = progress_of(table.metadata)
    assert sum(each.offset for each in progress.values()) == 1_000
    assert {seq for each in progress.values() for seq in each.sessions} == {SESSION}
    assert max(each.sessions[SESSION] for each in progress.values()) == 999


def test_a_topic_that_is_not_there_is_one_sentence(stage: Stage) -> None:
    with pytest.raises(UnknownTopic, match="does not exist"):
        replace(stage, ticks="test-no-such-topic").archive()


def test_ticks_of_two_days_lie_in_two_partitions(stage: Stage) -> None:
    midnight_ns = 1_794_940_200 * 10**9  # 2026-11-18 00:00 IST
    stage.send(ticks(100, start_ns=midnight_ns - 50_000_000))
    stage.archive()
    table = stage.open().existing(TICKS)
    assert table is not None
    days = pc.value_counts(table.scan().to_arrow()["trading_day"]).to_pylist()
    assert {each["values"]: each["counts"] for each in days} == {
        date(2026, 11, 17): 50,
        date(2026, 11, 18): 50,
    }
