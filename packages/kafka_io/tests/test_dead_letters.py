"""Dead letters in the form of the contract, and in headers."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_contracts import schemas
from kite_contracts.reasons import ReasonCode
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.dead_letters import DeadLetter, read_dead_letter
from kite_kafka_io.errors import MalformedRecord

NUMBER = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LETTERS = st.builds(
    DeadLetter,
    raw=st.binary(max_size=50),
    reason=st.sampled_from([str(code) for code in ReasonCode]),
    message=TEXT,
    contract=st.just("tick.v1"),
    first_failure_ns=NUMBER,
    unit=st.sampled_from(["packet", "frame-tail", "record", "journal"]),
    attempt=st.integers(1, 2**31 - 1),
    error_path=st.none() | TEXT,
    origin_topic=st.none() | TEXT.filter(bool),
    origin_partition=st.none() | st.integers(0, 2**31 - 1),
    origin_offset=st.none() | NUMBER,
    feed_session=st.none() | NUMBER,
    feed_seq=st.none() | NUMBER,
)
LETTER = DeadLetter(
    raw=bytes.fromhex("000400090000"),
    reason="DECODE_UNKNOWN_PACKET",
    message="Länge 6",
    contract="tick.v1",
    first_failure_ns=1,
    unit="packet",
    feed_session=16,
    feed_seq=0,
)


@given(LETTERS)
def test_headers_give_the_letter_back(letter: DeadLetter) -> None:
    assert read_dead_letter(letter.raw, letter.headers()) == letter  # type: ignore[arg-type]


@given(LETTERS)
def test_each_letter_keeps_the_contract(letter: DeadLetter) -> None:
    jsonschema.validate(letter.record(), schemas.json_schema("dead_letter", 1))
    avro = {**letter.record(), "raw": letter.raw}
    assert AvroCodec().decode(AvroCodec().encode("dead_letter", avro)).record == avro


def test_the_fields_are_those_of_the_contract() -> None:
    assert set(LETTER.record()) == set(schemas.json_schema("dead_letter", 1)["properties"])


def test_what_stands_in_kafka() -> None:
    assert LETTER.headers() == [
        ("dlq.reason", b"DECODE_UNKNOWN_PACKET"),
        ("dlq.message", "Länge 6".encode()),
        ("dlq.contract", b"tick.v1"),
        ("dlq.first_failure_ns", b"1"),
        ("dlq.unit", b"packet"),
        ("dlq.attempt", b"1"),
        ("dlq.feed_session", b"16"),
        ("dlq.feed_seq", b"0"),
    ]
    assert LETTER.key() == b"262153"


def test_foreign_headers_are_passed_over_and_the_first_failure_counts() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("__connect.errors.topic", b"x"),
        ("dlq.unknown", b"x"),
        *((name, text) for name, text in LETTER.headers() if isinstance(text, bytes)),
        ("dlq.reason", b"TOO_LARGE"),
    ]
    assert read_dead_letter(LETTER.raw, headers) == LETTER


@pytest.mark.parametrize(
    ("header", "text"), [("dlq.attempt", b"one"), ("dlq.message", b"\xff"), ("dlq.attempt", None)]
)
def test_a_malformed_header_is_named(header: str, text: bytes | None) -> None:
    with pytest.raises(MalformedRecord, match=header):
        read_dead_letter(b"", [(header, text)])


def test_missing_headers_are_named() -> None:
    with pytest.raises(MalformedRecord, match=r"dlq\.reason, dlq\.message"):
        read_dead_letter(b"x", [])
