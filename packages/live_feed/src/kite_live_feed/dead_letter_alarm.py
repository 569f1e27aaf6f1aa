"""Reports when too much of the feed becomes dead letters, and when that is over.

It checks what Kafka has acknowledged, once a second, and only reports: a feed event,
a line in the log, a metric and a line of ``/readyz``. Nothing is dropped or held back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from kite_kafka_io.breaker import Breaker, BreakerLimits, BreakerState
from kite_live_feed.counters import Counters

NS: Final = 1_000_000_000

Report = Callable[[bool, BreakerState, int], None]
"""(on or off, how things stand, since when in epoch ns)"""


class DeadLetterWatch:
    """``report`` is called once when the alarm goes on and once when it goes off."""

    def __init__(self, limits: BreakerLimits, counters: Counters, report: Report) -> None:
        self._breaker = Breaker(limits)
        self._counters = counters
        self._report = report
        self._ticks = counters.ticks_acked
        self._dead = Counter(counters.dead_letters)
        self._since_ns = 0

    @property
    def problem(self) -> str | None:
        if not self._breaker.open:
            return None
        return f"{self._breaker.state()}; `dlq_triage --topic ticks.dlq` shows more"

    def look(self, now_s: float, now_ns: int) -> None:
        counters = self._counters
        good, self._ticks = counters.ticks_acked - self._ticks, counters.ticks_acked
        before, self._dead = self._dead, Counter(counters.dead_letters)
        changed = self._breaker.add(good, self._dead - before, now_s)
        state, is_open = self._breaker.state(), self._breaker.open
        counters.dead_letter_alarm = is_open
        counters.dead_letter_share = state.share
        if not changed:
            return
        if is_open:
            self._since_ns = now_ns - int(self._breaker.limits.window_s * NS)
        self._report(is_open, state, self._since_ns)
