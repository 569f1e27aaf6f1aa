"""Encode packets and frames: the inverse of the decoder, for the simulator and for tests.

Fields have the names and units of ``kite_contracts.tick_batch``: prices are integers with the
instrument's ``price_scale``, times nanoseconds of whole seconds or ``ABSENT``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

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
from kite_contracts.tick_batch import ABSENT, FIELDS, TickBatch

__all__ = ["HEARTBEAT", "encode_frame", "encode_packet", "encode_row", "field_names"]

_FORMATS: Final = {
    Wire.U32: "I",
    Wire.PRICE: "i",
    Wire.U16: "H2x",
    Wire.SECONDS: "I",
    Wire.TRADE_SECONDS: "I",
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


def encode_row(batch: TickBatch, row: int) -> bytes:
    """The packet that decodes to this good row; the inverse of the decoder.

    Raises WireValueError for a row whose groups and mode belong to no packet kind.
    """
    for kind, layout in LAYOUTS.items():
        if (layout.mode, layout.groups) == (batch.mode[row], batch.groups[row]):
            values = batch.values[row]
            return encode_packet(
                kind, {FIELDS[f.column]: int(values[f.column]) for f in layout.fields}
            )
    raise WireValueError(f"mode {batch.mode[row]} with groups {batch.groups[row]} is no packet")


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
