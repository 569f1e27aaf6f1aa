"""What can be set of the journal and of shards; it loads nothing compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB

SHARDS_MAX: Final = 16
"""A feed session's number has room for this many shards: ``1 << SHARD_BITS``."""

Sync = float | Literal["never", "always"]


@dataclass(frozen=True, slots=True)
class JournalOptions:
    """Bounds of a journal; unacknowledged data are kept whatever ``retain_s`` is.

    ``sync`` is the number of seconds between two fdatasync calls, made by a thread of their own;
    a killed process loses nothing in any case, a power failure at most that long. ``"always"``
    syncs within each append and blocks the event loop meanwhile; ``"never"`` leaves it to the
    kernel.
    """

    segment_bytes: int = 64 * MIB
    """Each segment is allocated at this size, so that a full disk shows before it is needed."""
    max_bytes: int = 8 * GIB
    """All segments together; the oldest acknowledged ones make room."""
    retain_s: float = 24 * 3600.0
    """Acknowledged segments older than this are removed."""
    sync: Sync = 1.0

    def __post_init__(self) -> None:
        if self.segment_bytes < 4096:
            raise ValueError(f"segment_bytes must be at least 4096, not {self.segment_bytes}")
        if self.max_bytes < 2 * self.segment_bytes:
            raise ValueError("max_bytes must be at least two segments")
        if self.retain_s < 0:
            raise ValueError("retain_s must not be negative")
        if not isinstance(self.sync, str) and self.sync <= 0:
            raise ValueError("sync must be a positive number of seconds, 'never' or 'always'")


@dataclass(frozen=True)
class GroupSetup:
    """How the universe is shared out."""

    shards: int
    group: str
    timeout_s: float = 6.0
    """A bridge that is not heard for this long loses its shards to others."""
    connections: int = 3
    """How many shards this bridge can carry."""
