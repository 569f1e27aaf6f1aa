"""The compiled tick loops against fastavro, and against bytes that are no ticks."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_contracts import schemas
from kite_contracts.tick_batch import FIELD_COUNT, TickBatch, Verdict
from kite_contracts.tick_rows import tick_record
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import MalformedRecord
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.testing import KINDS, batches, full_batch, same_rows
from kite_kafka_io.tick_codec import RECORD_MAX_BYTES, TickEncoder, decode_ticks, encode_ticks

PREFIX = SingleObjectFraming().prefix("tick", 1)
CODEC = AvroCodec()


@given(batches())
def test_encoding_is_byte_for_byte_that_of_fastavro(batch: TickBatch) -> None:
    reference = [CODEC.encode("tick", tick_record(batch, row), 1) for row in range(batch.size)]
    assert encode_ticks(batch, PREFIX) == reference


@given(batches())
def test_decoding_gives_the_rows_back(batch: TickBatch) -> None:
    decoded = decode_ticks(encode_ticks(batch, PREFIX), PREFIX)
    assert decoded.bad == 0
    assert same_rows(decoded.batch, batch)


@pytest.mark.parametrize(("mode", "groups"), KINDS)
@pytest.mark.parametrize("extreme", [2**63 - 1, -(2**63) + 1])
def test_the_largest_record_fits_the_buffer(mode: int, groups: int, extreme: int) -> None:
    batch = TickBatch(3)
    batch.size = 3
    batch.values[:], batch.mode[:], batch.groups[:] = extreme, mode, groups
    values = encode_ticks(batch, PREFIX)
    assert all(len(value) <= RECORD_MAX_BYTES + len(PREFIX) for value in values)
    assert len(values) == 3


def test_faulty_rows_are_left_out() -> None:
    batch = full_batch(5)
    batch.verdict[[0, 3]] = (Verdict.TRUNCATED, 7)
    _, ends, tokens = TickEncoder(PREFIX).encode(batch)
    assert tokens.tolist() == batch.values[[1, 2, 4], 0].tolist()
    assert len(ends) == 3
    batch.verdict[:] = Verdict.UNKNOWN_PACKET
    assert encode_ticks(batch, PREFIX) == []


def test_a_larger_batch_than_before_is_taken() -> None:
    encoder = TickEncoder(PREFIX)
    small, large = full_batch(1), full_batch(1000)
    encoder.encode(small)
    out, ends, _ = encoder.encode(large)
    assert len(ends) == 1000
    assert out.tobytes() == b"".join(encode_ticks(large, PREFIX))


@settings(max_examples=300)
@given(batches(1), st.data())
def test_any_damage_is_a_verdict_and_agrees_with_fastavro(
    batch: TickBatch, data: st.DataObject
) -> None:
    value = bytearray(encode_ticks(batch, PREFIX)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(len(PREFIX), len(value) - 1))
        value[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del value[data.draw(st.integers(0, len(value))) :]
    _agree(bytes(value))


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_verdict(noise: bytes) -> None:
    _agree(PREFIX + noise)
    decoded = decode_ticks([noise, encode_ticks(full_batch(1), PREFIX)[0], noise], PREFIX)
    assert decoded.error_at[1] == -1


def _agree(value: bytes) -> None:
    """Where the loop accepts, fastavro reads the same record; where it refuses, it says where."""
    decoded = decode_ticks([value], PREFIX)
    if decoded.bad == 0:
        assert tick_record(decoded.batch, 0) == CODEC.decode(value).record
        return
    assert decoded.batch.verdict[0] < 0
    assert 0 <= decoded.error_at[0] <= len(value)


def test_every_cut_is_told_where_it_is() -> None:
    value = encode_ticks(full_batch(1), PREFIX)[0]
    cuts = [value[:length] for length in range(len(value))]
    decoded = decode_ticks(cuts, PREFIX)
    assert decoded.error_at.tolist() == list(range(len(value)))
    assert (decoded.batch.verdict[: len(cuts)] == Verdict.TRUNCATED).all()


def test_bytes_after_the_record_are_told() -> None:
    value = encode_ticks(full_batch(1), PREFIX)[0]
    decoded = decode_ticks([value + b"\x00\x00"], PREFIX)
    assert decoded.batch.verdict[0] == Verdict.TRAILING_BYTES
    assert decoded.error_at[0] == len(value)
    with pytest.raises(MalformedRecord, match="2 bytes follow") as caught:
        CODEC.decode(value + b"\x00\x00")
    assert caught.value.offset == len(value)


def test_a_foreign_prefix_is_told() -> None:
    value = encode_ticks(full_batch(1), PREFIX)[0]
    decoded = decode_ticks([b"\xc3\x01\x00" + value[3:], b""], PREFIX)
    assert decoded.batch.verdict[:2].tolist() == [Verdict.UNKNOWN_PACKET, Verdict.TRUNCATED]
    assert decoded.error_at.tolist() == [2, 0]


def test_arrays_in_several_blocks_are_read() -> None:
    """Avro lets a writer cut an array into blocks, with or without their length in bytes."""
    batch = full_batch(1)
    record = tick_record(batch, 0)
    plain = encode_ticks(batch, PREFIX)[0]
    schema = fastavro.parse_schema(dict(schemas.avro_schema("tick", 1)))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, {**record, "depth": None})
    head = PREFIX + out.getvalue()[:-1] + b"\x02"
    sides = plain[len(head) :]
    levels, at = [], 1
    for _ in range(10):
        start = at
        for _ in range(3):
            while sides[at] >= 128:
                at += 1
            at += 1
        levels.append(sides[start:at])
        if len(levels) == 5:
            at += 2
    length = fastavro_long(len(levels[0] + levels[1]))
    bids = b"\x03" + length + levels[0] + levels[1] + b"\x06" + b"".join(levels[2:5]) + b"\x00"
    asks = b"".join(b"\x02" + level for level in levels[5:]) + b"\x00"
    value = head + bids + asks
    assert CODEC.decode(value).record == record
    decoded = decode_ticks([value], PREFIX)
    assert decoded.bad == 0
    assert same_rows(decoded.batch, batch)
    for wrong in (
        asks[:-1] + b"\x02" + levels[0] + b"\x00",
        b"\x06" + b"".join(levels[:3]) + b"\x00",
    ):
        assert decode_ticks([head + bids + wrong], PREFIX).bad == 1


def fastavro_long(value: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    return out.getvalue()


def test_numbers_that_do_not_fit_are_refused() -> None:
    batch = full_batch(1)
    batch.values[0, 5] = 2**31  # price_scale is an Avro int
    assert decode_ticks(encode_ticks(batch, PREFIX), PREFIX).bad == 1
    endless = PREFIX + b"\xff" * 9 + b"\x02" + b"\x00" * 100
    decoded = decode_ticks([endless], PREFIX)
    assert decoded.batch.verdict[0] == Verdict.UNKNOWN_PACKET
    assert decoded.error_at[0] == len(PREFIX) + 9


def test_no_values_are_an_empty_batch() -> None:
    decoded = decode_ticks([], PREFIX)
    assert (len(decoded.batch), decoded.bad) == (0, 0)


def test_the_loops_are_the_same_without_compilation() -> None:
    """NUMBA_DISABLE_JIT=1 steps through the same functions; numpy must not warn of overflow."""
    program = """
import sys, warnings
warnings.simplefilter("error")
from kite_kafka_io.tick_codec import decode_ticks, encode_ticks
from kite_kafka_io.testing import full_batch
batch = full_batch(20)
batch.values[3:5] = [[2**63 - 1], [-(2**63) + 1]]
batch.values[3:5, 5] = 2
batch.values[3:5, 23::3] = -(2**31)
values = encode_ticks(batch, b"ab")
print(b"".join(values).hex(), decode_ticks([*values, values[0][:9]], b"ab").error_at.tolist())
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "NUMBA_DISABLE_JIT": flag, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        for flag in ("1", "0")
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.rstrip().endswith(", 9]")


def test_columns_of_missing_groups_are_absent() -> None:
    batch = full_batch(2)
    batch.groups[1] = 0
    decoded = decode_ticks(encode_ticks(batch, PREFIX), PREFIX).batch
    assert np.iinfo(np.int64).min == decoded.values[1, 7:FIELD_COUNT].max()
