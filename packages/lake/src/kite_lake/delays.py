"""How late ticks came, by segment and hour, and what that says about this host's clock.

Exchange times are whole seconds, so a tick that came at once has a delay between 0 and 1 s here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

STEP_MS: Final = 100
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
        keys = np.stack(
            [
                token & 0xFF,
                (received + _IST_NS) // _HOUR_NS % 24,
                (received - event) // (STEP_MS * 10**6),
            ]
        )
        different, counts = np.unique(keys, axis=1, return_counts=True)
        for (segment, hour, step), count in zip(different.T.tolist(), counts.tolist(), strict=True):
            found.setdefault((segment, hour), Spread()).steps[step] += count
    return found


def clock_error_s(spreads: dict[tuple[int, int], Spread]) -> float:
    """How far this host's clock is ahead of the exchange's, in seconds; 0.0 where that is usual.

    No tick comes before it was sent, and the quickest of each hour come at once: the hour whose
    quickest hundredth is the quickest tells the clock. A feed that is late all day looks the same.
    """
    quickest = min((each.quantile_s(0.01) for each in spreads.values()), default=0.0)
    return quickest if quickest < -BEHIND_S or quickest > AHEAD_S else 0.0
