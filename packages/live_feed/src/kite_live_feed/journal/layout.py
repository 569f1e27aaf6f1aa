"""How a record lies in a segment file (pure).

A record is a header of 48 bytes, little endian, and the payload right behind it:

    offset  0  magic         u32    "KJR1"
            4  kind          u8     RecordKind
            5  shard         u8     the connection it came over
            6  reserved      u16    0
            8  length        u32    bytes of the payload, at most PAYLOAD_BYTES_MAX
           12  payload_crc   u32    CRC-32 of the payload
           16  ts_recv_ns    i64    nanoseconds since the epoch, UTC
           24  feed_session  i64    0 where there is none
           32  first_seq     i64    feed_seq of the frame's first packet
           40  stamp         u32    the segment's own number, also in its file name
           44  header_crc    u32    CRC-32 of the 44 bytes before

After damage a reader looks for the next valid header. The stamp is random for each segment, so
that bytes which look like a record (a payload that quotes one, a disk block of an older segment)
are never taken for one.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import Final, NamedTuple

from kite_live_feed.errors import RecordTooLarge

MAGIC: Final = 0x31524A4B
HEADER_BYTES: Final = 48
PAYLOAD_BYTES_MAX: Final = 16 * 1024 * 1024

ANY_STAMP: Final = 0
"""Accept records of any segment: for a file whose name does not tell its stamp."""

HEADER: Final = struct.Struct("<IBBHIIqqqII")
PREFIX: Final = struct.Struct("<IBBHIIqqqI")
HEADER_CRC: Final = struct.Struct("<I")


class RecordKind(IntEnum):
    """What a record's payload is."""

    FRAME = 1
    """One binary WebSocket message, as received."""
    EVENT = 2
    """One feed event, as its writer encoded it."""


class Position(NamedTuple):
    """A place in the journal; compares in writing order. ``Position(0, 0)`` is before all."""

    segment: int
    offset: int
    """Bytes from the start of the segment file; always at the edge of a record."""


START: Final = Position(0, 0)


def pack_header(
    kind: int,
    shard: int,
    payload: bytes,
    ts_recv_ns: int,
    feed_session: int,
    first_seq: int,
    stamp: int,
) -> bytes:
    """What lies in front of ``payload``. Raises RecordTooLarge for a value out of range."""
    sizes = (len(payload), zlib.crc32(payload))
    try:
        prefix = PREFIX.pack(
            MAGIC, kind, shard, 0, *sizes, ts_recv_ns, feed_session, first_seq, stamp
        )
    except struct.error as exc:
        raise RecordTooLarge(f"a journal header field is out of range: {exc}") from exc
    return prefix + HEADER_CRC.pack(zlib.crc32(prefix))
