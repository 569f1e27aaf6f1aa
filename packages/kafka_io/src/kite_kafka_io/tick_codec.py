"""Ticks between the integer matrix and Avro bytes, as compiled loops.

The layout is the Avro schema ``tick.v1``: fields in the order of the batch's columns, the groups as
unions with null, the depth as two arrays of five. What is written is byte for byte what fastavro
writes (a property test). Reading takes any valid Avro encoding of the schema, for instance arrays
in several blocks, and never reads outside a value, whatever its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_contracts.tick_batch import FIELD_COUNT, TickBatch
from kite_kafka_io.tick_loops import decode_rows, encode_rows

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

VARINT_MAX_BYTES: Final = 10
# Each column once, the mode, seven union branches, and two arrays with a count and an end each.
RECORD_MAX_BYTES: Final = VARINT_MAX_BYTES * FIELD_COUNT + 1 + 7 + 4


class TickEncoder:
    """Encodes batches into a buffer of its own, which the next call overwrites.

    ``prefix`` is written before each record (see ``framing``).
    """

    __slots__ = ("_prefix", "_row_bytes", "_out", "_ends", "_tokens")

    def __init__(self, prefix: bytes) -> None:
        # Writable, because numba takes 0.3 µs a call longer to know a read-only array (measured).
        self._prefix: Bytes = np.frombuffer(bytearray(prefix), np.uint8)
        self._row_bytes = RECORD_MAX_BYTES + len(prefix)
        self._reserve(256)

    def _reserve(self, rows: int) -> None:
        self._out: Bytes = np.empty(rows * self._row_bytes, np.uint8)
        self._ends: Ints = np.empty(rows, np.int64)
        self._tokens: Ints = np.empty(rows, np.int64)

    def encode(
        self, batch: TickBatch, first: int = 0, most: int | None = None
    ) -> tuple[Bytes, Ints, Ints]:
        """The good rows of ``batch`` as (bytes, end of each record, instrument token of each).

        Faulty rows (verdict not 0) are left out. The arrays are views, valid until the next call.
        ``first`` and ``most`` choose a part of a large batch.
        """
        size = batch.size - first if most is None else min(most, batch.size - first)
        if size > self._ends.size:
            self._reserve(max(size, 2 * self._ends.size))
        count, end = encode_rows(
            batch.values[first:],
            batch.mode[first:],
            batch.groups[first:],
            batch.verdict[first:],
            size,
            self._prefix,
            self._out,
            self._ends,
            self._tokens,
        )
        return self._out[:end], self._ends[:count], self._tokens[:count]


def encode_ticks(batch: TickBatch, prefix: bytes) -> list[bytes]:
    """The values of the good rows of ``batch``, each beginning with ``prefix``."""
    out, ends, _ = TickEncoder(prefix).encode(batch)
    data = out.tobytes()
    stops = ends.tolist()
    return [data[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


@dataclass(frozen=True, slots=True)
class DecodedTicks:
    """A batch read from values, and where reading failed.

    Row i of ``batch`` is value i. ``error_at[i]`` is -1, or the offset inside the value of the
    first byte that makes no sense; the row's verdict is then TRUNCATED (the value ends too early),
    TRAILING_BYTES (it goes on after the record) or UNKNOWN_PACKET (anything else, a foreign prefix
    included), and its columns mean nothing. ``bad`` is the number of such rows. The batch's
    ``start`` and ``end`` are offsets into ``data``.
    """

    batch: TickBatch
    error_at: Ints
    data: bytes
    bad: int


def decode_ticks(values: Sequence[bytes], prefix: bytes) -> DecodedTicks:
    """Read tick v1 values that begin with ``prefix``; never raises for any bytes.

    Columns of a group that a tick does not have are ``ABSENT``.
    """
    size = len(values)
    batch = TickBatch(max(size, 1))
    batch.size = size
    data = b"".join(values)
    lengths = np.fromiter(map(len, values), np.int64, size)
    np.cumsum(lengths, out=batch.end[:size])
    np.subtract(batch.end[:size], lengths, out=batch.start[:size])
    error_at = np.empty(size, np.int64)
    bad = decode_rows(
        np.frombuffer(data, np.uint8),
        batch.start,
        batch.end,
        size,
        np.frombuffer(prefix, np.uint8),
        batch.values,
        batch.mode,
        batch.groups,
        batch.verdict,
        error_at,
    )
    return DecodedTicks(batch, error_at, data, bad)


def warm_up() -> None:
    """Compile both loops, so that the first tick does not wait. Takes seconds the first time."""
    batch = TickBatch(1)
    batch.values[:] = 0
    batch.size = 1
    decode_ticks(encode_ticks(batch, b"\xc3\x01"), b"\xc3\x01")
