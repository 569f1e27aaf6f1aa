"""The bridge journals first: a schema registry that is away, or refuses, costs no tick."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import live_stage as stage
import pytest
from registry_server import AUTH, Registry, schema_registry

from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.proof import mark_topics, read_back
from kite_live_feed.topics import Topics
from kite_runtime.testing import CommandLine
from kite_simulator import SimulatorOptions

TICKS = 3_000


def variables(registry: Registry) -> dict[str, str]:
    return {"SCHEMA_REGISTRY_URL": registry.url, "SCHEMA_REGISTRY_AUTH": AUTH}


def test_ticks_are_journaled_until_the_registry_answers(
    mock_kafka: KafkaSettings, tmp_path: Path
) -> None:
    """Away at the start, then refusing for a while, then there: nothing lost, order kept."""
    options = SimulatorOptions(
        seed=7, ticks=TICKS, rate_per_s=3_000, expected_tokens=stage.INSTRUMENTS
    )

    async def play(registry: Registry) -> tuple[int, int, list[str]]:
        registry.away = True
        async with stage.SimulatorServer(options) as kite:
            bridge = stage.BridgeProcess(
                tmp_path, kite.url, mock_kafka.bootstrap, settings=variables(registry)
            )
            try:
                await bridge.start()
                await asyncio.wait_for(kite.finished.wait(), stage.DEADLINE_S)
                await stage.until(lambda: any("schemas are not known" in x for x in bridge.lines))
                assert registry.subjects == {}
                registry.away, registry.locked = False, True
                asked = len(registry.asked)
                await stage.until(lambda: len(registry.asked) > asked + 1)
                registry.locked = False
                await stage.until(lambda: any("schemas are known" in x for x in bridge.lines))
                code = await bridge.end(signal.SIGTERM)
            finally:
                await bridge.kill_if_running()
            return kite.ledger.rows, code, bridge.lines

    with schema_registry() as registry:
        mark = mark_topics(mock_kafka, Topics().names)
        rows, code, lines = asyncio.run(play(registry))
        assert code == 0, lines
        assert set(registry.subjects) == {"ticks-value", "feed.events-value"}
        kafka = KafkaSettings.from_env(
            {"KAFKA_BOOTSTRAP": mock_kafka.bootstrap, **variables(registry)}
        )
        sessions = stage.journaled_sessions(tmp_path / "journal")
        back = read_back(kafka, open_framing(kafka), Topics(), mark, sessions, stage.FEED)
    assert back.ticks == rows >= TICKS
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)


@pytest.mark.parametrize(
    ("status", "forward", "code", "words"),
    [
        ("away", False, 75, "schema registry"),
        ("locked", False, 78, "SCHEMA_REGISTRY_AUTH"),
        ("locked", True, 78, "SCHEMA_REGISTRY_AUTH"),
    ],
)
def test_at_the_start_a_refusal_is_a_wrong_setting(
    status: str,
    forward: bool,
    code: int,
    words: str,
    mock_kafka: KafkaSettings,
    command_line: CommandLine,
    tmp_path: Path,
) -> None:
    (tmp_path / "tokens.csv").write_text("instrument_token,mode\n256265,full\n")
    env = {"KAFKA_BOOTSTRAP": mock_kafka.bootstrap, "KITE_API_KEY": "k", "KITE_ACCESS_TOKEN": "t"}
    with schema_registry() as registry:
        setattr(registry, status, True)
        done = command_line(
            "run",
            *("--tokens", str(tmp_path / "tokens.csv"), "--port", "0"),
            *(["--store-and-forward"] if forward else []),
            cwd=tmp_path,
            env=env | variables(registry),
        )
    assert done.code == code, done
    assert words in done.stderr
    assert "CANARY" not in done.stderr
