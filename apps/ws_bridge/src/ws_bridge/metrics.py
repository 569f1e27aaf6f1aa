"""Prometheus metrics: the counters under their public names, each with its one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ws_bridge.counters import Counters

_COUNTERS: Final = {
    "frames_received": "Binary frames that Kite sent, heartbeats not counted.",
    "bytes_received": "Bytes of those frames.",
    "frames_journaled": "Frames written to the journal.",
    "packets_journaled": "Packets in those frames, readable or not.",
    "frames_lost": "Frames given up because the journal was full. Page on any.",
    "packets_decoded": "Packets decoded, checked and acknowledged by Kafka.",
    "ticks_acked": "Ticks that Kafka has acknowledged.",
    "dead_acked": "Dead letters that Kafka has acknowledged.",
    "events_journaled": "Feed events written to the journal.",
    "events_acked": "Feed events that Kafka has acknowledged.",
    "producer_restarts": "Times that the Kafka producer failed and started over.",
    "journal_damage": "Damaged stretches found in the journal.",
    "reconnects": "Connections to Kite that ended.",
    "gaps_opened": "Silences that began, each with its tokens in feed.events.",
    "gaps_closed": "Silences that ended.",
}
_GAUGES: Final = {
    "in_flight": "Records handed to Kafka and not yet acknowledged.",
    "journal_backlog_bytes": "Journal bytes not yet acknowledged by Kafka.",
    "shards_connected": "Connections to Kite that are up.",
    "auth_expired": "1 while Kite refuses the access token.",
}


class BridgeMetrics:
    """A Prometheus collector over the counters; ``refresh`` brings the gauges up to date."""

    def __init__(self, counters: Counters, refresh: Callable[[], None]) -> None:
        self._counters = counters
        self._refresh = refresh

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus's registry at each scrape."""
        self._refresh()
        counters = self._counters
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"ws_bridge_{name}", text, getattr(counters, name))
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"ws_bridge_{name}", text, float(getattr(counters, name)))
        yield GaugeMetricFamily(
            "ws_bridge_ack_latency_seconds",
            "Frame received to its last acknowledgement, for the newest acknowledged chunk.",
            counters.last_ack_latency_ns / 1e9,
        )
        dead = CounterMetricFamily(
            "ws_bridge_dead_letters", "Dead letters acknowledged, by reason.", labels=["reason"]
        )
        for reason, count in sorted(counters.dead_by_reason.items()):
            dead.add_metric([reason], count)
        yield dead
        texts = CounterMetricFamily(
            "ws_bridge_text_messages", "Text messages from Kite, by kind.", labels=["kind"]
        )
        for kind, count in sorted(counters.text_messages.items()):
            texts.add_metric([kind], count)
        yield texts
