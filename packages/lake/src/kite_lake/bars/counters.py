"""What running bars count, and their Prometheus metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

PREFIX: Final = "tick_archive_bars_"
_COUNTERS: Final = {
    "ticks": "Ticks that were made into bars.",
    "revisions": "Bars that were final and were written again, with the next version.",
    "incomplete": "Bars and revisions written with complete = false.",
    "late": "Ticks that came too late for a revision, counted once for each interval.",
    "unnamed": "Bars that were not written because nobody named their instrument.",
    "repeats": "Ticks that Kafka has twice and the bars once.",
    "malformed": "Values of the topic of ticks that are none.",
    "checkpoints": "States stored in bars.state.",
    "kafka_errors": "Times that Kafka was away; each is tried again.",
}


@dataclass
class BarCounters:
    """Written by the loop, read by the pages of the health server."""

    ticks: int = 0
    revisions: int = 0
    incomplete: int = 0
    late: int = 0
    unnamed: int = 0
    repeats: int = 0
    malformed: int = 0
    checkpoints: int = 0
    kafka_errors: int = 0
    written: Counter[str] = field(default_factory=Counter)
    """Bars and revisions, by interval."""
    lag: int | None = None
    watermark_ns: int = 0
    """The lowest of this process's partitions; 0 before the first tick."""
    trouble: str | None = "not connected yet"
    """What is in the way now; None while it works."""

    def problems(self) -> list[str]:
        """For ``/readyz``."""
        return [] if self.trouble is None else [self.trouble]


class BarMetrics:
    """A collector for the Prometheus registry."""

    def __init__(self, counters: BarCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        counters = self._counters
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(PREFIX + name, text, value=getattr(counters, name))
        text = "Bars and revisions written, by interval."
        written = CounterMetricFamily(PREFIX + "written", text, labels=["interval"])
        for interval, count in sorted(counters.written.copy().items()):
            written.add_metric([interval], count)
        yield written
        if counters.lag is not None:
            text = "Offsets of this process's partitions that are not read yet."
            yield GaugeMetricFamily(PREFIX + "lag", text, value=counters.lag)
        if counters.watermark_ns:
            text = "Event time up to which bars are final but for the lateness, epoch seconds."
            mark_s = counters.watermark_ns / 1e9
            yield GaugeMetricFamily(PREFIX + "watermark_seconds", text, value=mark_s)
