"""Both readers on the mock and on the real Kafka: from where, to where, commits, faulty values."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema

from kite_contracts import schemas
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.consumer import ReceivedRecord, RecordReader, TickReader
from kite_kafka_io.errors import BrokerUnreachable, MalformedRecord, ReadError, UnknownTopic
from kite_kafka_io.framing import number_prefix
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.registry import RegistryFraming, registry_client
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import Broker, full_batch, same_rows

WAIT_S = 30.0


def _fill(broker: Broker, topic: str, count: int, first_seq: int = 0) -> None:
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    delivery = Delivery()
    producer.produce_ticks(full_batch(count, first_seq=first_seq), delivery)
    assert producer.flush(WAIT_S) == 0
    assert delivery.ok
    producer.close()


def _send(broker: Broker, topic: str, *values: bytes | None) -> None:
    producer = RecordProducer(broker.settings)
    delivery = Delivery()
    for value in values:
        producer.produce_record(topic, b"1", value, delivery)
    assert producer.flush(WAIT_S) == 0
    assert delivery.ok
    producer.close()


def _seqs(reader: TickReader) -> list[int]:
    return sorted(seq for columns in reader for seq in columns.column("feed_seq").tolist())


def test_until_end_is_the_end_of_the_start(broker: Broker) -> None:
    topic = broker.make_topic()
    _fill(broker, topic, 1000)
    with TickReader(
        broker.settings, topic, start="earliest", until_end=True, batch_rows=100
    ) as reader:
        first = next(reader)
        _fill(broker, topic, 50, first_seq=1000)
        assert _seqs(reader) == sorted(set(range(1000)) - set(first.column("feed_seq").tolist()))


def test_an_empty_topic_ends_at_once(broker: Broker) -> None:
    topic = broker.make_topic()
    with TickReader(broker.settings, topic, start="earliest", until_end=True) as reader:
        assert list(reader) == []


def test_from_and_to_offsets(broker: Broker) -> None:
    topic = broker.make_topic()
    _fill(broker, topic, 400)
    with TickReader(
        broker.settings, topic, from_offsets={0: 5, 1: 0}, to_offsets={0: 15, 1: 3}
    ) as reader:
        places = [
            place
            for columns in reader
            for place in zip(columns.partition.tolist(), columns.offset.tolist(), strict=True)
        ]
    assert sorted(places) == [(0, at) for at in range(5, 15)] + [(1, at) for at in range(3)]
    with pytest.raises(ValueError, match="one topic"):
        RecordReader(broker.settings, [topic, topic], to_offsets={0: 1})


def test_a_group_goes_on_where_it_committed(broker: Broker) -> None:
    topic = broker.make_topic()
    _fill(broker, topic, 300)

    def open_reader() -> TickReader:
        return TickReader(
            broker.settings,
            topic,
            group=f"group-{topic}",
            start="earliest",
            until_end=True,
            batch_rows=50,
        )

    with open_reader() as reader:
        handled = next(reader)
        next(reader)  # asks for the second batch: the first is handled; the second is given up
    with open_reader() as reader:
        rest = _seqs(reader)
    assert rest == sorted(set(range(300)) - set(handled.column("feed_seq").tolist()))
    with open_reader() as reader:
        assert _seqs(reader) == []


def test_commit_after_a_break(broker: Broker) -> None:
    topic = broker.make_topic()
    _fill(broker, topic, 20)
    seen = set()
    for _ in range(3):
        with RecordReader(
            broker.settings, [topic], group=f"g-{topic}", start="earliest", until_end=True
        ) as reader:
            record = next(reader)
            seen.add((record.partition, record.offset))
            reader.commit()
    with RecordReader(
        broker.settings, [topic], group=f"g-{topic}", start="earliest", until_end=True
    ) as reader:
        rest = {(record.partition, record.offset) for record in reader}
    assert (len(seen), len(rest), seen & rest) == (3, 17, set())


def test_a_member_of_a_group_reads_what_comes(broker: Broker) -> None:
    topic = broker.make_topic()
    _fill(broker, topic, 100)
    with TickReader(broker.settings, topic, group=f"live-{topic}", start="earliest") as reader:
        seen = 0
        while seen < 100:
            seen += len(next(reader))
        _fill(broker, topic, 10, first_seq=100)
        while seen < 110:
            seen += len(next(reader))
        assert reader.poll(0.2) is None


def test_what_is_no_tick_stops_the_reader_or_is_handed_over(broker: Broker) -> None:
    topic = broker.make_topic()
    _fill(broker, topic, 5)
    _send(broker, topic, b"garbage", AvroCodec().encode("feed_event", _event()), b"")
    with (
        TickReader(broker.settings, topic, start="earliest", until_end=True) as reader,
        pytest.raises(MalformedRecord, match=f"{topic}/.* is no tick.*on_malformed"),
    ):
        list(reader)
    refused: list[tuple[ReceivedRecord, MalformedRecord]] = []
    with TickReader(
        broker.settings,
        topic,
        start="earliest",
        until_end=True,
        on_malformed=lambda record, error: refused.append((record, error)),
    ) as reader:
        assert _seqs(reader) == list(range(5))
    assert [record.value for record, _ in refused][::2] == [b"garbage", b""]
    assert "feed_event" in str(refused[1][1])


def _event() -> dict[str, Any]:
    optional = ("feed_session", "from_ns", "to_ns", "cause", "detail", "count", "gap_id")
    values: dict[str, Any] = {
        "feed": "kite",
        "type": "CONNECTED",
        "ts_ns": 1,
        "shard": 0,
        "tokens": [1],
    }
    return {**values, **dict.fromkeys(optional)}


def test_records_of_any_topic_one_at_a_time(broker: Broker) -> None:
    topic = broker.make_topic()
    _send(broker, topic, AvroCodec().encode("feed_event", _event()), b"no record")
    with RecordReader(broker.settings, [topic], start="earliest", until_end=True) as reader:
        event, other = list(reader)
    assert (event.decode().subject, event.decode().record) == ("feed_event", _event())
    assert event.ts_ns is not None
    assert event.ts_ns > 1_700_000_000_000_000_000
    with pytest.raises(MalformedRecord):
        other.decode()
    with pytest.raises(MalformedRecord, match=r"dlq\.reason"):
        other.dead_letter()


def test_ticks_of_a_newer_contract_are_read_as_ours(broker: Broker) -> None:
    """By the registry: a version that this release does not hold, among those that it does."""
    topic = broker.make_topic()
    client = registry_client(KafkaSettings(bootstrap="x:1", registry_url=f"mock://{topic}"))
    framing = RegistryFraming(client, {topic: "tick"}, register=True)
    newer = copy.deepcopy(schemas.avro_schema("tick", 1))
    newer["fields"].append({"name": "venue", "type": ["null", "string"], "default": None})
    number = client.register_schema(f"{topic}-value", Schema(json.dumps(newer), "AVRO"))
    batch = full_batch(3, instruments=1)
    old = RecordProducer(broker.settings, ticks_topic=topic, framing=framing)
    old.produce_ticks(batch, Delivery())
    old.flush(WAIT_S)
    old.close()
    with RecordReader(broker.settings, [topic], start="earliest", until_end=True) as records:
        values = [(record.partition, record.value) for record in records]
    raw = Producer({"bootstrap.servers": broker.settings.bootstrap})
    for partition, value in values:
        raw.produce(topic, number_prefix(number) + value[5:] + b"\x02\x06NSE", partition=partition)
    assert raw.flush(WAIT_S) == 0
    raw.close()
    with TickReader(
        broker.settings,
        topic,
        start="earliest",
        until_end=True,
        framing=framing,
        duplicates=None,
        linger_s=0.2,
    ) as reader:
        columns = list(reader)
    values_read = np.concatenate([each.batch.values for each in columns])
    assert (values_read == np.concatenate([batch.values, batch.values])).all()


def test_aborted_ticks_are_not_seen(kafka_bootstrap: str, make_topic: Any) -> None:
    topic = make_topic(1)
    config = {"bootstrap.servers": kafka_bootstrap, "transactional.id": topic}
    producer = Producer(config)
    producer.init_transactions(WAIT_S)
    for number, ends_well in ((b"1", True), (b"2", False), (b"3", True), (b"4", False)):
        producer.begin_transaction()
        producer.produce(topic, number)
        producer.flush(WAIT_S)
        if ends_well:
            producer.commit_transaction(WAIT_S)
        else:
            producer.abort_transaction(WAIT_S)
    producer.close()
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    with RecordReader(settings, [topic], start="earliest", until_end=True) as reader:
        assert [record.value for record in reader] == [b"1", b"3"]


def test_offsets_that_are_gone_are_not_passed_over(kafka_bootstrap: str, make_topic: Any) -> None:
    topic = make_topic(1)
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    broker = Broker(settings, lambda: topic)
    _fill(broker, topic, 100)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, 50)]).values():
        future.result(WAIT_S)
    with (
        TickReader(settings, topic, from_offsets={0: 10}, until_end=True) as reader,
        pytest.raises(ReadError),
    ):
        list(reader)
    with TickReader(settings, topic, start="earliest", until_end=True) as reader:
        assert len(_seqs(reader)) == 50


def test_a_missing_topic_and_a_missing_broker(kafka_bootstrap: str) -> None:
    settings = KafkaSettings(bootstrap=kafka_bootstrap)
    with pytest.raises(UnknownTopic, match="test-nope does not exist .* make up"):
        TickReader(settings, "test-nope", until_end=True)
    with (
        TickReader(settings, "test-nope", group="test-nope") as reader,
        pytest.raises(UnknownTopic, match="test-nope"),
    ):
        next(reader)


def test_an_unreachable_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kite_kafka_io.source._METADATA_TIMEOUT_S", 0.3)
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:9"):
        TickReader(KafkaSettings(bootstrap="127.0.0.1:9"), until_end=True)


def test_values_in_pandas_and_arrow_are_those_that_were_sent(broker: Broker) -> None:
    topic = broker.make_topic()
    batch = full_batch(200, instruments=1)
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    producer.produce_ticks(batch, Delivery())
    assert producer.flush(WAIT_S) == 0
    producer.close()
    with TickReader(
        broker.settings, topic, start="earliest", until_end=True, linger_s=0.5
    ) as reader:
        columns = next(reader)
    assert same_rows(columns.batch, batch)
    frame, arrow = columns.to_pandas(), columns.to_arrow()
    assert frame["last_price"].tolist() == batch.column("last_price").tolist()
    assert arrow.column("ask_4_quantity").to_pylist() == batch.column("ask_4_quantity").tolist()
    assert frame["offset"].tolist() == list(range(200))
