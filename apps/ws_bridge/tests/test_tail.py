"""``tail``: JSON lines in a pipe, a table in a terminal."""

from __future__ import annotations

import base64
import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.mock_broker import MockBroker
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.rehearsal.smoke import SmokeOptions, run_smoke
from kite_live_feed.topics import Topics
from kite_runtime.testing import CommandLine, Finished
from kite_simulator import parse_script
from kite_ws_bridge.commands import tail

SCRIPT = parse_script("3 violation; 5 trailing; 7 drop")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A broker whose topics hold one small smoke."""
    topics = Topics()
    with MockBroker() as broker:
        for name in (*topics.names, topics.bars, "other"):
            broker.create_topic(name)
        settings = KafkaSettings(bootstrap=broker.bootstrap)
        options = SmokeOptions(ticks=400, instruments=20, seed=2, script=SCRIPT)
        folder = tmp_path_factory.mktemp("smoke")
        result = run_smoke(
            options, settings, SingleObjectFraming(), topics, folder, lambda count: None
        )
        assert result.balanced
        producer, delivery = RecordProducer(settings), Delivery()
        producer.produce_record("other", None, b"\xff\x00not ours", delivery)
        producer.flush(30.0)
        producer.close()
        assert delivery.ok
        yield settings


def call(command_line: CommandLine, kafka: KafkaSettings, *arguments: str) -> Finished:
    return command_line("tail", *arguments, "--bootstrap", kafka.bootstrap)


def lines(finished: Finished) -> list[dict[str, Any]]:
    assert finished.code == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def test_ticks_are_printed_as_decode_prints_them(
    command_line: CommandLine, kafka: KafkaSettings
) -> None:
    found = lines(call(command_line, kafka, "--from-beginning", "--until-end"))
    assert len(found) == 400
    for each in found:
        assert {"partition", "offset", "instrument_token", "last_price", "bids"} <= each.keys()
    assert len({(each["partition"], each["offset"]) for each in found}) == 400


def test_it_stops_after_count(command_line: CommandLine, kafka: KafkaSettings) -> None:
    assert len(lines(call(command_line, kafka, "--from-beginning", "--count", "7"))) == 7


def test_without_from_beginning_there_is_nothing_yet(
    command_line: CommandLine, kafka: KafkaSettings
) -> None:
    assert lines(call(command_line, kafka, "--until-end")) == []


def test_dead_letters_show_reason_and_bytes(
    command_line: CommandLine, kafka: KafkaSettings
) -> None:
    found = lines(call(command_line, kafka, "ticks.dlq", "--from-beginning", "--until-end"))
    assert sorted(each["headers"]["dlq.reason"] for each in found) == [
        "DECODE_TRAILING_BYTES",
        "SEMANTIC_RANGE",
        "SEMANTIC_RANGE",
    ]
    assert all(len(base64.b64decode(each["raw"])) > 0 for each in found)


@pytest.mark.parametrize(("topic", "name"), [("feed.events", "gap_id"), ("bars", "ts_open_ns")])
def test_other_topics_show_the_record(
    command_line: CommandLine, kafka: KafkaSettings, topic: str, name: str
) -> None:
    found = lines(call(command_line, kafka, topic, "--from-beginning", "--until-end"))
    assert found
    assert all(name in each["record"] for each in found)
    few = lines(call(command_line, kafka, topic, "--from-beginning", "--count", "2"))
    assert few == found[:2] or len(few) == 2


def test_a_value_that_is_not_ours_is_shown_as_it_is(
    command_line: CommandLine, kafka: KafkaSettings
) -> None:
    [found] = lines(call(command_line, kafka, "other", "--from-beginning", "--until-end"))
    assert base64.b64decode(found["raw"]) == b"\xff\x00not ours"


def test_a_reader_that_leaves_early(command_line: CommandLine, kafka: KafkaSettings) -> None:
    shown = command_line(
        *("tail", "--from-beginning", "--bootstrap", kafka.bootstrap), stdout_closed=True
    )
    assert (shown.code, shown.stderr) == (0, "")


def test_ctrl_c_ends_it(command_line: CommandLine, kafka: KafkaSettings) -> None:
    running = command_line.start("tail", "--from-beginning", "--bootstrap", kafka.bootstrap)
    running.until(lambda: running.stdout.count("\n") == 400, "all ticks")
    finished = running.finish(signal.SIGINT)
    assert (finished.code, finished.stderr) == (130, "ws_bridge: stopped by Ctrl-C\n")


def test_a_terminal_shows_the_last_tick_of_each_instrument(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        tail, "stdout", Console(file=screen, force_terminal=True, width=160, color_system=None)
    )
    code = tail.command(beginning=True, until_end=True, bootstrap=kafka.bootstrap, root=tmp_path)
    assert code == 0
    shown = screen.getvalue()
    assert "400 ticks" in shown
    last = shown[shown.rindex("400 ticks") :]
    assert last.count("256265") == 1
    assert sum(" x " in line for line in last.splitlines()) > 5, "best bid and ask"
