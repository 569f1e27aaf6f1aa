"""The headers of a record that was redriven, and a filter for those that came twice (pure)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

REDRIVE_ID: Final = "dlq.redrive_id"
"""64 hex digits: SHA-256 of the dead letter's topic, topic id, partition, offset and attempt."""
ATTEMPT: Final = "dlq.attempt"
"""Which try this is, decimal; a consumer that fails again hands it on in its dead letter."""
REDRIVEN_FROM: Final = "dlq.redriven_from"
"""Where the dead letter lies: ``topic/partition/offset``."""
FIRST_FAILURE_NS: Final = "dlq.first_failure_ns"
"""When it failed for the first time, ns since 1970."""
IDS_MAX: Final = 100_000


class RedriveFilter:
    """Remembers the redrive ids that were met, ``ids_max`` of them, the last ones.

    A redrive is at least once: after a crash the same record is produced again, with the same id.
    Ticks need none of this: they come under a feed session of the redrive, and ``DuplicateFilter``
    drops the repeats.

    Ask it once for each record; ``dropped`` counts the repeats. It knows what it has seen itself: a
    consumer that must not take a record again after its own restart writes the id with what it
    makes of the record, in one transaction.
    """

    def __init__(self, ids_max: int = IDS_MAX) -> None:
        if ids_max < 1:
            raise ValueError(f"ids_max must be at least 1, not {ids_max}")
        self.dropped = 0
        self._ids_max = ids_max
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def is_fresh(self, headers: Iterable[tuple[str, bytes | None]]) -> bool:
        """Whether to take the record; always, for one that is no redrive."""
        redrive_id = next((content for name, content in headers if name == REDRIVE_ID), None)
        if redrive_id is None:
            return True
        if redrive_id in self._seen:
            self.dropped += 1
            return False
        self._seen[redrive_id] = None
        while len(self._seen) > self._ids_max:
            self._seen.popitem(last=False)
        return True
