"""``status``: what a running bridge tells a person, and that there is none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from kite_live_feed.counters import Counters, ShardView
from kite_live_feed.metrics import BridgeMetrics
from kite_runtime.health import HealthServer
from kite_runtime.testing import CommandLine
from kite_ws_bridge.commands.status import make_status, quantile


class Bridge:
    """A bridge's pages over counters that the test sets; each reading brings 30 packets more."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.counters = Counters(
            frames_lost=3,
            journal_room_bytes=5 << 20,
            auth_expired=True,
            dead_letters=Counter({"SEMANTIC_RANGE": 2}),
            dead_letter_alarm=True,
            dead_letter_share=0.125,
            gaps_open=Counter({"stalled": 1}),
            shards={0: ShardView("live", 40, 2, None), 10: ShardView("backoff", 7, 9, 1)},
        )
        registry = CollectorRegistry()
        metrics = BridgeMetrics(self.counters, self._more)
        pages = {"/status": lambda: {"problems": self.problems, "metrics": metrics.read()}}
        self.server = HealthServer(0, registry, list, other_port="none", pages=pages)
        self.url = f"http://127.0.0.1:{self.server.port}"

    def _more(self) -> None:
        self.counters.packets_journaled += 30


@pytest.fixture()
def bridge() -> Iterator[Bridge]:
    bridge = Bridge()
    with bridge.server:
        yield bridge


def test_a_bridge_that_is_ready(command_line: CommandLine, bridge: Bridge) -> None:
    shown = command_line("status", "--url", bridge.url, "--interval", "0.1")
    assert (shown.code, shown.stderr) == (0, "")
    assert f"{bridge.url}: ready" in shown.stdout
    for fact in (
        "3",
        "5 MiB",
        "1 stalled",
        "2 SEMANTIC_RANGE",
        "REFUSED",
        "none yet",
        "backoff",
        "12.50% ALARM",
    ):
        assert fact in shown.stdout
    assert shown.stdout.index("live") < shown.stdout.index("backoff"), "connections in order"


def test_one_that_is_not_says_why_and_exits_with_3(
    command_line: CommandLine, bridge: Bridge
) -> None:
    bridge.problems = ["shard 10 is backoff", "the journal is full"]
    shown = command_line("status", "--url", bridge.url, "--interval", "0.1")
    assert shown.code == 3
    assert "NOT READY" in shown.stdout
    for problem in bridge.problems:
        assert f"! {problem}" in shown.stdout


def test_the_reason_for_a_refused_token_and_the_shards_of_a_group_are_told(
    command_line: CommandLine, bridge: Bridge
) -> None:
    reason = "the token file /t is open to others (mode 0644): chmod 600 /t"
    bridge.problems = [f"shard 0 is auth_expired: {reason}"]
    bridge.counters.group_size = 6
    bridge.counters.group_shards = (0, 4)
    bridge.counters.group_uncarried = 1
    bridge.counters.rebalances = 2
    shown = command_line("status", "--url", bridge.url, "--interval", "0.1", env={"COLUMNS": "200"})
    assert f"REFUSED: {reason}" in shown.stdout
    assert "0, 4 of 6, 1 MORE WITHOUT A CONNECTION; 2 changes" in shown.stdout


def test_json_holds_the_same_facts(command_line: CommandLine, bridge: Bridge) -> None:
    bridge.problems = ["Kafka is away"]
    shown = command_line("status", "--url", bridge.url + "/", "--interval", "0.5", "--json")
    facts = json.loads(shown.stdout)
    assert (shown.code, facts["ready"], facts["problems"]) == (3, False, ["Kafka is away"])
    assert 0 < facts["ticks_per_s"] <= 60, "30 packets in half a second or a little more"
    assert facts["counts"]["frames_lost"] == 3
    assert facts["dead_letters"] == {"SEMANTIC_RANGE": 2}
    first, second = facts["connections"]
    assert (first["shard"], first["state"], first["silence_s"]) == (0, "live", None)
    assert (second["attempts"], second["instruments"]) == (9, 7)


def test_no_bridge_is_one_sentence_and_75(command_line: CommandLine) -> None:
    bridge = Bridge()
    with bridge.server:
        pass  # it has been there, so its port is nobody's now
    for arguments in (("--url", bridge.url), ()):
        env = {"WS_BRIDGE_PORT": str(bridge.server.port)}
        shown = command_line("status", *arguments, env=env)
        assert (shown.code, shown.stdout) == (75, "")
        assert len(shown.sentences) == 1
        assert f"no bridge answers at {bridge.url}" in shown.stderr


@pytest.mark.parametrize("url", ["9464", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none_is_wrong_usage(command_line: CommandLine, url: str) -> None:
    shown = command_line("status", "--url", url)
    assert shown.code == 2
    assert "--url http://127.0.0.1:9464" in shown.stderr


def test_another_program_behind_the_address_is_wrong_usage(command_line: CommandLine) -> None:
    with HealthServer(0, CollectorRegistry(), list, other_port="none") as server:
        shown = command_line("status", "--url", f"http://127.0.0.1:{server.port}")
    assert shown.code == 2
    assert "is not the metrics address of a ws_bridge" in shown.stderr


def test_a_restart_in_between_is_no_negative_rate() -> None:
    before = BridgeMetrics(Counters(packets_journaled=500), lambda: None).read()
    now = BridgeMetrics(Counters(packets_journaled=20, started_s=90.0), lambda: None).read()
    status = make_status("http://x", {"problems": [], "metrics": now}, before, 1.0, now_s=100.0)
    found = (status[name] for name in ("ticks_per_s", "uptime_s", "connections"))
    assert list(found) == [0, 10, []]


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [({}, None), ({"1": 0.0, "+Inf": 0.0}, None), ({"0.5": 98.0, "1": 99.0, "+Inf": 100.0}, 1.0),
     ({"0.5": 0.0, "+Inf": 3.0}, float("inf"))],
)  # fmt: skip
def test_quantiles_are_the_bound_of_the_bucket(
    buckets: dict[str, float], expected: float | None
) -> None:
    assert quantile(buckets, 0.99) == expected
