"""How late ticks came, by segment and hour, and what that says about this host's clock.

Exchange times are whole seconds, so a tick that came at once has a delay between 0 and 1 s here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from kite_contracts.tick_batch import ABSENT

Ints = npt.NDArray[np.int64]

STEP_MS: Final = 100
BUCKETS_S: Final = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0, 600.0)
"""Of the metric; below 0 a tick came before it was sent."""
AHEAD_S: Final = 2.0
BEHIND_S: Final = 0.5
"""A clock further off than these is a finding: what comes late may be the feed's, but nothing comes
before it was sent."""

_IST_NS: Final = 19_800 * 10**9
_HOUR_NS: Final = 3600 * 10**9


@dataclass
class Spread:
    """The delays of one segment in one hour: how many ticks had each, in steps of ``STEP_MS``."""

    steps: Counter[int] = field(default_factory=Counter)

    @property
    def ticks(self) -> int:
        return self.steps.total()

    def quantile_s(self, share: float) -> float:
        """Seconds; of no more than ``share`` of the ticks the delay is less."""
        left = share * (self.ticks - 1)
        for step, count in sorted(self.steps.items()):
            left -= count
            if left < 0:
                return step * STEP_MS / 1000
        raise ValueError("no tick has an exchange time")

    def count(self, delay_ns: Ints) -> None:
        steps, counts = np.unique(delay_ns // (STEP_MS * 10**6), return_counts=True)
        self.steps.update(dict(zip(steps.tolist(), counts.tolist(), strict=True)))

    def buckets(self) -> list[tuple[str, float]]:
        """Prometheus's cumulative buckets; another thread may count meanwhile."""
        steps = self.steps.copy()
        bounds = [
            (str(bound), sum(n for step, n in steps.items() if step * STEP_MS < bound * 1000))
            for bound in BUCKETS_S
        ]
        return [*bounds, ("+Inf", steps.total())]

    @property
    def sum_s(self) -> float:
        return sum(step * STEP_MS / 1000 * count for step, count in self.steps.copy().items())


def delays(batches: pa.RecordBatchReader) -> dict[tuple[int, int], Spread]:
    """The spreads by segment (the low byte of the token) and hour of the day (IST).

    ``batches`` have ``instrument_token``, ``ts_recv`` and ``ts_event``; ticks without an exchange
    time are left out.
    """
    found: dict[tuple[int, int], Spread] = {}
    for batch in batches:
        rows = batch.filter(batch["ts_event"].is_valid())
        received, event, token = (
            rows[name].cast(pa.int64()).to_numpy()
            for name in ("ts_recv", "ts_event", "instrument_token")
        )
        keys = (token & 0xFF) * 24 + (received + _IST_NS) // _HOUR_NS % 24
        for key in np.unique(keys).tolist():
            spread = found.setdefault(divmod(key, 24), Spread())
            spread.count((received - event)[keys == key])
    return found


def count_segments(
    found: dict[int, Spread], token: Ints, received_ns: Ints, event_ns: Ints
) -> None:
    """Add ticks to the spreads of their segments; an absent exchange time is ``ABSENT``."""
    has_time = event_ns != ABSENT
    segments, delay_ns = (token & 0xFF)[has_time], (received_ns - event_ns)[has_time]
    for segment in np.unique(segments).tolist():
        found.setdefault(segment, Spread()).count(delay_ns[segments == segment])


def clock_error_s(spreads: dict[tuple[int, int], Spread]) -> float:
    """How far this host's clock is ahead of the exchange's, in seconds; 0.0 where that is usual.

    No tick comes before it was sent, and the quickest of each hour come at once: the hour whose
    quickest hundredth is the quickest tells the clock. A feed that is late all day looks the same.
    """
    quickest = min((each.quantile_s(0.01) for each in spreads.values()), default=0.0)
    return quickest if quickest < -BEHIND_S or quickest > AHEAD_S else 0.0
