"""What publishing takes and gives (pure); apart, because the producer is slow to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int], None]
"""Told the records acknowledged so far, and how many there are."""

Message = tuple[str, bytes | None, bytes | None, list[tuple[str, str | bytes | None]] | None]
"""Topic, key, value and headers."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the topic got: instruments, tombstones, and the batches that this was for."""

    listed: int
    gone: int
    batches: tuple[int, ...]
