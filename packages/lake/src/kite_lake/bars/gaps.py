"""Times in which ticks were lost, from the events of the feed (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_TYPES: Final = ("GAP_OPENED", "GAP_CLOSED", "LOSS")


@dataclass(frozen=True)
class Gap:
    """``tokens`` is empty where all instruments of the shard are meant. Times are epoch ns."""

    shard: int
    tokens: frozenset[int]
    from_ns: int
    to_ns: int


def gap_of(event: Mapping[str, Any]) -> tuple[str, Gap] | None:
    """The gap that an event tells of, with what identifies it; None for another event.

    A gap that is still open reaches to the time of its event.
    """
    if event["type"] not in _TYPES or event.get("from_ns") is None:
        return None
    shard = event["shard"] if event.get("shard") is not None else -1
    to_ns = event["to_ns"] if event.get("to_ns") is not None else event["ts_ns"]
    key = event.get("gap_id") or f"{shard}-{event['from_ns']}-{event['type']}"
    return key, Gap(shard, frozenset(event.get("tokens") or ()), event["from_ns"], to_ns)
