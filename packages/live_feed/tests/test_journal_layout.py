"""One record in bytes, and the scan of many against the plain reader of a record."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_cases import STAMP, Record, pack_record, records, unpack_record

from kite_live_feed.errors import RecordTooLarge
from kite_live_feed.journal.layout import (
    ANY_STAMP,
    HEADER_BYTES,
)
from kite_live_feed.journal.scan import LOST, scan


def test_the_header_is_what_the_documentation_says() -> None:
    data = pack_record(Record(2, 1, b"abc", 10, 20, 30), STAMP)
    assert len(data) == HEADER_BYTES + 3 == 51
    assert data[:4] == b"KJR1"
    assert data[4:8] == b"\x02\x01\x00\x00"
    assert data[8:16] == (3).to_bytes(4, "little") + zlib.crc32(b"abc").to_bytes(4, "little")
    assert [int.from_bytes(data[at : at + 8], "little") for at in (16, 24, 32)] == [10, 20, 30]
    assert data[40:44] == STAMP.to_bytes(4, "little")
    assert data[44:48] == zlib.crc32(data[:44]).to_bytes(4, "little")
    assert data[48:] == b"abc"


@settings(deadline=None)
@given(records(), st.binary(max_size=20), st.binary(max_size=20))
def test_a_record_survives_the_round_trip(record: Record, before: bytes, after: bytes) -> None:
    data = before + pack_record(record, STAMP) + after
    assert unpack_record(data, len(before), STAMP) == record
    assert unpack_record(data, len(before), ANY_STAMP) == record
    assert unpack_record(data, len(before), STAMP + 1) is None


@pytest.mark.parametrize(
    "record",
    [
        Record(1, 256, b"", 0, 0, 0),
        Record(1, 0, b"", 2**63, 0, 0),
    ],
)
def test_what_does_not_fit_is_refused(record: Record) -> None:
    with pytest.raises(RecordTooLarge):
        pack_record(record, STAMP)


@settings(deadline=None)
@given(st.lists(records(), max_size=12), st.integers(0, 60), st.booleans())
def test_the_scan_finds_what_was_written(wanted: list[Record], cut: int, final: bool) -> None:
    data = b"".join(pack_record(each, STAMP) for each in wanted)
    data = data[: max(0, len(data) - cut)]
    rows, at = scan(memoryview(data), 0, len(data), len(data), final, STAMP, 20)
    found, offset = [], 0
    while (record := unpack_record(data, offset, STAMP)) is not None:
        found.append(record)
        offset += HEADER_BYTES + len(record.payload)
    assert len(rows) == len(found)
    assert at == offset
    for row, record in zip(rows, found, strict=True):
        assert data[row.start : row.end] == record.payload
        assert row[2:7] == (*record[3:], record.kind, record.shard)
        assert row.payload_crc == zlib.crc32(record.payload)


def test_the_scan_stops_when_its_index_is_full() -> None:
    data = b"".join(pack_record(Record(1, 0, b"x", n, 0, 0), STAMP) for n in range(5))
    rows, at = scan(memoryview(data), 0, len(data), len(data), True, STAMP, 3)
    assert (len(rows), at) == (3, 3 * 49)
    rows, at = scan(memoryview(data), at, len(data), len(data), True, STAMP, 3)
    assert (len(rows), at) == (2, len(data))


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_rubbish_is_never_a_record(data: bytes, final: bool) -> None:
    rows, at = scan(memoryview(data), 0, len(data), len(data), final, 0, 400)
    assert all(row.kind == LOST for row in rows)
    assert at <= len(data)
    if final:
        assert len(data) - at < HEADER_BYTES
