"""What Kafka refuses for good is put aside, whole and bounded, and comes back by a command."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from bridge_cases import START_NS, Stage, ltp
from hypothesis import given
from test_pump import OPTIONS, VIOLATION, Rig

from kite_broker_zerodha.wire import encode_frame
from kite_kafka_io.dead_letters import Headers
from kite_kafka_io.errors import UnknownTopic
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.errors import RefusedFileError
from kite_live_feed.refused import RefusedRecord, RefusedStore, read_refused
from kite_live_feed.side_records import REFUSED_FOR_S, RETRY_S
from kite_live_feed.topics import Topics
from kite_runtime.testing import CommandLine

HEADERS = st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=3)
RECORDS = st.builds(
    RefusedRecord,
    topic=st.sampled_from(["a.b", "../x"]),
    key=st.none() | st.binary(max_size=9),
    value=st.binary(max_size=50),
    headers=HEADERS,
    error=st.text(max_size=9),
    refused_ns=st.integers(START_NS, START_NS + 9),
)


@given(records=st.lists(RECORDS, min_size=1, max_size=5), topic=st.sampled_from(["a.b", "../x"]))
def test_what_is_put_aside_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[RefusedRecord], topic: str
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    store = RefusedStore(folder)
    assert (store.files(), store.size_bytes) == ([], 0)
    for record in records:
        assert store.put_all(topic, [record])
    [path] = store.files()
    assert path.parent == folder / "refused"
    assert list(read_refused(path)) == records
    assert store.size_bytes == path.stat().st_size


def test_the_files_are_bounded_and_a_full_disk_leaves_no_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RefusedStore(tmp_path, bytes_max=400)
    record = RefusedRecord("t", b"k", b"v" * 50, [], "why", 1)
    assert store.put_all("t", [record])
    before = store.size_bytes
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:10]))
    assert not store.put_all("t", [record])
    assert "No space left" in str(store.problem)
    monkeypatch.undo()
    assert store.size_bytes == before
    while store.put_all("t", [record]):
        pass
    assert before < store.size_bytes <= 400
    assert "is full (400 bytes)" in str(store.problem)


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    store = RefusedStore(tmp_path)
    store.put_all("t", [RefusedRecord("t", None, b"v", [], "why", 1)])
    [path] = store.files()
    path.write_bytes(path.read_bytes() + b'{"topic": "t"}\n')
    with pytest.raises(RefusedFileError, match="line 2"):
        list(read_refused(path))


class MissingDeadTopic(RecordProducer):
    """The topic of dead letters is not there while ``away``."""

    away = True

    def produce_record(
        self, topic: str, key: bytes | None, value: bytes | None, delivery: Delivery, **more: Any
    ) -> None:
        if more.get("headers") and type(self).away:
            raise UnknownTopic("topic ticks.dlq does not exist")
        super().produce_record(topic, key, value, delivery, **more)


def test_a_refused_letter_holds_the_position_for_half_a_minute_and_no_longer(
    tmp_path: Path, mock_kafka: KafkaSettings, mock_topics: Topics, command_line: CommandLine
) -> None:
    MissingDeadTopic.away = True
    with Stage(tmp_path, OPTIONS) as stage:
        store = RefusedStore(tmp_path / "journal")
        rig = Rig(stage, mock_kafka, mock_topics, side_type=MissingDeadTopic, refused=store)
        stage.connect()
        stage.receive(encode_frame([ltp(1), VIOLATION]))
        rig.drive(lambda: stage.counters.side_refusals == 1 and stage.counters.events_acked == 1)
        assert stage.counters.ticks_acked == 1, "the tick has not waited"
        for seconds in (RETRY_S, REFUSED_FOR_S - 1):
            stage.clock.ns += int(seconds * 1e9)
            rig.pump.collect()
        assert not rig.settled
        assert store.size_bytes == 0
        stage.clock.ns += int(RETRY_S * 1e9)
        rig.drive()
        assert (stage.counters.records_refused[mock_topics.dead], stage.counters.dead_acked) == (
            1,
            0,
        )
        # The topic is known to refuse now: the next letter waits for nothing.
        stage.receive(encode_frame([VIOLATION]))
        rig.pump.step()
        stage.clock.ns += int(RETRY_S * 1e9)
        rig.drive()
        assert stage.counters.records_refused[mock_topics.dead] == 2
        assert rig.found().lost() == 2, "the proof shows what is not in Kafka"
        # It accepts again: the next refusal gets its half minute.
        MissingDeadTopic.away = False
        stage.receive(encode_frame([VIOLATION]))
        stage.clock.ns += int(RETRY_S * 1e9)
        rig.drive()
        assert stage.counters.dead_acked == 1
        MissingDeadTopic.away = True
        stage.receive(encode_frame([VIOLATION]))
        rig.pump.step()
        stage.clock.ns += int(RETRY_S * 1e9)
        rig.pump.collect()
        assert not rig.settled
    arguments = ("refused", "--journal-dir", str(tmp_path / "journal"), "--json")
    seen = command_line(*arguments)
    [file] = json.loads(seen.stdout)["files"]
    assert (seen.code, file["records"], file["topic"]) == (3, 2, mock_topics.dead)
    sent = command_line(*arguments, "--send", "--bootstrap", mock_kafka.bootstrap)
    assert (sent.code, json.loads(sent.stdout)["sent"]) == (0, 2)
    assert store.files() == []
    assert [letter.feed_seq for letter in rig.letters()] == [1, 2, 3]
    assert rig.found().lost() == 1, "only the one that the journal still holds"
    empty = command_line(*arguments)
    assert (empty.code, json.loads(empty.stdout)["files"]) == (0, [])


def test_records_that_cannot_be_sent_stay(command_line: CommandLine, tmp_path: Path) -> None:
    store = RefusedStore(tmp_path)
    headers: Headers = [("dlq.reason", b"SEMANTIC_RANGE")]
    record = RefusedRecord("ticks.dlq", b"1", b"raw", headers, "why", START_NS)
    store.put_all("ticks.dlq", [record])
    shown = command_line("refused", "--journal-dir", str(tmp_path), "--send",
                         "--bootstrap", "127.0.0.1:9")  # fmt: skip
    assert shown.code == 75
    assert len(shown.sentences) == 1
    assert len(store.files()) == 1
    listed = command_line("refused", "--journal-dir", str(tmp_path))
    assert listed.code == 3
    assert "ticks.dlq" in listed.stdout
    assert "--send" in listed.stderr
