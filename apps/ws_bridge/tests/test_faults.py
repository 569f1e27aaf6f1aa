"""The short forms of the staged faults, and the page that is made of the long ones.

The long forms are `make faults`; see ``faults``. Those whose short form takes longer than a test
may, or shows what another test shows, are played there alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from faults import cli, kafka, page
from faults.outcome import Fault, Outcome, append_record, load_records, make_record
from faults.proof import Gap, silences, uncovered
from faults.scene import Scene, create_topics, real_broker

DOCS = Path(__file__).parents[3] / "docs"
SHORT = (
    *("broker-stop-5", "replies-lost", "journal-limit", "journal-restart", "journal-damage"),
    *("feed-transport", "token", "subscription", "clock-jumps", "events-limit", "letters-limit"),
)
S = 1_000_000_000
NOT_HARDENED = {"fuzz", "soak"}
"""The one needs no Kafka, the other has half an hour of its own."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.PlayKafka]:
    """A real Kafka that these tests may stop and starve."""
    with real_broker(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_keeps_its_promise(broker: kafka.PlayKafka, tmp_path: Path, name: str) -> None:
    if not broker.running:
        broker.start()
    create_topics(broker)
    outcome = cli.FAULTS[name].play(Scene(broker, tmp_path, full=False))
    assert outcome.figures
    assert not outcome.problems, outcome.figures


def test_the_page_is_that_of_the_records() -> None:
    records = load_records(DOCS / "reliability.jsonl")
    assert (DOCS / "reliability.md").read_text("utf-8") == page.page(records), "faults.page"


@pytest.mark.parametrize("kind", kafka.Kind)
def test_every_fault_has_a_record_of_a_long_run_that_kept_its_promise(kind: kafka.Kind) -> None:
    every = load_records(DOCS / "reliability.jsonl")
    records = {record.name: record for record in every if record.kafka == kind}
    expected = set(cli.FAULTS) - (NOT_HARDENED if kind is kafka.Kind.HARDENED else set())
    assert set(records) == expected
    for name, record in records.items():
        assert record.passed, name
        assert (" --kafka hardened" in record.command) == (kind is kafka.Kind.HARDENED)
        assert "--short" not in record.command
        fault = cli.FAULTS[name]
        assert (record.title, record.invariant) == (fault.title, fault.invariant)


def test_a_row_whose_test_is_gone_is_missed(tmp_path: Path) -> None:
    _, _, file, name = page.TRIED[0]
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"def test_that_{name}_is_here() -> None: ...")
    missing = page.missing_tests(tmp_path)
    assert f"{file} -k {name}" not in missing
    assert len(missing) == len(page.TRIED) - 1


@pytest.mark.parametrize("name", ["broker-stop-5", "side-rights-missing"])
def test_a_fault_keeps_its_promise_on_a_hardened_kafka(tmp_path: Path, name: str) -> None:
    with real_broker(tmp_path / "kafka", kafka.Kind.HARDENED) as server:
        outcome = cli.FAULTS[name].play(Scene(server, tmp_path, full=False))
    assert outcome.figures
    assert not outcome.problems, outcome.figures


def test_the_rights_that_the_documents_list_are_those_that_the_bridge_has_here() -> None:
    page_ = (DOCS / "operating.md").read_text("utf-8")
    for kind, name, operation in kafka.RIGHTS[kafka.BRIDGE]:
        shown = "`ws_bridge.NAME`" if name == kafka.GROUPS else f"`{name}`"
        assert f"| {operation.name} | {kind.name.lower()} | {shown} |" in page_
    assert page_.count("| WRITE | ") + page_.count("| READ | ") == len(kafka.RIGHTS[kafka.BRIDGE])


def test_numbers_are_those_of_the_list() -> None:
    assert {fault.number for fault in cli.FAULTS.values()} == set(range(1, 17))


def test_a_figure_that_is_wrong_is_a_broken_promise(tmp_path: Path) -> None:
    outcome = Outcome()
    outcome.note("sent", 5)
    outcome.demand("lost", 0, 0)
    outcome.demand_most("memory", 7, 7)
    outcome.demand_least("alarms", 1, 1)
    assert not outcome.problems
    outcome.demand("lost", 2, 0)
    outcome.demand_most("memory", 8, 7)
    outcome.demand_least("alarms", 0, 1)
    assert [problem.partition(":")[0] for problem in outcome.problems] == [
        "lost",
        "memory",
        "alarms",
    ]
    fault = Fault(1, "x", "X", "none", lambda scene: outcome)
    path = tmp_path / "records"
    for seed in (1, 2):
        append_record(path, make_record(fault, outcome, "cmd", seed, 1.0))
    [record] = load_records(path)
    assert (record.seed, record.passed, record.figures["lost"]) == (2, False, 2)
    assert "**no**" in page.page([record])


def test_a_play_that_breaks_off_is_a_broken_promise(
    broker: kafka.PlayKafka, tmp_path: Path
) -> None:
    def play(scene: Scene) -> Outcome:
        raise RuntimeError("the simulator is gone")

    record = cli.play(Fault(1, "x", "X", "none", play), Scene(broker, tmp_path))
    assert not record.passed
    assert "the simulator is gone" in record.problems[0]


def test_silences_are_changes_of_session_and_long_pauses() -> None:
    first, second, other = 1 << 4, 2 << 4, 3 << 4 | 1
    times = {
        second: np.array([50, 51, 90]) * S,
        first: np.array([10, 11, 12]) * S,
        other: np.array([11]) * S,
    }
    told = silences(times)
    assert told == [(0, 12 * S, 50 * S), (0, 51 * S, 90 * S)]

    def gap(begin: int, end: int | None, shard: int = 0, tokens: int = 3) -> Gap:
        return Gap(shard, begin * S, None if end is None else end * S, "silent", 0, tokens)

    assert uncovered(told, [gap(12, 50), gap(51, 90)]) == []
    assert uncovered(told, [gap(10, 95)]) == []
    assert uncovered(told, [gap(30, 90), gap(12, 30)]) == [], "one gap follows the other"
    assert uncovered(told, [gap(31, 90), gap(12, 30)]) == told[:1]
    late, early, open_, elsewhere, empty = (
        gap(13, 50), gap(12, 49), gap(12, None), gap(12, 50, shard=1), gap(12, 50, tokens=0),
    )  # fmt: skip
    for wrong in (late, early, open_, elsewhere, empty):
        assert uncovered(told, [wrong, gap(51, 90)]) == told[:1]
