"""One table of all metrics: Prometheus's pages, the JSON of ``/status`` and the table of
docs/operating.md are made from it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from kite_broker_zerodha.session.session import SessionState
from kite_live_feed.counters import LATENCY_BOUNDS_S, Counters, ShardView
from kite_runtime.logs import lines_dropped

PREFIX: Final = "ws_bridge_"

Read = Callable[[Counters, int], Any]
"""(counters, now in epoch ns) → a number; with labels a mapping by label, nested for two; for a
histogram its cumulative ``buckets`` and ``sum``."""


class Row(NamedTuple):
    """One metric; without ``read`` it is the attribute of this name among the counters."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    read: Read | None = None

    def value(self, counters: Counters, now_ns: int) -> Any:
        if self.read is not None:
            return self.read(counters, now_ns)
        found = getattr(counters, self.name)
        # Copied at once: the loop may add a label meanwhile.
        return dict(sorted(found.copy().items())) if isinstance(found, Counter) else found


def _by_shard(read: Callable[[ShardView, int], Any]) -> Read:
    """A value of each connection; those that are None are absent."""

    def by_shard(counters: Counters, now_ns: int) -> dict[str, Any]:
        values = {str(shard): read(view, now_ns) for shard, view in sorted(counters.shards.items())}
        return {shard: value for shard, value in values.items() if value is not None}

    return by_shard


def _age_s(since_ns: int, now_ns: int) -> float:
    return max(0, now_ns - since_ns) / 1e9


def _backlog_age_s(counters: Counters, now_ns: int) -> float:
    since_ns = counters.journal_backlog_since_ns
    return _age_s(since_ns, now_ns) if since_ns else 0.0


def _silence_s(view: ShardView, now_ns: int) -> float | None:
    return None if view.last_tick_ns is None else _age_s(view.last_tick_ns, now_ns)


def _latency(counters: Counters, _: int) -> dict[str, Any]:
    """Prometheus's buckets: each counts what is at most its bound."""
    names = [*(f"{bound:g}" for bound in LATENCY_BOUNDS_S), "+Inf"]
    total, buckets = 0, {}
    for name, count in zip(names, list(counters.latency.counts), strict=True):
        total += count
        buckets[name] = total
    return {"buckets": buckets, "sum": counters.latency.sum_s}


def _calendar_days_left(counters: Counters, now_ns: int) -> int:
    return max(0, -((now_ns - counters.calendar_ends_ns) // (86_400 * 10**9)))


METRICS: Final = (
    Row("frames_received", "counter", "Binary frames that Kite sent, heartbeats not counted."),
    Row("bytes_received", "counter", "Bytes of those frames."),
    Row("frames_journaled", "counter", "Frames written to the journal."),
    Row("packets_journaled", "counter", "Packets in those frames, readable or not."),
    Row("frames_lost", "counter", "Frames given up because the journal was full. Page on any."),
    Row("packets_lost", "counter", "Packets in the frames that were given up. Page on any."),
    Row("packets_decoded", "counter", "Packets decoded, checked and acknowledged by Kafka."),
    Row("ticks_published", "counter", "Ticks handed to Kafka, each time they are sent."),
    Row("dead_published", "counter", "Dead letters handed to Kafka, each time they are sent."),
    Row("ticks_acked", "counter", "Ticks that Kafka has acknowledged."),
    Row("dead_acked", "counter", "Dead letters that Kafka has acknowledged."),
    Row("side_refusals", "counter", "Times that Kafka refused a dead letter or an event."),
    Row("events_journaled", "counter", "Feed events written to the journal."),
    Row("events_acked", "counter", "Feed events that Kafka has acknowledged."),
    Row("producer_restarts", "counter", "Times that the Kafka producer failed and was replaced."),
    Row("journal_damage", "counter", "Damaged stretches found in the journal."),
    Row("frames_superseded", "counter", "Frames left to the bridge that had taken the shard."),
    Row("rebalances", "counter", "Times that shards came, went or were lost to the group."),
    Row("reconnects", "counter", "Connections to Kite that ended."),
    Row("gaps_opened", "counter", "Gaps that began, each with its tokens in feed.events."),
    Row("gaps_closed", "counter", "Gaps that ended."),
    Row("in_flight", "gauge", "Records handed to Kafka and not yet acknowledged."),
    Row("journal_backlog_bytes", "gauge", "Journal bytes not yet acknowledged by Kafka."),
    Row("journal_disk_bytes", "gauge", "Size of the journal on disk, with acknowledged segments."),
    Row("journal_room_bytes", "gauge", "Bytes that the journal can still take, by limit and disk."),
    Row("journal_full", "gauge", "1 while the journal refuses frames, which are lost. Page on it."),
    Row("refused_bytes", "gauge", "Bytes of refused records that were put aside. Page on any."),
    Row("shards_connected", "gauge", "Connections to Kite that are up."),
    Row("auth_expired", "gauge", "1 while Kite or the token file refuses the access token."),
    Row("group_size", "gauge", "Shards that a group of bridges shares out; 0 without a group."),
    Row("group_uncarried", "gauge", "Shards given without a connection for them. Page on any."),
    Row("group_unconfirmed", "gauge", "1 while the group has not confirmed this bridge's shards."),
    Row("dead_letter_alarm", "gauge", "1 while too much becomes dead letters. Page on it."),
    Row("dead_letter_share", "gauge", "Share of dead letters in the alarm's window, 0 to 1."),
    Row("dead_letters", "counter", "Dead letters acknowledged, by reason.", ("reason",)),
    Row(
        "records_refused",
        "counter",
        "Records that Kafka refused for good, put aside in a file.",
        ("topic",),
    ),
    Row("text_messages", "counter", "Text messages from Kite, by kind.", ("kind",)),
    Row(
        "broker_errors",
        "counter",
        "Errors that Kite sent as a text message, by their text.",
        ("cause",),
    ),
    Row("feed_events", "counter", "Feed events journaled, by type.", ("type",)),
    Row(
        "log_lines_dropped",
        "counter",
        "Lines of the log that were lost: a full disk, or a pipe that is not read.",
        read=lambda _, __: lines_dropped(),
    ),
    Row(
        "calendar_days_left",
        "gauge",
        "Days until the last one whose exchange holidays are known; the rest is assumed.",
        read=_calendar_days_left,
    ),
    Row(
        "start_time_seconds",
        "gauge",
        "When this process began, in epoch seconds (UTC).",
        read=lambda counters, _: counters.started_s,
    ),
    Row(
        "journal_backlog_age_seconds",
        "gauge",
        "Age of the oldest frame not yet in Kafka, or 0.",
        read=_backlog_age_s,
    ),
    Row(
        "ack_latency_seconds",
        "gauge",
        "Frame received to its last acknowledgement, for the newest acknowledged chunk.",
        read=lambda counters, _: counters.last_ack_latency_ns / 1e9,
    ),
    Row(
        "frame_ack_seconds",
        "histogram",
        "Frame received to its last acknowledgement, all frames of a chunk as its oldest.",
        read=_latency,
    ),
    Row("gaps_open", "gauge", "Gaps that last now, by cause.", ("cause",)),
    Row(
        "shard_state",
        "gauge",
        "1 for the state in which a connection to Kite is, 0 for the others.",
        ("shard", "state"),
        _by_shard(lambda view, _: {str(each): view.state == str(each) for each in SessionState}),
    ),
    Row(
        "shard_instruments",
        "gauge",
        "Instruments that a shard subscribes to.",
        ("shard",),
        _by_shard(lambda view, _: view.tokens),
    ),
    Row(
        "connect_attempts",
        "counter",
        "Attempts to connect to Kite.",
        ("shard",),
        _by_shard(lambda view, _: view.connect_attempts),
    ),
    Row(
        "shard_silence_seconds",
        "gauge",
        "Time since a shard's last frame with ticks; absent before its first.",
        ("shard",),
        _by_shard(_silence_s),
    ),
    Row(
        "group_shard",
        "gauge",
        "1 for each shard that this bridge carries.",
        ("shard",),
        lambda counters, _: {str(shard): 1 for shard in counters.group_shards},
    ),
)


class BridgeMetrics:
    """A Prometheus collector over the counters; ``refresh`` brings the gauges up to date."""

    def __init__(
        self,
        counters: Counters,
        refresh: Callable[[], None],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._counters = counters
        self._refresh = refresh
        self._now_ns = now_ns

    def read(self) -> dict[str, Any]:
        """Name, without prefix and suffix, → value, ready for JSON. Called in a server's thread."""
        self._refresh()
        now_ns = self._now_ns()
        return {row.name: row.value(self._counters, now_ns) for row in METRICS}

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus's registry at each scrape, in a thread of its own."""
        values = self.read()
        for row in METRICS:
            yield _family(row, values[row.name])


def _family(row: Row, value: Any) -> Metric:
    name = f"{PREFIX}{row.name}"
    if row.kind == "histogram":
        buckets = [(bound, float(count)) for bound, count in value["buckets"].items()]
        return HistogramMetricFamily(name, row.help, buckets=buckets, sum_value=value["sum"])
    kind = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    family = kind(name, row.help, labels=row.labels)
    for labels, number in _samples(value):
        family.add_metric(labels, number)
    return family


def _samples(value: Any, labels: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, Mapping):
        for label, each in value.items():
            yield from _samples(each, (*labels, label))
    else:
        yield labels, float(value)
