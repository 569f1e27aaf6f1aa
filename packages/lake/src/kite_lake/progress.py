"""How far Kafka's partitions are archived: kept in the summary of each snapshot (pure).

A snapshot of somebody else's, such as a compaction by another engine, has no progress; then that of
its nearest ancestor counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PROPERTY: Final = "kite.progress"
SESSIONS_MAX: Final = 32
"""Feed sessions remembered of a partition. The bridge repeats only what was in flight when it
ended, so that the last few of each shard are enough."""

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True)
class Progress:
    """One partition: the next offset, and the highest ``feed_seq`` of the last feed sessions."""

    offset: int
    topic_id: str = ""
    sessions: Mapping[int, int] = field(default_factory=dict)

    def limited(self) -> Progress:
        """The same with the last ``SESSIONS_MAX`` sessions alone."""
        last = list(self.sessions.items())[-SESSIONS_MAX:]
        return Progress(self.offset, self.topic_id, dict(last))


def to_text(progress: Mapping[Place, Progress]) -> str:
    """The value of the summary's property."""
    return json.dumps(
        {
            f"{topic}/{partition}": {
                "offset": each.offset,
                "topic_id": each.topic_id,
                "sessions": {str(session): seq for session, seq in each.sessions.items()},
            }
            for (topic, partition), each in sorted(progress.items())
        },
        separators=(",", ":"),
    )


def from_text(text: str) -> dict[Place, Progress]:
    """The inverse of ``to_text``."""
    found: dict[Place, Progress] = {}
    for name, each in json.loads(text).items():
        topic, _, partition = name.rpartition("/")
        sessions = {int(session): seq for session, seq in each["sessions"].items()}
        found[topic, int(partition)] = Progress(each["offset"], each["topic_id"], sessions)
    return found


def progress_of(metadata: Any) -> dict[Place, Progress]:
    """The progress of a table (its metadata): of its current snapshot or the nearest ancestor."""
    snapshot = metadata.current_snapshot()
    while snapshot is not None:
        properties = snapshot.summary.additional_properties if snapshot.summary else {}
        if PROPERTY in properties:
            return from_text(properties[PROPERTY])
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else metadata.snapshot_by_id(parent)
    return {}
