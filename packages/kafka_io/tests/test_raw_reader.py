"""The raw reader on the real Kafka: exactly the span asked for, whatever lies there."""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.errors import BrokerUnreachable, UnknownTopic
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import Span, match_topics

MakeTopic = Callable[..., str]
WAIT_S = 30.0


@pytest.fixture()
def settings(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka_bootstrap)


def send(settings: KafkaSettings, topic: str, *records: tuple[int, int, bytes | None]) -> None:
    """Each (partition, time in ms, value)."""
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    for partition, ts_ms, value in records:
        headers: Any = [("n", value), ("n", None)]
        producer.produce(topic, value, b"k", partition=partition, timestamp=ts_ms, headers=headers)
    assert producer.flush(WAIT_S) == 0
    producer.close()


def drain(reader: RawReader) -> list[RawRecord]:
    with reader:
        found: list[RawRecord] = []
        while not reader.finished:
            found += reader.read(0.2)
        return found


def values(found: list[RawRecord]) -> list[bytes | None]:
    return [each.value for each in found]


def test_everything_up_to_the_end_of_the_start(
    settings: KafkaSettings, make_topic: MakeTopic
) -> None:
    one, two = make_topic(3), make_topic(1)
    send(settings, one, (0, 10, b"a"), (0, 11, b""), (2, 12, None))
    send(settings, two, (0, 13, b"b"))
    reader = RawReader(settings, [one, two])
    send(settings, one, (0, 14, b"late"))
    assert reader.total == 4
    found = sorted(drain(reader), key=lambda each: each.ts_ns or 0)
    assert values(found) == [b"a", b"", None, b"b"]
    assert found[0] == RawRecord(one, 0, 0, 10_000_000, b"k", b"a", [("n", b"a"), ("n", None)])
    assert found[2].headers == [("n", None), ("n", None)]


def test_spans(settings: KafkaSettings, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    send(settings, topic, *[(0, 1000 + n, b"%d" % n) for n in range(10)])
    # Times need not rise: this one is old and comes late.
    send(settings, topic, (0, 1002, b"old"), (1, 5000, b"new"))
    cases = [
        (Span(from_offset=8), [b"8", b"9", b"old"]),
        (Span(from_offset=3, until_offset=5), [b"3", b"4"]),
        (Span(partitions=frozenset([1])), [b"new"]),
        (Span(from_ns=1_009_000_000), [b"9", b"new"]),
        (Span(from_ns=1_008_000_001, until_ns=5_000_000_000), [b"9"]),
        (Span(until_ns=1_003_000_000), [b"0", b"1", b"2", b"old"]),
        (Span(from_ns=9_000_000_000), []),
        (Span(partitions=frozenset([7])), []),
        (Span(from_offset=99), []),
    ]
    for span, wanted in cases:
        assert sorted(map(str, values(drain(RawReader(settings, [topic], span=span))))) == sorted(
            map(str, wanted)
        ), span


def test_a_group_is_committed_when_told(settings: KafkaSettings, make_topic: MakeTopic) -> None:
    topic, group = make_topic(1), f"raw-{uuid.uuid4().hex}"
    send(settings, topic, *[(0, 1, b"%d" % n) for n in range(700)])
    with RawReader(settings, [topic], group=group) as reader:
        first = reader.read(WAIT_S)
        reader.commit()
        reader.read(WAIT_S)  # given out, and not committed
    rest = drain(RawReader(settings, [topic], group=group))
    assert values(first + rest) == [b"%d" % n for n in range(700)]


@pytest.mark.parametrize("group", [None, "follow"])
def test_following(settings: KafkaSettings, make_topic: MakeTopic, group: str | None) -> None:
    topic = make_topic(2)
    send(settings, topic, (0, 1, b"1"))
    name = None if group is None else f"{group}-{uuid.uuid4().hex}"
    with RawReader(settings, [topic], group=name, follow=True) as reader:
        found = reader.read(WAIT_S)
        send(settings, topic, (1, 1, b"2"))
        found += reader.read(WAIT_S)
        assert values(found) == [b"1", b"2"]
        assert (reader.finished, reader.total) == (False, None)
        reader.commit()
    if name is not None:
        assert drain(RawReader(settings, [topic], group=name)) == []


def test_large_records_come_few_at_a_time(settings: KafkaSettings, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    for _ in range(60):
        producer.produce(topic, b"x" * 900_000)
        producer.poll(0)
    assert producer.flush(60) == 0
    producer.close()
    with RawReader(settings, [topic]) as reader:
        sizes = []
        while not reader.finished:
            sizes.append(len(reader.read(0.5)))
    assert sum(sizes) == 60
    assert max(sizes[1:]) <= 9


def test_names_that_are_not_utf8_hide_the_headers_and_nothing_else(
    settings: KafkaSettings, make_topic: MakeTopic
) -> None:
    """After many good records: the interpreter no longer checks calls that it knows well."""
    topic = make_topic(1)
    send(settings, topic, *[(0, 1, b"before")] * 300)
    for name in (b"caf\xe9", b"\xff", b"dlq.reason\xc3"):
        send_with_header_name(settings.bootstrap, topic, name)
    send(settings, topic, (0, 1, b"after"))
    found = drain(RawReader(settings, [topic]))
    assert values(found[299:]) == [b"before", b"value", b"value", b"value", b"after"]
    assert [each.headers for each in found[300:303]] == [[], [], []]
    assert [len(each.problems) for each in found[299:]] == [0, 1, 1, 1, 0]
    with RecordReader(settings, [topic], start="earliest", until_end=True) as records:
        assert [record.value for record in records] == values(found)


def test_patterns(settings: KafkaSettings, make_topic: MakeTopic) -> None:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    names = sorted(make_topic(1) for _ in range(3))
    assert match_topics(settings, [names[0], f"{names[1][:-4]}*"]) == names[:2]
    assert set(names) <= set(match_topics(settings, ["test-*"]))
    assert not [name for name in match_topics(settings, ["*"]) if name.startswith("__")]
    assert "__consumer_offsets" in admin.list_topics(timeout=WAIT_S).topics
    with pytest.raises(UnknownTopic, match="test-nope does not exist"):
        match_topics(settings, ["test-nope"])
    with pytest.raises(UnknownTopic, match=r"matches nope\*"):
        match_topics(settings, ["nope*"])


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kite_kafka_io.spans._TIMEOUT_S", 0.3)
    nobody = KafkaSettings(bootstrap="127.0.0.1:9")
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:9"):
        match_topics(nobody, ["*"])
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:9"):
        RawReader(nobody, ["ticks.dlq"])


def send_with_header_name(bootstrap: str, topic: str, name: bytes) -> None:
    """confluent-kafka cannot write such a name; the library beneath it can."""
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    lib = ctypes.CDLL(str(next(folder.glob("librdkafka-*"))))
    lib.rd_kafka_conf_new.restype = lib.rd_kafka_new.restype = ctypes.c_void_p
    text, pointer, size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t
    lib.rd_kafka_conf_set.argtypes = [pointer, text, text, text, size]
    lib.rd_kafka_new.argtypes = [ctypes.c_int, pointer, text, size]
    lib.rd_kafka_flush.argtypes = [pointer, ctypes.c_int]
    lib.rd_kafka_destroy.argtypes = [pointer]
    error = ctypes.create_string_buffer(512)
    conf = lib.rd_kafka_conf_new()
    lib.rd_kafka_conf_set(conf, b"bootstrap.servers", bootstrap.encode(), error, 512)
    producer = lib.rd_kafka_new(0, conf, error, 512)
    assert producer, error.value
    kind_topic, kind_value, kind_header, end = (ctypes.c_int(n) for n in (1, 4, 9, 0))
    sent = lib.rd_kafka_producev(
        pointer(producer),
        *(kind_topic, text(topic.encode())),
        *(kind_value, text(b"value"), size(5)),
        *(kind_header, text(name), text(b"x"), ctypes.c_ssize_t(1)),
        end,
    )
    assert sent == 0
    assert lib.rd_kafka_flush(producer, 10_000) == 0
    lib.rd_kafka_destroy(producer)
