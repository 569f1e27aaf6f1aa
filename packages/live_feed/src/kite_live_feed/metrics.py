"""Prometheus metrics: the counters under their public names, each with its one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from kite_live_feed.counters import LATENCY_BOUNDS_S, Counters

_COUNTERS: Final = {
    "frames_received": "Binary frames that Kite sent, heartbeats not counted.",
    "bytes_received": "Bytes of those frames.",
    "frames_journaled": "Frames written to the journal.",
    "packets_journaled": "Packets in those frames, readable or not.",
    "frames_lost": "Frames given up because the journal was full. Page on any.",
    "packets_lost": "Packets in the frames that were given up. Page on any.",
    "packets_decoded": "Packets decoded, checked and acknowledged by Kafka.",
    "ticks_published": "Ticks handed to Kafka, repeats after a restart counted again.",
    "dead_published": "Dead letters handed to Kafka, repeats after a restart counted again.",
    "ticks_acked": "Ticks that Kafka has acknowledged.",
    "dead_acked": "Dead letters that Kafka has acknowledged.",
    "side_refusals": "Times that Kafka refused a dead letter or a feed event, which is sent again.",
    "events_journaled": "Feed events written to the journal.",
    "events_acked": "Feed events that Kafka has acknowledged.",
    "producer_restarts": "Times that the Kafka producer failed and started over.",
    "journal_damage": "Damaged stretches found in the journal.",
    "frames_superseded": "Journaled frames left unpublished: another bridge had taken the shard.",
    "rebalances": "Times that shards came, went or were lost to the group.",
    "reconnects": "Connections to Kite that ended.",
    "gaps_opened": "Silences that began, each with its tokens in feed.events.",
    "gaps_closed": "Silences that ended.",
}
_GAUGES: Final = {
    "in_flight": "Records handed to Kafka and not yet acknowledged.",
    "journal_backlog_bytes": "Journal bytes not yet acknowledged by Kafka.",
    "journal_disk_bytes": "What the journal takes on the disk, acknowledged segments included.",
    "journal_room_bytes": "Bytes that the journal can still take: its limit and its disk count.",
    "journal_full": "1 while the journal refuses frames, which are lost then. Page on it.",
    "refused_bytes": "Bytes of refused records that were put aside and not yet sent. Page on any.",
    "shards_connected": "Connections to Kite that are up.",
    "auth_expired": "1 while the access token is refused, by Kite or because of its file.",
    "group_size": "Shards into which the bridges of a group share the universe; 0 without a group.",
    "group_uncarried": "Shards that this bridge got and has no connection for. Page on any.",
    "group_unconfirmed": "1 while the group has not confirmed this bridge's shards.",
    "dead_letter_alarm": "1 while too much of the feed becomes dead letters. Page on it.",
    "dead_letter_share": "Share of dead letters among the records of the alarm's window, 0 to 1.",
}
_LABELLED: Final = {
    "dead_by_reason": ("dead_letters", "Dead letters acknowledged, by reason.", "reason"),
    "refused": (
        "records_refused",
        "Dead letters and events that Kafka refused for good, put aside in a file, by topic.",
        "topic",
    ),
    "text_messages": ("text_messages", "Text messages from Kite, by kind.", "kind"),
    "events_by_type": ("feed_events", "Feed events journaled, by type.", "type"),
}
STATES: Final = ("idle", "connecting", "live", "backoff", "auth_expired", "stopped")
"""The states of a session, in the words of broker_zerodha."""


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
        self._started_s = now_ns() / 1e9

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus's registry at each scrape, in a thread of its own."""
        self._refresh()
        counters = self._counters
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"ws_bridge_{name}", text, getattr(counters, name))
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"ws_bridge_{name}", text, float(getattr(counters, name)))
        for field, (name, text, label) in _LABELLED.items():
            family = CounterMetricFamily(f"ws_bridge_{name}", text, labels=[label])
            for key, count in sorted(getattr(counters, field).copy().items()):
                family.add_metric([key], count)
            yield family
        yield from self._times()
        yield from self._shards()

    def _times(self) -> Iterator[Metric]:
        counters, since_ns = self._counters, self._counters.journal_backlog_since_ns
        yield GaugeMetricFamily(
            "ws_bridge_start_time_seconds",
            "When this process began, in seconds since the epoch (UTC).",
            self._started_s,
        )
        yield GaugeMetricFamily(
            "ws_bridge_journal_backlog_age_seconds",
            "Age of the oldest frame that is on its way to Kafka, 0 when there is none.",
            max(0, self._now_ns() - since_ns) / 1e9 if since_ns else 0.0,
        )
        yield GaugeMetricFamily(
            "ws_bridge_ack_latency_seconds",
            "Frame received to its last acknowledgement, for the newest acknowledged chunk.",
            counters.last_ack_latency_ns / 1e9,
        )
        yield HistogramMetricFamily(
            "ws_bridge_frame_ack_seconds",
            "Frame received to its last acknowledgement, all frames of a chunk as its oldest.",
            buckets=_cumulative(counters.latency.counts),
            sum_value=counters.latency.sum_s,
        )

    def _shards(self) -> Iterator[Metric]:
        now_ns = self._now_ns()
        gaps = GaugeMetricFamily(
            "ws_bridge_gaps_open", "Silences that last now, by cause.", labels=["cause"]
        )
        for cause, count in sorted(self._counters.gaps_open.items()):
            gaps.add_metric([cause], count)
        state = GaugeMetricFamily(
            "ws_bridge_shard_state",
            "1 for the state in which a connection to Kite is, 0 for the others.",
            labels=["shard", "state"],
        )
        tokens = GaugeMetricFamily(
            "ws_bridge_shard_instruments", "Instruments that a shard subscribes.", labels=["shard"]
        )
        attempts = CounterMetricFamily(
            "ws_bridge_connect_attempts", "Attempts to connect to Kite.", labels=["shard"]
        )
        silence = GaugeMetricFamily(
            "ws_bridge_shard_silence_seconds",
            "Time since a shard's last frame with ticks; absent before its first.",
            labels=["shard"],
        )
        for shard, view in sorted(self._counters.shards.items()):
            for name in STATES:
                state.add_metric([str(shard), name], float(view.state == name))
            tokens.add_metric([str(shard)], view.tokens)
            attempts.add_metric([str(shard)], view.connect_attempts)
            if view.last_tick_ns is not None:
                silence.add_metric([str(shard)], max(0, now_ns - view.last_tick_ns) / 1e9)
        held = GaugeMetricFamily(
            "ws_bridge_group_shard", "1 for each shard that this bridge carries.", labels=["shard"]
        )
        for shard in self._counters.group_shards:
            held.add_metric([str(shard)], 1.0)
        yield from (gaps, state, tokens, attempts, silence, held)


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    """Prometheus's buckets: each counts what is at most its bound."""
    names = [*(f"{bound:g}" for bound in LATENCY_BOUNDS_S), "+Inf"]
    total, buckets = 0, []
    for name, count in zip(names, list(counts), strict=True):
        total += count
        buckets.append((name, float(total)))
    return buckets
