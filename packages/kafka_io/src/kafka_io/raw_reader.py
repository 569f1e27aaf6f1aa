"""Records as they lie in Kafka, in batches: for those who must read whatever is there.

Unlike ``RecordReader`` it never looks at what a value or a header says. Its memory is bounded by
bytes and not by records, because a dead-letter topic holds records of ten bytes and of a megabyte.
"""

from __future__ import annotations

from typing import NamedTuple

RawHeaders = list[tuple[str, bytes | None]]


class RawRecord(NamedTuple):
    """One record. ``ts_ns`` is when it was written (whole milliseconds), as Kafka tells.

    ``problems`` say what of it could not be read: header names that are not UTF-8 hide all headers.
    """

    topic: str
    partition: int
    offset: int
    ts_ns: int | None
    key: bytes | None
    value: bytes | None
    headers: RawHeaders
    problems: tuple[str, ...] = ()
