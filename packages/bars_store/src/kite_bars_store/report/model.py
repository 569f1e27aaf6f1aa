"""What a report shows, as counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_bars_store.bars import Conflict, Flag, MergeRules, RestatedStretch, Verdict
from kite_bars_store.bars.carried_opens import CarriedOpens
from kite_bars_store.bars.findings import Group
from kite_bars_store.bars.missing.missing import CAUSES, UNEXPLAINED, Cause, Missing

PRICE_EDGES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Classes of a conflict's largest price difference, in basis points."""
VOLUME_EDGES: Final = (100, 200, 500, 1_000, 2_500, 5_000)
"""Classes of its volume difference, in basis points of the larger volume."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Report:
    """Golden minutes of some instruments and days.

    ``bars`` and ``conflicts`` count golden bars, int64 [instrument, day], in the order of
    ``missing``. ``sizes`` are (class of the price difference, of the volume difference, conflicts)
    as `BarSurvey.conflict_sizes` gives them for the edges above; ``largest`` has indices of
    instruments; ``findings`` are of all kinds that are listed without being asked for; ``opens``
    counts those that differ. ``closed`` is why a day without any session has none.
    """

    missing: Missing
    bars: Counts
    conflicts: Counts
    verdicts: Mapping[Verdict, int]
    flags: Mapping[Flag, int]
    sizes: Sequence[tuple[int, int, int]]
    largest: Sequence[Conflict]
    findings: Sequence[Group]
    opens: CarriedOpens
    revisions: Sequence[RestatedStretch]
    closed: Mapping[date, str]
    rules: MergeRules

    @property
    def symbols(self) -> list[str]:
        return [each.name for each in self.missing.watched]

    @property
    def days(self) -> Sequence[date]:
        return self.missing.days

    @property
    def compared(self) -> int:
        """Bars that two sources have."""
        return sum(
            count
            for verdict, count in self.verdicts.items()
            if verdict.is_conflict or verdict in (Verdict.AGREED, Verdict.WITHIN_TOLERANCE)
        )

    @property
    def conflict_count(self) -> int:
        return int(self.conflicts.sum())

    @property
    def has_findings(self) -> bool:
        """Whether anything needs attention."""
        return bool(self.findings or self.revisions)

    def absent(self) -> Counts:
        """Minutes that should be there and are not, [instrument, day]."""
        wanted = [CAUSES.index(cause) for cause in (Cause.OUTAGE, *UNEXPLAINED)]
        found: Counts = self.missing.table()[:, :, wanted].sum(axis=2)
        return found
