"""The demo's ledger balances on the mock broker and on the real Kafka, and depends on the seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bridge_cases import frames_of

from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.bridge import Bridge
from kite_live_feed.journal.layout import list_segments
from kite_live_feed.journal.reader import read_file
from kite_live_feed.proof import Ledger
from kite_live_feed.rehearsal import demo
from kite_live_feed.rehearsal.demo import (
    DemoOptions,
    demo_plan,
    expected_events,
    expected_reasons,
    run_demo,
)
from kite_live_feed.topics import Topics
from kite_runtime.testing import CommandLine
from kite_simulator import Fault, FaultKind, SimulatorOptions, SimulatorServer, parse_script
from kite_simulator import Ledger as SimulatorLedger

QUIET = DemoOptions(ticks=3_000, rate_per_s=None, instruments=40, seed=7)
FAULTS = DemoOptions(ticks=8_700, rate_per_s=4_000.0, instruments=40, script=parse_script("all"))


@pytest.fixture()
def simulators(monkeypatch: pytest.MonkeyPatch) -> list[SimulatorServer]:
    """Every simulator that a demo starts."""
    made: list[SimulatorServer] = []

    def make(options: SimulatorOptions) -> SimulatorServer:
        made.append(SimulatorServer(options))
        return made[-1]

    monkeypatch.setattr(demo, "SimulatorServer", make)
    return made


async def run(
    options: DemoOptions, kafka: KafkaSettings, topics: Topics, journal: Path
) -> tuple[Ledger, Bridge]:
    seen: list[Bridge] = []
    ledger = await run_demo(options, kafka, SingleObjectFraming(), topics, journal, seen.append)
    assert seen, "the live view is fed"
    return ledger, seen[0]


def sent(simulator: SimulatorServer) -> dict[str, Any]:
    """What the simulator sent; heartbeats depend on how long it took."""
    return {**simulator.ledger.to_dict(), "heartbeats": None}


def frames_in(journal: Path) -> list[bytes]:
    """Every frame that a journal holds, byte for byte."""
    chunks = [chunk for segment in list_segments(journal) for chunk in read_file(segment.path)]
    return [each.payload for each in frames_of(chunks)]


def test_without_faults_it_balances_and_the_same_seed_sends_the_same(
    mock_kafka: KafkaSettings,
    mock_topics: Topics,
    tmp_path: Path,
    simulators: list[SimulatorServer],
) -> None:
    async def three() -> list[tuple[Ledger, Bridge]]:
        return [
            await run(options, mock_kafka, mock_topics, tmp_path / str(number))
            for number, options in enumerate((QUIET, QUIET, replace(QUIET, seed=8)))
        ]

    done = asyncio.run(three())
    for ledger, _ in done:
        assert ledger.problems() == []
        assert ledger.balanced
        assert ledger.dead_lettered == 0
        assert ledger.published == ledger.sent_packets >= QUIET.ticks
    first, second, _ = map(sent, simulators)
    assert first == second
    frames = [frames_in(tmp_path / str(number)) for number in range(3)]
    assert len(frames[0]) == first["frames"]
    assert frames[0] == frames[1]
    assert frames[0] != frames[2]


def test_every_fault_balances_on_both_brokers(
    mock_kafka: KafkaSettings,
    mock_topics: Topics,
    real_kafka: KafkaSettings,
    real_topics: Topics,
    tmp_path: Path,
    simulators: list[SimulatorServer],
) -> None:
    async def both() -> list[tuple[Ledger, Bridge]]:
        return list(
            await asyncio.gather(
                run(FAULTS, mock_kafka, mock_topics, tmp_path / "mock"),
                run(FAULTS, real_kafka, real_topics, tmp_path / "real"),
            )
        )

    done = asyncio.run(both())
    for ledger, bridge in done:
        assert ledger.problems() == []
        assert ledger.balanced
        assert ledger.read_back.reasons == {
            "DECODE_TRAILING_BYTES": 1,
            "DECODE_TRUNCATED": 4,
            "DECODE_UNKNOWN_PACKET": 1,
            "SEMANTIC_RANGE": 2,
        }
        events = ledger.read_back.events
        assert events["AUTH_EXPIRED"] == events["AUTH_RESTORED"] == 1
        assert events["GAP_CLOSED"] == 4
        assert events["GAP_OPENED"] == 5, "the fifth is the stop, which the next run closes"
        assert bridge.counters.text_messages == {"message": 1, "order": 1, "error": 1}
        assert bridge.counters.reconnects == 4
    one, two = map(sent, simulators)
    assert one == two
    assert len(one["faults"]) == len(FaultKind)


def test_the_plan_holds_every_packet_kind() -> None:
    plan = demo_plan(60)
    assert plan.tokens == 60
    kinds = {(token & 0xFF == 9, mode) for shard in plan.shards for token, mode in shard.items()}
    assert len(kinds) == 4, "indices in full mode, tradables in all three"


@pytest.mark.parametrize("instruments", [1, 2, 3, 9_000])
def test_any_number_of_instruments(instruments: int) -> None:
    assert demo_plan(instruments).tokens == instruments


def test_expected_reasons_follow_the_simulators_books() -> None:
    ledger = SimulatorLedger(
        bad=Counter(truncated=2, unknown_packet=1, trailing_bytes=3, out_of_bounds=4)
    )
    assert expected_reasons(ledger.bad) == {
        "DECODE_TRUNCATED": 2,
        "DECODE_UNKNOWN_PACKET": 1,
        "DECODE_TRAILING_BYTES": 3,
        "SEMANTIC_RANGE": 4,
    }


def test_an_alarm_that_was_not_raised_unbalances_the_demo() -> None:
    script = (Fault(20, FaultKind.FORBID, 2.0),)
    assert expected_events(Counter(CONNECTED=1), script)["AUTH_EXPIRED"] == 1
    assert expected_events(Counter(CONNECTED=1, AUTH_EXPIRED=1), ())["AUTH_EXPIRED"] == 0


def test_the_command_prints_the_ledger(command_line: CommandLine) -> None:
    shown = command_line("demo", "--ticks", "600", "--rate", "0", "--instruments", "20")
    assert shown.code == 0, shown.stderr
    assert "The ledger balances: lost = duplicated = reordered = 0." in shown.stdout
    for line in ("sent: packets", "journaled: packets", "decoded: packets", "read back: ticks"):
        assert line in shown.stdout
    assert shown.stderr.startswith("Kafka: a broker inside this process")


def test_the_command_takes_a_broker_with_the_topics(
    command_line: CommandLine, mock_kafka: KafkaSettings
) -> None:
    shown = command_line(
        *("demo", "--ticks", "300", "--rate", "0", "--instruments", "10", "--live"),
        *("--bootstrap", mock_kafka.bootstrap),
    )
    assert shown.code == 0, shown.stderr
    assert "The ledger balances" in shown.stdout
    assert shown.stderr.splitlines()[0] == f"Kafka at {mock_kafka.bootstrap}"
