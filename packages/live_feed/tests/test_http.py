"""Metrics and health pages, asked as Prometheus and an orchestrator ask them."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from kite_live_feed.counters import Counters, ShardView
from kite_live_feed.metrics import BridgeMetrics
from kite_runtime.errors import PortTaken
from kite_runtime.health import HealthServer

TIMEOUT_S = 10.0


class Site:
    """A server over counters that the test sets."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.problems: list[str] = []
        self.works = True
        self.refreshed = 0
        registry = CollectorRegistry()
        metrics = BridgeMetrics(self.counters, self._refresh)
        registry.register(metrics)
        self.server = HealthServer(
            0,
            registry,
            lambda: self.problems,
            other_port="WS_BRIDGE_PORT=9465",
            pages={"/status": metrics.read},
            alive=lambda: self.works,
        )

    def _refresh(self) -> None:
        self.refreshed += 1
        self.counters.journal_backlog_bytes = 1000 + self.refreshed

    def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> dict[str, Any]:
        status, text = self.get("/metrics")
        assert status == 200
        return {family.name: family for family in text_string_to_metric_families(text)}


@pytest.fixture()
def site() -> Iterator[Site]:
    site = Site()
    with site.server:
        yield site


def value(family: Any, **labels: str) -> float:
    [sample] = [each for each in family.samples if each.labels == labels]
    return float(sample.value)


def test_every_metric_has_help_and_a_name_of_ours(site: Site) -> None:
    families = site.metrics()
    assert len(families) > 20
    for name, family in families.items():
        assert name.startswith("ws_bridge_")
        assert len(family.documentation) > 10, f"{name} has no help"
        assert family.documentation.endswith("."), f"{name}: a sentence"
        assert family.type in ("counter", "gauge", "histogram")


def test_every_number_of_the_books_is_a_metric(site: Site) -> None:
    """A counter that nobody can see is no alarm."""
    # shown as durations
    inside = {"journal_backlog_since_ns", "last_ack_latency_ns", "calendar_ends_ns"}
    shown = {name.removeprefix("ws_bridge_") for name in site.metrics()}
    numbers = {each.name for each in fields(Counters) if each.type in ("int", "bool")}
    assert numbers - inside <= shown


def test_values_are_those_of_the_moment(site: Site) -> None:
    counters = site.counters
    counters.frames_lost = 3
    counters.auth_expired = True
    counters.last_ack_latency_ns = 2_500_000
    counters.dead_letters["SEMANTIC_RANGE"] = 5
    counters.text_messages["order"] = 2
    families = site.metrics()
    assert value(families["ws_bridge_frames_lost"]) == 3
    assert value(families["ws_bridge_auth_expired"]) == 1
    assert value(families["ws_bridge_ack_latency_seconds"]) == 0.0025
    assert value(families["ws_bridge_dead_letters"], reason="SEMANTIC_RANGE") == 5
    assert value(families["ws_bridge_text_messages"], kind="order") == 2
    counters.frames_lost = 4
    again = site.metrics()
    assert value(again["ws_bridge_frames_lost"]) == 4
    first = value(families["ws_bridge_journal_backlog_bytes"])
    assert value(again["ws_bridge_journal_backlog_bytes"]) > first, "gauges are brought up to date"


def test_the_json_page_holds_the_numbers_of_the_metrics(site: Site) -> None:
    site.counters.dead_letters["SEMANTIC_RANGE"] = 5
    site.counters.latency.observe(0.0015, frames=3)
    site.counters.shards = {10: ShardView("backoff", 2, 1, None)}
    status, text = site.get("/status")
    found, families = json.loads(text), site.metrics()
    assert status == 200
    assert {f"ws_bridge_{name}" for name in found} == set(families)
    assert found["dead_letters"] == {"SEMANTIC_RANGE": 5}
    assert found["shard_state"]["10"]["backoff"] is True
    assert found["shard_silence_seconds"] == {}
    assert found["frame_ack_seconds"]["buckets"]["0.002"] == 3
    for name, number in found.items():
        if isinstance(number, int) and name != "journal_backlog_bytes":  # it is refreshed
            assert value(families[f"ws_bridge_{name}"]) == number


def test_the_histogram_counts_frames_by_their_time_to_the_acknowledgement(site: Site) -> None:
    site.counters.latency.observe(0.0015, frames=3)
    site.counters.latency.observe(0.005, frames=1)
    site.counters.latency.observe(1000.0, frames=2)
    samples = site.metrics()["ws_bridge_frame_ack_seconds"].samples
    buckets = {each.labels["le"]: each.value for each in samples if "le" in each.labels}
    assert (buckets["0.001"], buckets["0.002"], buckets["0.005"]) == (0, 3, 4)
    assert (buckets["300"], buckets["+Inf"]) == (4, 6)
    [total] = [each.value for each in samples if each.name.endswith("_sum")]
    assert total == pytest.approx(2000.0095)


def test_each_connection_tells_its_state_and_its_silence(site: Site) -> None:
    ten_s_ago = time.time_ns() - 10_000_000_000
    site.counters.shards = {
        0: ShardView("live", 40, 3, ten_s_ago),
        1: ShardView("backoff", 2, 1, None),
    }
    site.counters.gaps_open = Counter({"stalled": 1})
    site.counters.journal_backlog_since_ns = ten_s_ago
    families = site.metrics()
    state = families["ws_bridge_shard_state"]
    assert value(state, shard="0", state="live") == 1
    assert value(state, shard="0", state="backoff") == 0
    assert value(state, shard="1", state="backoff") == 1
    assert value(families["ws_bridge_shard_instruments"], shard="0") == 40
    assert value(families["ws_bridge_connect_attempts"], shard="0") == 3
    assert value(families["ws_bridge_gaps_open"], cause="stalled") == 1
    [silence] = families["ws_bridge_shard_silence_seconds"].samples
    assert silence.labels == {"shard": "0"}
    assert silence.value == pytest.approx(10, abs=5)
    assert value(families["ws_bridge_journal_backlog_age_seconds"]) == pytest.approx(10, abs=5)


def test_health_is_that_the_process_answers(site: Site) -> None:
    site.problems = ["Kafka is away"]
    assert site.get("/healthz") == (200, "ok\n")


def test_readiness_gives_its_reasons(site: Site) -> None:
    assert site.get("/readyz") == (200, "ready\n")
    site.problems = ["shard 0 is connecting", "the journal is full"]
    assert site.get("/readyz") == (503, "shard 0 is connecting\nthe journal is full\n")
    site.problems = []
    assert site.get("/readyz") == (200, "ready\n")


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/x", "/readyz/"])
def test_any_other_page_is_not_there(site: Site, path: str) -> None:
    status, text = site.get(path)
    assert status == 404
    assert "/metrics, /healthz or /readyz" in text


def test_a_port_in_use_is_said(site: Site) -> None:
    with pytest.raises(PortTaken, match=f"port {site.server.port} cannot be opened"):
        HealthServer(site.server.port, CollectorRegistry(), list, other_port="WS_BRIDGE_PORT=9465")


def test_the_port_is_free_afterwards(site: Site) -> None:
    with HealthServer(0, CollectorRegistry(), list, other_port="WS_BRIDGE_PORT=9465") as server:
        port = server.port
    with HealthServer(port, CollectorRegistry(), list, other_port="WS_BRIDGE_PORT=9465") as again:
        assert again.port == port


def test_a_process_that_works_no_more_is_to_be_replaced(site: Site) -> None:
    assert site.get("/healthz") == (200, "ok\n")
    site.works = False
    assert site.get("/healthz")[0] == 503


def test_silent_and_half_connections_hold_up_neither_the_pages_nor_the_end(site: Site) -> None:
    held = [socket.create_connection(("127.0.0.1", site.server.port)) for _ in range(100)]
    for number, connection in enumerate(held):
        if number % 2:
            with suppress(OSError):  # it may have been closed for a newer one
                connection.sendall(b"GET /metrics HTTP/1.1\r\nX-Half: ")
    began_s = time.monotonic()
    assert site.get("/healthz") == (200, "ok\n")
    assert site.get("/readyz")[0] == 200
    site.server.__exit__(None, None, None)
    assert time.monotonic() - began_s < TIMEOUT_S
    for connection in held:
        connection.close()


@pytest.mark.parametrize(("ends_in_s", "days"), [(0, 0), (-5, 0), (1, 1), (86_400, 1), (86_401, 2)])
def test_the_days_that_are_left_of_the_calendar(ends_in_s: int, days: int) -> None:
    now_ns = 1_795_000_000 * 10**9
    counters = Counters(calendar_ends_ns=now_ns + ends_in_s * 10**9)
    metrics = BridgeMetrics(counters, lambda: None, now_ns=lambda: now_ns)
    assert metrics.read()["calendar_days_left"] == days
