"""Faults on purpose: a script of what goes wrong at which frame, and what it does to the bytes.

The script is text, one fault a line or between semicolons: ``FRAME KIND [NUMBER]``; ``#`` starts a
comment. Frames of the market are counted from 1 over all connections; first packets after a
subscription do not count. ``all`` alone is a script with every fault. Pure.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np

from kite_broker_zerodha.errors import BrokerError
from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.wire import encode_frame, encode_packet
from kite_runtime.errors import UsageError

Kind = TypeVar("Kind", bound=StrEnum)


class ScriptError(BrokerError, UsageError):
    """The fault script cannot be read; the message names the line."""


class FaultKind(StrEnum):
    """What can go wrong; the number, where there is one, in brackets."""

    DROP = "drop"
    """After this frame the connection ends without a closing handshake."""
    HALF_OPEN = "half-open"
    """After this frame the connection sends nothing more, and nothing is read from it."""
    STALL = "stall"
    """After this frame the market stands still; heartbeats go on. [seconds]"""
    SLOW = "slow"
    """This frame arrives in pieces. [seconds]"""
    GARBAGE = "garbage"
    """A frame of random bytes follows."""
    EMPTY = "empty"
    """A frame of no bytes follows."""
    TRUNCATE = "truncate"
    """This frame ends in the middle of its last packet."""
    TRAILING = "trailing"
    """This frame has bytes after its last packet."""
    BAD_COUNT = "bad-count"
    """This frame announces more packets than it has."""
    UNKNOWN_LENGTH = "unknown-length"
    """This frame has one more packet, of a length that Kite does not document."""
    VIOLATION = "violation"
    """This frame has two more packets that break the contract: token 0, and a time in 1970."""
    DUPLICATE = "duplicate"
    """This frame is sent twice."""
    FORBID = "403"
    """After this frame the connection drops and handshakes are refused. [how many]"""
    TEXT = "text"
    """A broker's message, an order postback and an error follow."""


_NUMBER_DEFAULTS: Final = MappingProxyType(
    {FaultKind.STALL: 3.0, FaultKind.SLOW: 0.5, FaultKind.FORBID: 2.0}
)
_NUMBER_MAX: Final = 3600.0
_EVERY: Final = 20
"""Distance in frames between the faults of the script ``all``."""

UNKNOWN_LENGTH_BYTES: Final = 13
VIOLATION_EPOCH_NS: Final = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a script; ``number`` is 0 where the kind takes none."""

    at_frame: int
    kind: FaultKind
    number: float = 0.0


@dataclass(slots=True)
class Outgoing:
    """A frame to send and what a correct decoder makes of it.

    ``packets`` counts good packets by kind, ``bad`` faulty rows by verdict name in lower case;
    ``out_of_bounds`` stands for packets that decode but break the contract.
    """

    payload: bytes
    packets: Counter[PacketKind] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)


def parse_script(text: str) -> tuple[Fault, ...]:
    """Read a script, in the order of its frames. Raises ScriptError."""
    if text.strip() == "all":
        return tuple(
            Fault(_EVERY * place, kind, _NUMBER_DEFAULTS.get(kind, 0.0))
            for place, kind in enumerate(FaultKind, 1)
        )
    faults = []
    for line, frame, kind, number in fault_lines(
        text, "fault script", "frame", FaultKind, _NUMBER_MAX
    ):
        if number is not None and kind not in _NUMBER_DEFAULTS:
            raise ScriptError(f"fault script: {line!r}: {kind} takes no number")
        default = _NUMBER_DEFAULTS.get(kind, 0.0)
        faults.append(Fault(frame, kind, default if number is None else number))
    return tuple(faults)


def script_lines(text: str) -> list[str]:
    """The lines of a script: one each or separated by semicolons, without comments."""
    lines = [part.split("#")[0].strip() for line in text.splitlines() for part in line.split(";")]
    return [line for line in lines if line]


def fault_lines(
    text: str, what: str, place: str, kinds: type[Kind], number_max: float
) -> list[tuple[str, int, Kind, float | None]]:
    """Line, place, kind and number of each ``PLACE KIND [NUMBER]``; raises ScriptError."""
    found: list[tuple[str, int, Kind, float | None]] = []
    for line in script_lines(text):
        words = line.split()
        try:
            at, kind = int(words[0]), kinds(words[1])
            number = float(words[2]) if len(words) > 2 else None
        except (IndexError, ValueError):
            raise ScriptError(
                f"{what}: {line!r} is not {place.upper()} KIND [NUMBER]; kinds: {', '.join(kinds)}"
            ) from None
        if at < 1 or len(words) > 3 or not 0 <= (number or 0) <= number_max:
            raise ScriptError(
                f"{what}: {line!r}: {place}s count from 1, numbers go up to {number_max:g}"
            )
        found.append((line, at, kind, number))
    return sorted(found, key=lambda each: each[1])


def spoil(
    kind: FaultKind | None, packets: Sequence[bytes], random: np.random.Generator
) -> list[Outgoing]:
    """The frames to send instead of the plain frame of these packets; usually one."""
    good = Counter(PacketKind(len(packet)) for packet in packets)
    plain = encode_frame(packets)
    match kind:
        case FaultKind.GARBAGE:
            noise = random.bytes(int(random.integers(8, 64)))
            # No packet is as long as announced, so the whole frame is one truncated row.
            payload = struct.pack(">HH", int(random.integers(1, 0xFFFF)), 0xFFFF) + noise
            return [Outgoing(plain, good), Outgoing(payload, bad=Counter(truncated=1))]
        case FaultKind.EMPTY:
            return [Outgoing(plain, good), Outgoing(b"", bad=Counter(truncated=1))]
        case FaultKind.DUPLICATE:
            return [Outgoing(plain, good), Outgoing(plain, good)]
        case FaultKind.TRUNCATE:
            kept = Counter(PacketKind(len(packet)) for packet in packets[:-1])
            return [Outgoing(plain[:-3], kept, Counter(truncated=1))]
        case FaultKind.TRAILING:
            return [Outgoing(plain + random.bytes(7), good, Counter(trailing_bytes=1))]
        case FaultKind.BAD_COUNT:
            payload = struct.pack(">H", len(packets) + 5) + plain[2:]
            return [Outgoing(payload, good, Counter(truncated=1))]
        case FaultKind.UNKNOWN_LENGTH:
            payload = encode_frame([*packets, random.bytes(UNKNOWN_LENGTH_BYTES)])
            return [Outgoing(payload, good, Counter(unknown_packet=1))]
        case FaultKind.VIOLATION:
            payload = encode_frame([*packets, *_violations(packets[0])])
            return [Outgoing(payload, good, Counter(out_of_bounds=2))]
    return [Outgoing(plain, good)]


def _violations(packet: bytes) -> list[bytes]:
    token = int.from_bytes(packet[:4], "big")
    early = {"instrument_token": token, "last_price": 100, "ts_event_ns": VIOLATION_EPOCH_NS}
    return [
        encode_packet(PacketKind.LTP, {"instrument_token": 0, "last_price": 100}),
        encode_packet(PacketKind.FULL, early),
    ]
