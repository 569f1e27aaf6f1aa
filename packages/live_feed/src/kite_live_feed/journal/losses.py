"""What was lost and is not yet in an event: kept on the disk, so that the next run can report it.

One file of two slots, allocated whole when the journal is opened, because it is needed just when
the disk is full. The slots are written in turn, as those of the acknowledged position are: a slot
that was cut off fails its CRC, and the one before counts.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Final

import orjson

from kite_live_feed.journal.layout import FILE_MODE

FILE_NAME: Final = "losses"
SLOT_BYTES: Final = 16 * 1024
"""Room for a loss and two gaps of each of the 16 shards, and more."""

_MAGIC: Final = 0x3153534C
_HEAD: Final = struct.Struct("<IIQI")
"""Magic, CRC-32 of the rest, generation, length of the JSON."""
_SUM_AT: Final = 8


@dataclass(slots=True)
class Loss:
    """Frames of one shard that found no room; times are receive times, ns since the epoch."""

    from_ns: int
    to_ns: int
    frames: int = 0
    packets: int = 0


@dataclass(slots=True)
class UnreportedGap:
    """A gap of which the opening, the end or both found no room in the journal."""

    shard: int
    from_ns: int
    to_ns: int | None
    cause: str
    opened: bool
    """Its opening is in the journal."""


@dataclass
class LossLedger:
    """Losses by shard, and gaps, that no event reports yet. Each change is one write (about 3 µs).

    A killed process loses nothing of it. ``problem`` is the last failure to write.
    """

    path: Path
    losses: dict[int, Loss] = field(default_factory=dict)
    gaps: list[UnreportedGap] = field(default_factory=list)
    problem: str | None = None
    _generation: int = 0
    _fd: int = -1

    def __post_init__(self) -> None:
        """Open or create the file and take over what it holds. Raises OSError."""
        self._open()
        slots = [os.pread(self._fd, SLOT_BYTES, at) for at in (0, SLOT_BYTES)]
        found = [each for each in map(_unpack, slots) if each is not None]
        self._generation, content = max(found, key=lambda each: each[0], default=(0, None))
        if content is not None:
            noted = orjson.loads(content)
            self.losses = {int(shard): Loss(*values) for shard, values in noted["losses"].items()}
            self.gaps = [UnreportedGap(*values) for values in noted["gaps"]]

    def __bool__(self) -> bool:
        return bool(self.losses or self.gaps)

    def lose(self, shard: int, ts_recv_ns: int, packets: int) -> None:
        """Count one frame of so many packets."""
        loss = self.losses.setdefault(shard, Loss(ts_recv_ns, ts_recv_ns))
        loss.frames += 1
        loss.packets += packets
        loss.to_ns = max(loss.to_ns, ts_recv_ns)
        self.save()

    def open_gap(self, shard: int, from_ns: int, cause: str) -> None:
        """Keep a gap whose opening found no room; of one shard they become one long gap."""
        for gap in self.gaps:
            if gap.shard == shard and not gap.opened:
                gap.from_ns, gap.to_ns = min(gap.from_ns, from_ns), None
                break
        else:
            self.gaps.append(UnreportedGap(shard, from_ns, None, cause, opened=False))
        self.save()

    def close_gap(self, shard: int, from_ns: int, to_ns: int, cause: str) -> None:
        """Keep the end of a gap, which found no room."""
        for gap in self.gaps:
            if gap.shard == shard and not gap.opened and gap.to_ns is None:
                gap.to_ns = to_ns
                break
        else:
            self.gaps.append(UnreportedGap(shard, from_ns, to_ns, cause, opened=True))
        self.save()

    def save(self) -> None:
        """Write it as it is now; a failure is a ``problem``, and what is in memory counts."""
        content = orjson.dumps(
            {
                "losses": {str(shard): list(astuple(loss)) for shard, loss in self.losses.items()},
                "gaps": [list(astuple(gap)) for gap in self.gaps],
            }
        )
        self._generation += 1
        head = _HEAD.pack(_MAGIC, 0, self._generation, len(content))[_SUM_AT:]
        slot = struct.pack("<II", _MAGIC, zlib.crc32(head + content)) + head + content
        self.problem = None
        try:
            if len(slot) > SLOT_BYTES:
                raise OSError(0, f"it has no room for {len(content)} bytes")
            os.pwrite(self._fd, slot, (self._generation & 1) * SLOT_BYTES)
        except OSError as exc:
            self.problem = f"the losses of the journal cannot be noted: {exc.strerror}"

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def reopen(self) -> None:
        """The folder was replaced: make the file again. Raises OSError."""
        self.close()
        self._open()
        self.save()

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        if os.fstat(self._fd).st_size < 2 * SLOT_BYTES:
            os.posix_fallocate(self._fd, 0, 2 * SLOT_BYTES)


def _unpack(slot: bytes) -> tuple[int, bytes] | None:
    if len(slot) < _HEAD.size:
        return None
    magic, crc, generation, length = _HEAD.unpack_from(slot)
    end = _HEAD.size + length
    if magic != _MAGIC or end > len(slot) or crc != zlib.crc32(slot[_SUM_AT:end]):
        return None
    return generation, slot[_HEAD.size : end]
