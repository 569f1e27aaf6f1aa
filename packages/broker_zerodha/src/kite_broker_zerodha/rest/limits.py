"""How fast Kite may be called: a slot for each call, evenly spaced. Pure: time is an argument.

Kite counts calls per API key. Everything in one process that uses the same key shares one ``Pace``;
what two processes do together Kite answers with HTTP 429, which the client retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from threading import Lock
from types import MappingProxyType
from typing import Final


class CallKind(StrEnum):
    """The kinds of calls that Kite counts apart."""

    QUOTE = "quote"
    HISTORICAL = "historical"
    OTHER = "other"


CALLS_A_SECOND: Final[Mapping[CallKind, float]] = MappingProxyType(
    {CallKind.QUOTE: 1.0, CallKind.HISTORICAL: 3.0, CallKind.OTHER: 10.0}
)
"""Source: "Rate limits" in the documentation of Kite Connect 3 and staff answers in its forum."""


class Pace:
    """Hands out slots. A call may start a whole interval after the one before it, and unused slots
    are not saved up: so no second, wherever it begins, has more calls than Kite allows."""

    def __init__(self, calls_a_second: Mapping[CallKind, float] = CALLS_A_SECOND) -> None:
        if any(rate <= 0 for rate in calls_a_second.values()):
            raise ValueError("a pace needs more than 0 calls a second of each kind")
        self._interval_s = {kind: 1.0 / rate for kind, rate in calls_a_second.items()}
        self._free_s = dict.fromkeys(calls_a_second, float("-inf"))
        self._lock = Lock()

    def reserve(self, kind: CallKind, now_s: float) -> float:
        """Take the next slot; how many seconds after ``now_s`` it is. Safe from many threads."""
        with self._lock:
            start_s = max(now_s, self._free_s[kind])
            self._free_s[kind] = start_s + self._interval_s[kind]
        return start_s - now_s
