"""Encode packets and frames: the inverse of the decoder, for the simulator and for tests.

Fields have the names and units of ``kite_contracts.tick_batch``: prices are integers with the
instrument's ``price_scale``, times nanoseconds of whole seconds or ``ABSENT``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.errors import WireValueError
from kite_broker_zerodha.packets import (
    HEARTBEAT,
    LAYOUTS,
    MAX_PACKETS,
    NS_PER_SECOND,
    PacketKind,
    PacketLayout,
    Wire,
)
from kite_contracts.tick_batch import ABSENT, TickBatch

__all__ = ["HEARTBEAT", "encode_frame", "encode_packet", "encode_rows", "field_names"]

_FORMATS: Final = {
    Wire.U32: "I",
    Wire.PRICE: "i",
    Wire.U16: "H2x",
    Wire.SECONDS: "I",
    Wire.TRADE_SECONDS: "I",
}
_NUMPY_FORMATS: Final = {
    Wire.U32: ">u4",
    Wire.PRICE: ">i4",
    Wire.U16: ">u2",
    Wire.SECONDS: ">u4",
    Wire.TRADE_SECONDS: ">u4",
}
_TIMES: Final = (Wire.SECONDS, Wire.TRADE_SECONDS)


class _Encoder:
    """One packet kind, its fields in the order of the wire."""

    def __init__(self, layout: PacketLayout) -> None:
        written = [field for field in layout.fields if field.wire is not Wire.MISSING]
        written.sort(key=lambda field: field.offset)
        self.names = tuple(field.name for field in written)
        self.times = tuple(i for i, field in enumerate(written) if field.wire in _TIMES)
        self.missing = {field.name for field in layout.fields} - set(self.names)
        self.packer = struct.Struct(">" + "".join(_FORMATS[field.wire] for field in written))


_ENCODERS: Final = {kind: _Encoder(layout) for kind, layout in LAYOUTS.items()}


def field_names(kind: PacketKind) -> tuple[str, ...]:
    """The fields that a packet of this kind carries, in the order of the wire."""
    return _ENCODERS[kind].names


def encode_packet(kind: PacketKind, fields: Mapping[str, int]) -> bytes:
    """The packet without its length prefix, ``kind`` bytes long; a field not given is 0.

    Raises WireValueError for a field that the packet does not carry (one that may be absent can be
    given as ``ABSENT``), a value that does not fit, or a time that is not a whole second.
    """
    encoder = _ENCODERS[kind]
    values = [fields.get(name, 0) for name in encoder.names]
    for place in encoder.times:
        values[place] = _seconds(values[place])
    _refuse_unknown(encoder, fields, kind)
    try:
        return encoder.packer.pack(*values)
    except struct.error as error:
        raise WireValueError(f"{kind.name}: {error} in {dict(fields)}") from error


def encode_frame(packets: Sequence[bytes]) -> bytes:
    """A tick frame of these packets, each of any length up to 65535 bytes.

    Raises WireValueError for more packets, or longer ones, than the u16 counters can say.
    """
    parts = [_u16(len(packets), "packets in a frame")]
    for packet in packets:
        parts.append(_u16(len(packet), "bytes in a packet"))
        parts.append(packet)
    return b"".join(parts)


def encode_rows(batch: TickBatch) -> list[bytes]:
    """The packets that decode to these good rows, in their order; the inverse of the decoder.

    Raises WireValueError for a row whose groups and mode belong to no packet kind, for a value that
    does not fit, and for a time that is not a whole second.
    """
    packets: list[bytes] = [b""] * len(batch)
    mode, groups = batch.mode[: len(batch)], batch.groups[: len(batch)]
    for layout in LAYOUTS.values():
        rows = np.flatnonzero((mode == layout.mode) & (groups == layout.groups))
        if len(rows):
            whole = _records(layout, batch.values[rows]).tobytes()
            for number, row in enumerate(rows.tolist()):
                packets[row] = whole[number * layout.kind : (number + 1) * layout.kind]
    if not all(packets):
        row = packets.index(b"")
        raise WireValueError(f"mode {mode[row]} with groups {groups[row]} is no packet")
    return packets


def _records(layout: PacketLayout, values: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """The rows as they lie on the wire."""
    written = [field for field in layout.fields if field.wire is not Wire.MISSING]
    kind: Any = {
        "names": [field.name for field in written],
        "formats": [_NUMPY_FORMATS[field.wire] for field in written],
        "offsets": [field.offset for field in written],
        "itemsize": int(layout.kind),
    }
    records: npt.NDArray[np.void] = np.zeros(len(values), np.dtype(kind))
    for field in written:
        column = values[:, field.column]
        if field.wire in _TIMES:
            column = np.where(column == ABSENT, 0, column)
            if (column % NS_PER_SECOND).any():
                raise WireValueError(f"{field.name}: Kite's times are whole seconds")
            column = column // NS_PER_SECOND
        records[field.name] = column
        if (records[field.name] != column).any():
            raise WireValueError(f"{layout.kind.name}: a value of {field.name} does not fit")
    return records


def _refuse_unknown(encoder: _Encoder, fields: Mapping[str, int], kind: PacketKind) -> None:
    extra = fields.keys() - encoder.names
    for name in extra:
        if name not in encoder.missing or fields[name] != ABSENT:
            raise WireValueError(f"a {kind.name} packet does not carry {name}")


def _seconds(time_ns: int) -> int:
    if time_ns == ABSENT:
        return 0
    seconds, rest = divmod(time_ns, NS_PER_SECOND)
    if rest:
        raise WireValueError(f"Kite's times are whole seconds, not {time_ns} ns")
    return seconds


def _u16(number: int, what: str) -> bytes:
    if number > MAX_PACKETS:
        raise WireValueError(f"{number} {what}; the limit is {MAX_PACKETS}")
    return number.to_bytes(2, "big")
