"""What a running archive counts, and its Prometheus metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from kite_lake.delays import Spread

PREFIX: Final = "tick_archive_"
_COUNTERS: Final = {
    "commits": "Snapshots committed, of all tables.",
    "repeats": "Ticks that Kafka has twice and the archive once.",
    "malformed": "Values of the topic of ticks that are none; they are in tick_dead_letters.",
    "offsets_lost": "Offsets that Kafka dropped before they were archived.",
    "moved": "Commits refused because another process had archived the partition.",
    "lake_errors": "Times that catalog or warehouse could not be used; each is tried again.",
    "kafka_errors": "Times that Kafka was away; each is tried again.",
}


@dataclass
class ArchiveCounters:
    """Written by the loop, read by the pages of the health server."""

    commits: int = 0
    repeats: int = 0
    malformed: int = 0
    offsets_lost: int = 0
    moved: int = 0
    lake_errors: int = 0
    kafka_errors: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    files: int = 0
    buffered: int = 0
    lag: int | None = None
    delays: dict[int, Spread] = field(default_factory=dict)
    """Of ticks with an exchange time, by segment."""
    progress_at: float | None = None
    """When the last snapshot was committed, epoch seconds."""
    trouble: str | None = "not connected yet"
    """What is in the way now; None while it works."""

    def committed(self, topic: str, rows: int, files: int) -> None:
        """Note one snapshot."""
        self.commits += 1
        self.rows[topic] += rows
        self.files += files
        self.progress_at = time.time()
        self.trouble = None

    def problems(self) -> list[str]:
        """For ``/readyz``."""
        return [] if self.trouble is None else [self.trouble]


class ArchiveMetrics:
    """A collector for the Prometheus registry; ``clock`` is epoch seconds."""

    def __init__(self, counters: ArchiveCounters, clock: Callable[[], float] = time.time) -> None:
        self._counters = counters
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        counters = self._counters
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(PREFIX + name, text, value=getattr(counters, name))
        rows = CounterMetricFamily(PREFIX + "rows", "Rows archived, by topic.", labels=["topic"])
        for topic, count in sorted(counters.rows.copy().items()):
            rows.add_metric([topic], count)
        yield rows
        text = "Seconds from the exchange's time, in whole seconds, to the receipt, by segment."
        delays = HistogramMetricFamily(PREFIX + "delay_seconds", text, labels=["segment"])
        for segment, spread in sorted(counters.delays.copy().items()):
            delays.add_metric([str(segment)], spread.buckets(), spread.sum_s)
        yield delays
        text = "Rows that are read and not committed yet."
        yield GaugeMetricFamily(PREFIX + "buffered", text, value=counters.buffered)
        if counters.lag is not None:
            text = "Offsets of this process's partitions that are not read yet."
            yield GaugeMetricFamily(PREFIX + "lag", text, value=counters.lag)
        if counters.progress_at is not None:
            age_s = max(0.0, self._clock() - counters.progress_at)
            text = "Seconds since the last snapshot."
            yield GaugeMetricFamily(PREFIX + "last_commit_age_seconds", text, value=age_s)
