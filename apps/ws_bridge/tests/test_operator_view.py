"""Dashboard, alert rules and the operating page name what a running bridge really tells."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import live_stage as stage
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql import PromQlError, metrics_of

from kite_kafka_io.mock_broker import MockBroker
from kite_simulator import SimulatorOptions, SimulatorServer
from kite_ws_bridge.commands.options import COMPILING

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "infra" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "infra" / "grafana" / "dashboard.json"
PAGE = ROOT / "docs" / "operating.md"
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
OF_PROMETHEUS = {"up"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


@pytest.fixture(scope="module")
def told(mock_broker: MockBroker, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the samples that a running bridge has, or would have with a first label."""

    async def play() -> str:
        async with SimulatorServer(SimulatorOptions(ticks=500, expected_tokens=1)) as kite:
            home = tmp_path_factory.mktemp("bridge")
            bridge = stage.BridgeProcess(home, kite.url, mock_broker.bootstrap)
            try:
                await bridge.start()
                await asyncio.wait_for(kite.finished.wait(), stage.DEADLINE_S)
                assert COMPILING in bridge.lines, "seconds of silence at the first start"
                return await asyncio.to_thread(fetch, bridge.address + "/metrics")
            finally:
                await bridge.kill_if_running()

    def fetch(url: str) -> str:
        with urllib.request.urlopen(url, timeout=stage.DEADLINE_S) as answer:
            return str(answer.read().decode())

    return {
        family.name + suffix
        for family in text_string_to_metric_families(asyncio.run(play()))
        for suffix in SUFFIXES[family.type]
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_can_fire_and_says_what_to_do(rule: dict[str, Any], told: set[str]) -> None:
    assert metrics_of(rule["expr"]) <= told | OF_PROMETHEUS
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "meaning", "action"}
    for text in rule["annotations"].values():
        assert len(text) > 20
    assert f"`{rule['alert']}`" in PAGE.read_text("utf-8"), "docs/operating.md says nothing of it"


def test_the_panels_of_the_dashboard_show_what_there_is(told: set[str]) -> None:
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        for target in panel["targets"]:
            assert metrics_of(target["expr"]) <= told | OF_PROMETHEUS, panel["title"]


def test_every_metric_has_its_place_on_the_dashboard_or_is_a_detail(told: set[str]) -> None:
    shown: set[str] = set()
    for panel in panels():
        shown = shown.union(*(metrics_of(target["expr"]) for target in panel["targets"]))
    # Counted for the ledger; a panel would say what another one says.
    details = {
        *("frames_received", "frames_journaled", "packets_lost", "packets_decoded"),
        *("dead_published", "dead_acked", "events_journaled", "events_acked", "text_messages"),
        *("broker_errors", "log_lines_dropped"),
    }
    hidden = {f"ws_bridge_{name}_total" for name in details}
    hidden |= {"ws_bridge_frame_ack_seconds_sum", "ws_bridge_frame_ack_seconds_count"}
    # The dashboard's panel of reasons shows more than the alarm does.
    hidden |= {"ws_bridge_dead_letter_alarm", "ws_bridge_dead_letter_share"}
    hidden |= {"ws_bridge_journal_full", "ws_bridge_start_time_seconds"}
    hidden |= {"ws_bridge_calendar_days_left"}
    # Of the program, not of its work.
    hidden |= {"kite_build_info"}
    assert told - shown == hidden


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    assert {"title", "uid", "schemaVersion", "templating", "time"} <= set(dashboard)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource", "instance"}


def test_prometheus_reads_these_rules_from_the_bridges_port() -> None:
    loaded = yaml.safe_load(ALERTS.with_name("prometheus.yml").read_text("utf-8"))
    assert loaded["rule_files"] == [ALERTS.name]
    [job] = loaded["scrape_configs"]
    assert (job["job_name"], job["static_configs"][0]["targets"]) == (
        "ws_bridge",
        ["127.0.0.1:9464"],
    )


@pytest.mark.parametrize(
    "wrong",
    ["", "rate(x)", "rate(x[5m]", "sum by instance (x)", "x >", "x{a=b}", "foo(x[5m])", "x y",
     "increase(x[5 minutes])", "x == 1 for", "x offset", "histogram_quantile(0.9)"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(wrong: str) -> None:
    with pytest.raises(PromQlError):
        metrics_of(wrong)


def test_the_metrics_of_an_expression() -> None:
    text = 'sum by (a, b) (rate(x_total{job="j", k!~"v"}[5m])) / 2 > (y or vector(0)) and z'
    assert metrics_of(text) == {"x_total", "y", "z"}
    assert metrics_of('x > 0 unless y{a="b"} offset 5m or z') == {"x", "y", "z"}
