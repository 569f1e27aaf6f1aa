"""Records for the journal's tests, and a segment file made of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from kite_live_feed.journal import Chunk, Position
from kite_live_feed.journal.layout import (
    ANY_STAMP,
    HEADER_BYTES,
    HEADER_CRC,
    MAGIC,
    PAYLOAD_BYTES_MAX,
    PREFIX,
    RecordKind,
    pack_header,
    segment_path,
)

STAMP = 0x12345678
NS = st.integers(-(2**63), 2**63 - 1)


class Record(NamedTuple):
    """One record as values, in the order of ``JournalWriter.append``."""

    kind: int
    shard: int
    payload: bytes
    ts_recv_ns: int
    feed_session: int
    first_seq: int


def pack_record(record: Record, stamp: int) -> bytes:
    """Header and payload as they lie in a segment."""
    return pack_header(*record, stamp) + record.payload


def records(payload: st.SearchStrategy[bytes] | None = None) -> st.SearchStrategy[Record]:
    """Any record; payloads are short, often full of zeros or of the journal's own magic."""
    return st.builds(
        Record,
        kind=st.sampled_from([int(kind) for kind in RecordKind]),
        shard=st.integers(0, 255),
        payload=payload or st.one_of(st.binary(max_size=80), zeros(), magics()),
        ts_recv_ns=NS,
        feed_session=NS,
        first_seq=NS,
    )


def zeros() -> st.SearchStrategy[bytes]:
    """Payloads that look like unused space."""
    return st.integers(0, 120).map(bytes)


def magics() -> st.SearchStrategy[bytes]:
    """Payloads that begin like a header or quote a record of another segment."""
    inner = Record(1, 0, b"inner", 1, 2, 3)
    return st.sampled_from([b"KJR1" * 12, pack_record(inner, 7), b"x" + pack_record(inner, 9)])


def frame(number: int, size: int = 100, shard: int = 0) -> Record:
    """A record whose content follows from its number and holds no zero byte."""
    payload = (b"%08d" % number * (size // 8 + 1))[:size]
    return Record(int(RecordKind.FRAME), shard, payload, 1_000 + number, 77, number)


def segment_file(folder: Path, wanted: Sequence[Record], tail: bytes = b"") -> Path:
    """A segment file of exactly these records, with ``tail`` behind them."""
    path = segment_path(folder, 1, STAMP)
    path.write_bytes(b"".join(pack_record(each, STAMP) for each in wanted) + tail)
    return path


def found_in(chunks: Iterable[Chunk]) -> list[Record]:
    """The good records of chunks, as values."""
    return [
        Record(
            row.kind,
            row.shard,
            chunk.payload(row),
            row.ts_recv_ns,
            row.feed_session,
            row.first_seq,
        )
        for chunk in chunks
        for row in chunk.rows
    ]


def unpack_record(data: bytes, offset: int, stamp: int = ANY_STAMP) -> Record | None:
    """The record at ``offset``, or None unless a complete, undamaged one lies there.

    The reference for the scan: one record, no search.
    """
    start = offset + HEADER_BYTES
    if len(data) < start:
        return None
    prefix = data[offset : start - HEADER_CRC.size]
    magic, kind, shard, _, length, crc, ts_ns, session, seq, found = PREFIX.unpack(prefix)
    (header_crc,) = HEADER_CRC.unpack_from(data, start - HEADER_CRC.size)
    if magic != MAGIC or header_crc != zlib.crc32(prefix) or length > PAYLOAD_BYTES_MAX:
        return None
    payload = data[start : start + length]
    if stamp not in (ANY_STAMP, found) or len(payload) < length or zlib.crc32(payload) != crc:
        return None
    return Record(kind, shard, payload, ts_ns, session, seq)


def position_behind(chunk: Chunk, row: int) -> Position:
    """The position right behind ``chunk.rows[row]``."""
    return Position(chunk.position.segment, chunk.position.offset + chunk.rows[row].end)
