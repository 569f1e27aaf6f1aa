"""Delays by segment and hour, and the clock that they tell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from prometheus_client import generate_latest

from kite_contracts.tick_batch import ABSENT
from kite_kafka_io.testing import NOW_NS
from kite_lake.counters import ArchiveCounters, ArchiveMetrics
from kite_lake.delays import Spread, clock_error_s, count_segments, delays

NINE_NS = NOW_NS // 86_400_000_000_000 * 86_400_000_000_000 + int(3.5 * 3600) * 10**9
"""09:00 in India."""


def batches(*rows: tuple[int, float, float | None]) -> pa.RecordBatchReader:
    """Token, receive time after nine in seconds, and how long ago it was sent."""
    tokens, seconds, ages = zip(*rows, strict=True)
    received = [NINE_NS + int(each * 1e9) for each in seconds]
    events = [
        None if age is None else at - int(age * 1e9) for at, age in zip(received, ages, strict=True)
    ]
    schema = pa.schema(
        [
            ("instrument_token", pa.int64()),
            ("ts_recv", pa.timestamp("ns", "UTC")),
            ("ts_event", pa.timestamp("ns", "UTC")),
        ]
    )
    columns = [pa.array(list(tokens)), pa.array(received), pa.array(events, pa.int64())]
    table = pa.table(
        [each.cast(kind.type) for each, kind in zip(columns, schema, strict=True)], schema
    )
    return pa.RecordBatchReader.from_batches(schema, table.to_batches())


def test_by_segment_and_hour() -> None:
    found = delays(
        batches(
            (257, 60, 0.25), (257, 61, 0.85), (257, 3600, 1.05), (2 + 256, 5, 7.0), (257, 62, None)
        )
    )
    assert {key: each.ticks for key, each in found.items()} == {(1, 9): 2, (1, 10): 1, (2, 9): 1}
    assert found[1, 9].quantile_s(0) == 0.2
    assert found[1, 9].quantile_s(1) == 0.8
    assert found[2, 9].quantile_s(0.5) == 7.0


def test_quantiles_are_those_of_a_plain_computation() -> None:
    ages = np.random.default_rng(7).gamma(2, 0.7, 500)
    found = delays(batches(*[(257, 1 + i / 1000, float(age)) for i, age in enumerate(ages)]))
    for share in (0.0, 0.01, 0.5, 0.95, 1.0):
        expected = np.quantile(np.floor(ages * 10) / 10, share, method="lower")
        assert found[1, 9].quantile_s(share) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("quickest_s", "expected"),
    [(0.0, 0.0), (0.9, 0.0), (2.0, 0.0), (-0.5, 0.0), (-0.8, -0.8), (2.5, 2.5), (19_800, 19_800)],
)
def test_the_clock(quickest_s: float, expected: float) -> None:
    rows = [(257, i, quickest_s + i / 10) for i in range(5)]
    found = delays(batches(*rows, (258, 1, quickest_s + 30)))
    assert clock_error_s(found) == pytest.approx(expected)


def test_no_exchange_time() -> None:
    assert delays(batches((257, 1, None))) == {}
    assert clock_error_s({}) == 0.0
    with pytest.raises(ValueError, match="no tick has an exchange time"):
        Spread().quantile_s(0.5)


def test_the_metric_counts_by_segment() -> None:
    found: dict[int, Spread] = {}
    token = np.array([257, 257, 258, 257])
    sent = np.array([10, 10, 10, ABSENT])
    received = sent + np.array([-(10**9), 700_000_000, 90 * 10**9, 0])
    count_segments(found, token, received, sent)
    assert {segment: each.ticks for segment, each in found.items()} == {1: 2, 2: 1}
    buckets = dict(found[1].buckets())
    assert (buckets["0.0"], buckets["1.0"], buckets["+Inf"]) == (1, 2, 2)
    assert found[2].sum_s == pytest.approx(90)
    text = generate_latest(ArchiveMetrics(ArchiveCounters(delays=found))).decode()
    assert 'tick_archive_delay_seconds_bucket{le="60.0",segment="2"} 0.0' in text
    assert 'tick_archive_delay_seconds_count{segment="2"} 1.0' in text
