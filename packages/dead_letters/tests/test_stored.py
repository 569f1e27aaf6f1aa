"""What is stored of a record, and the record again from what is stored."""

from __future__ import annotations

from uuid import uuid4

from mixed_letters import mixed_letters

from kite_dead_letters.classify import Classifier
from kite_dead_letters.records import Dialect
from kite_dead_letters.stored import to_raw, to_store, without_content
from kite_kafka_io.raw_reader import RawRecord
from kite_kafka_io.redrives import ATTEMPT, FIRST_FAILURE_NS, REDRIVE_ID, REDRIVEN_FROM


def raw(value: bytes | None, headers: list[tuple[str, bytes | None]]) -> RawRecord:
    return RawRecord("x.dlq", 1, 2, 3_000_000, b"k", value, headers)


def test_a_record_comes_back_as_it_was_and_is_classified_the_same() -> None:
    classifier, topic_id = Classifier(), uuid4()
    for letter in mixed_letters(3, 200):
        record = raw(letter.value, list(letter.headers))
        found = classifier.classify(record)
        stored = to_store(found, topic_id)
        assert to_raw(stored) == record
        assert (stored.reason, stored.fingerprint) == (found.failure.reason, found.fingerprint)
        assert stored.topic_id == topic_id


def test_a_redriven_record_that_fails_again_elsewhere_keeps_its_count() -> None:
    redriven: list[tuple[str, bytes | None]] = [
        (REDRIVE_ID, b"ab"),
        (REDRIVEN_FROM, b"x.dlq/0/1"),
        (ATTEMPT, b"3"),
        (FIRST_FAILURE_NS, b"17"),
    ]
    connect: list[tuple[str, bytes | None]] = [
        ("__connect.errors.topic", b"ticks"),
        ("__connect.errors.exception.message", b"no"),
    ]
    stored = to_store(Classifier().classify(raw(b"x", [*redriven, *connect])))
    assert (stored.dialect, stored.origin_topic, stored.message) == (Dialect.CONNECT, "ticks", "no")
    assert stored.attempt == 3
    for odd in (b"", b"x", b"9" * 30, None):
        assert to_store(Classifier().classify(raw(b"x", [(ATTEMPT, odd)]))).attempt == 1


def test_what_is_left_of_a_record_that_cannot_be_stored() -> None:
    stored = to_store(Classifier().classify(raw(b"x", [("a", b"b")])))
    left = without_content(stored, "why")
    assert (left.topic, left.partition, left.offset) == ("x.dlq", 1, 2)
    assert (left.value, left.headers, left.problems) == (None, [], ("why",))
