"""The smoke: every fault of the script on the real Kafka, and the same bytes for the same seed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.session.events import GapClosed, GapOpened
from kite_broker_zerodha.wire import encode_packet
from kite_contracts.reasons import ReasonCode
from kite_contracts.validate import explain
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.errors import MalformedRecord, UnknownSchema
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.rehearsal.demo import demo_plan
from kite_live_feed.rehearsal.market_feed import MINUTE_NS, BarBuilder, Frame, SmokeFeed
from kite_live_feed.rehearsal.smoke import (
    SmokeOptions,
    SmokeResult,
    identity,
    run_smoke,
    stage_letters,
)
from kite_live_feed.topics import Topics
from kite_runtime.testing import CommandLine
from kite_simulator import FaultKind, parse_script

ALL = parse_script("all")
OPTIONS = SmokeOptions(ticks=8_700, instruments=40, seed=3, script=ALL)
SMALL = SmokeOptions(ticks=1_200, instruments=20, seed=3)


def smoke(options: SmokeOptions, kafka: KafkaSettings, topics: Topics, folder: Path) -> SmokeResult:
    told: list[int] = []
    result = run_smoke(options, kafka, SingleObjectFraming(), topics, folder, told.append)
    assert told == sorted(told)
    assert told[-1] == result.ledger.journaled_packets
    return result


def test_every_fault_balances_on_the_real_kafka(
    real_kafka: KafkaSettings, real_topics: Topics, tmp_path: Path
) -> None:
    first = smoke(OPTIONS, real_kafka, real_topics, tmp_path / "1")
    assert first.ledger.problems() == []
    assert first.balanced
    assert first.ledger.read_back.reasons == {
        "DECODE_TRAILING_BYTES": 1,
        "DECODE_TRUNCATED": 4,
        "DECODE_UNKNOWN_PACKET": 1,
        "SEMANTIC_RANGE": 2,
    }
    assert first.ledger.read_back.events == {
        "CONNECTED": 4,
        "DISCONNECTED": 3,
        "SUBSCRIBED": 12,
        "GAP_OPENED": 4,
        "GAP_CLOSED": 4,
        "STALE": 1,
        "AUTH_EXPIRED": 1,
        "AUTH_RESTORED": 1,
    }
    assert first.bars_read == first.bars_sent > 40
    assert [each.found for each in first.letters] == [each.intended for each in first.letters]
    again = smoke(OPTIONS, real_kafka, real_topics, tmp_path / "2")
    assert (again.balanced, again.sha256) == (True, first.sha256)


def test_a_smoke_with_stages_has_every_reason_code(
    real_kafka: KafkaSettings, real_topics: Topics, tmp_path: Path
) -> None:
    options = replace(OPTIONS, stages=True)
    result = smoke(options, real_kafka, real_topics, tmp_path)
    assert result.problems() == []
    assert {each.found for each in result.letters} == set(map(str, ReasonCode))
    assert len(result.letters) == result.letters_sent == 20
    places = {(each.topic, each.partition, each.offset) for each in result.letters}
    assert len(places) == 20
    wrong = replace(result.letters[3], intended="AUTH")
    spoiled = replace(result, letters=(*result.letters[:3], wrong, *result.letters[5:]))
    assert not spoiled.balanced
    assert len(spoiled.problems()) == 2


def test_each_stage_writes_what_its_code_says() -> None:
    feed = SmokeFeed(demo_plan(5), 100, 1, ())
    list(feed)
    tick = feed.last_tick()
    assert explain("tick", 1, tick) is None
    letters = stage_letters(tick, feed.clock.ns)
    assert len({identity(letter) for _, letter in letters}) == len(letters)
    for code, letter in letters:
        assert letter.reason == str(code)
        assert explain("dead_letter", 1, letter.record()) is None
        if code is ReasonCode.SCHEMA_UNKNOWN_ID:
            with pytest.raises(UnknownSchema):
                AvroCodec().decode(letter.raw)
        elif code is ReasonCode.SCHEMA_INVALID:
            with pytest.raises(MalformedRecord):
                AvroCodec().decode(letter.raw)
        elif code not in (ReasonCode.TOO_LARGE, ReasonCode.JOURNAL_CORRUPT):
            assert AvroCodec().decode(letter.raw).record == tick


def test_the_same_seed_sends_the_same_bytes_and_another_seed_others(
    mock_kafka: KafkaSettings, mock_topics: Topics, tmp_path: Path
) -> None:
    digests = [
        smoke(options, mock_kafka, mock_topics, tmp_path / str(number)).sha256
        for number, options in enumerate((SMALL, SMALL, replace(SMALL, seed=4)))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_the_bars_in_the_topic_are_of_the_contract(
    mock_kafka: KafkaSettings, mock_topics: Topics, tmp_path: Path
) -> None:
    result = smoke(SMALL, mock_kafka, mock_topics, tmp_path)
    assert not replace(result, bars_read=result.bars_read - 1).balanced
    with RecordReader(mock_kafka, [mock_topics.bars], start="earliest", until_end=True) as records:
        bars = [(record.key, record.decode().record) for record in records]
    assert len(bars) == result.bars_sent
    for key, bar in bars:
        assert explain("bar", 2, bar) is None
        assert key == str(bar["instrument_token"]).encode()
        assert bar["low"] <= min(bar["open"], bar["close"])
        assert bar["high"] >= max(bar["open"], bar["close"])
        assert bar["ts_open_ns"] % MINUTE_NS == 0


def quote(price: int, volume: int) -> bytes:
    return encode_packet(
        PacketKind.QUOTE, {"instrument_token": 257, "last_price": price, "volume_day": volume}
    )


def test_a_bar_holds_first_highest_lowest_last_and_what_was_traded() -> None:
    builder = BarBuilder()
    for ts_s, price, volume in ((60, 100, 500), (61, 130, 510), (119, 90, 530), (120, 95, 560)):
        builder.add([quote(price, volume)], ts_s * 1_000_000_000)
    shown = [
        [bar[name] for name in ("ts_open_ns", "open", "high", "low", "close", "volume")]
        for bar in builder.bars()
    ]
    assert shown == [
        [MINUTE_NS, 100, 130, 90, 90, 30],
        [2 * MINUTE_NS, 95, 95, 95, 95, 30],
    ]


@pytest.mark.parametrize("kind", list(FaultKind))
def test_the_feed_of_each_fault_closes_what_it_opens(kind: FaultKind) -> None:
    feed = SmokeFeed(demo_plan(10), 200, 1, parse_script(f"5 {kind}"))
    items = list(feed)
    frames = [each for each in items if isinstance(each, Frame)]
    opened = [each for each in items if isinstance(each, GapOpened)]
    closed = [each for each in items if isinstance(each, GapClosed)]
    assert len(frames) == feed.expected.frames
    assert [each.from_ns for each in opened] == [each.from_ns for each in closed]
    assert all(each.to_ns > each.from_ns for each in closed)
    times = [each.ts_recv_ns for each in frames]
    assert times == sorted(times)


def test_the_feed_is_the_same_for_the_same_seed() -> None:
    one, two = (list(SmokeFeed(demo_plan(10), 3_000, 5, ALL)) for _ in range(2))
    assert one == two
    assert list(SmokeFeed(demo_plan(10), 3_000, 6, ALL)) != one


def lines(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_command_prints_the_ledger_as_json(
    command_line: CommandLine, mock_kafka: KafkaSettings
) -> None:
    arguments = ("smoke", "--ticks", "900", "--instruments", "12", "--seed", "5", "--json")
    first, second = (command_line(*arguments, "--bootstrap", mock_kafka.bootstrap) for _ in "12")
    assert (first.code, second.code) == (0, 0), first.stderr
    shown = lines(first.stdout)
    assert shown["balanced"] is True
    assert shown["problems"] == []
    assert shown["letters"]["sent"] == shown["letters"]["as_intended"] == 12
    assert shown["ledger"]["lost"] == shown["ledger"]["duplicated"] == 0
    assert shown["bars"]["sent"] == shown["bars"]["read_back"] > 0
    assert shown == lines(second.stdout)


def test_the_command_prints_the_ledger_for_people(
    command_line: CommandLine, mock_kafka: KafkaSettings, tmp_path: Path
) -> None:
    (tmp_path / "script.txt").write_text("3 truncate  # in the middle\n5 violation\n")
    shown = command_line(
        *("smoke", "--ticks", "300", "--instruments", "12", "--script", "script.txt"),
        *("--letters", "letters.jsonl"),
        cwd=tmp_path,
        env={"KAFKA_BOOTSTRAP": mock_kafka.bootstrap},
    )
    assert shown.code == 0, shown.stderr
    assert "The ledger balances" in shown.stdout
    assert "SEMANTIC_RANGE" in shown.stdout
    assert "sha256" in shown.stdout
    letters = [json.loads(line) for line in (tmp_path / "letters.jsonl").read_text().splitlines()]
    places = [(line["partition"], line["offset"]) for line in letters]
    assert places == sorted(places)
    # The client draws the partition of a letter without a key; the feed's own order is fixed.
    letters.sort(key=lambda line: (line["feed_session"], line["feed_seq"]))
    assert [line["intended"] for line in letters] == [
        "DECODE_TRUNCATED",
        "SEMANTIC_RANGE",
        "SEMANTIC_RANGE",
    ]


def test_expected_counts_come_from_the_script_not_from_the_decoder() -> None:
    feed = SmokeFeed(demo_plan(10), 200, 1, parse_script("2 violation; 3 trailing"))
    list(feed)
    assert feed.expected.reasons == Counter(SEMANTIC_RANGE=2, DECODE_TRAILING_BYTES=1)
