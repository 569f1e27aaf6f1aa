"""The pure parts of the benchmarks: spreads, verdicts, tables, the picture, and the page itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.live import Window, windows_of
from benchmarks.measure import Figure, Spread, in_turns, ratios
from benchmarks.others import budget_lines
from benchmarks.page import BEGIN, END, amount, budget_rows, picture, tables, with_tables
from benchmarks.pipelines import NAMES, figures_of
from benchmarks.plot import log_plot
from benchmarks.record import Part, load_record, save_record

PAGES = Path(__file__).parents[2] / "docs"


def part(name: str, *figures: Figure) -> Part:
    return Part(name, "A title", "2026-11-23T08:00:00+00:00", 12.0, 0.5, 1.5, list(figures))


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was twice as slow in the second round: the ratio does not see it.
    spread = ratios([100.0, 50.0, 90.0], [50.0, 25.0, 30.0])
    assert (spread.median, spread.low, spread.high, spread.rounds) == (2.0, 2.0, 3.0, 3)


def test_rounds_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_ways_take_turns_and_the_order_changes() -> None:
    calls: list[str] = []

    def way(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    found = in_turns(2, {"a": lambda: way("a"), "b": lambda: way("b")})
    assert calls == ["a", "b", "a", "b", "b", "a"]
    assert found == {"a": [3.0, 6.0], "b": [4.0, 5.0]}


@pytest.mark.parametrize(
    ("value", "at_most", "met"), [(0.8, False, True), (0.79, False, False), (0.81, True, False)]
)
def test_a_budget_is_met_at_its_very_value_and_not_beyond(
    value: float, at_most: bool, met: bool
) -> None:
    assert Figure.once("x", "x", value, 0.8, at_most=at_most).met is met


def test_a_missed_budget_is_printed_as_missed() -> None:
    missed = Figure.of("latency", "ms", Spread(12.34, 9.0, 20.0, 5), 10.0, at_most=True)
    free = Figure.once("something", "s", 3.0)
    assert budget_rows([part("live", missed, free)]) == [
        ("latency", "12.3 ms (9..20)", "≤ 10 ms", "**no**")
    ]
    assert amount(free) == "3 s"


def test_latency_lies_where_the_share_is_reached() -> None:
    window = Window(5.0, 90_000, {0.001: 0.0, 0.002: 50.0, 0.005: 98.0, float("inf"): 100.0}, {})
    assert window.latency_ms(0.5) == pytest.approx(2.0)
    assert window.latency_ms(0.25) == pytest.approx(1.5)
    assert window.latency_ms(0.99) == pytest.approx(5.0), "above the last bound: that bound"


def test_processor_time_is_told_for_a_thousand_ticks() -> None:
    buckets = {0.01: 10.0, float("inf"): 10.0}
    figures = windows_of([Window(5.0, 90_000, buckets, {"bridge": 1.8})])
    told = {figure.name: figure.value for figure in figures}
    assert told["CPU a thousand ticks, bridge"] == pytest.approx(20.0)
    assert told["bridge, cores in use"] == pytest.approx(0.36)
    assert told["frames acknowledged within 10 ms"] == 100.0


def test_every_way_is_held_against_plain_and_ready_made() -> None:
    rates = {name: [100.0] for name in NAMES} | {"plain": [1.0], "ready": [125.0], "bare": [200.0]}
    costs = {name: [2.5] for name in NAMES}
    figures = {figure.name: figure for figure in figures_of(30, rates, costs)}
    plain = figures["bridge, frame by frame, against the plain pipeline, 30 packets a frame"]
    ready = figures["bridge, frames queue, against ready-made bytes, 30 packets a frame"]
    assert (plain.value, plain.met) == (100.0, True)
    assert (ready.value, ready.budget, ready.met) == (0.8, 0.8, True)
    assert figures["with journal against without, 30 packets a frame"].value == 0.5
    cost = figures["bridge, frames queue, CPU a thousand ticks, 30 packets a frame"]
    assert (cost.value, cost.unit) == (2.5, "ms")


def test_budgets_of_other_programs_are_read_from_their_lines() -> None:
    printed = (
        "Title\nsync against COPY: 3.1 (budget 5) PASS\npeak memory: 1,512 MB (budget 300)\n"
        "merge against COPY: 0.45, 0.40 to 0.51 (budget 0.5) MISS\n"
    )
    share, memory, merge = budget_lines("sync", printed)
    assert (share.name, share.value, share.met) == ("sync: sync against COPY", 3.1, True)
    assert (memory.value, memory.unit, memory.met) == (1512.0, "MB", False)
    assert (merge.value, merge.unit, merge.met) == (0.45, "x", False)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    assert load_record(file) == ({}, {})
    kept = {"live": part("live", Figure.once("x", "s", 1.5, 2.0, at=3))}
    save_record(file, {"cores": "2"}, kept)
    assert load_record(file) == ({"cores": "2"}, kept)


def test_a_page_without_markers_is_refused() -> None:
    assert with_tables(f"head\n{BEGIN}\nold\n{END}\ntail", "new") == (
        f"head\n{BEGIN}\n\nnew\n\n{END}\ntail"
    )
    with pytest.raises(ValueError, match="lacks"):
        with_tables("head", "new")


def test_the_picture_is_sound_and_larger_is_higher() -> None:
    drawn = ET.fromstring(log_plot("Rate < 1", "packets", {"a & b": [(1, 10.0), (100, 1000.0)]}))
    lines = [each for each in drawn if each.tag.endswith("polyline")]
    first, last = (point.split(",") for point in lines[0].attrib["points"].split())
    assert float(first[0]) < float(last[0])
    assert float(first[1]) > float(last[1])
    with pytest.raises(ValueError, match="nothing"):
        log_plot("Empty", "x", {})


def test_the_page_tells_what_the_record_holds() -> None:
    about, parts = load_record(PAGES / "performance.json")
    text = (PAGES / "performance.md").read_text("utf-8")
    assert with_tables(text, tables(about, parts)) == text
    assert (PAGES / "performance.svg").read_text("utf-8") == picture(parts["pipelines"])
