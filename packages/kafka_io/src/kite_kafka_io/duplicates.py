"""Drops ticks that were published twice, by their numbers; redriven records: ``redrives`` (pure).

After a crash or a failed producer the bridge publishes again from its journal, with the numbers
that the ticks had the first time. Within a partition the numbers of a feed session rise, so a tick
whose number is not above the highest one seen is a repeat.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SESSIONS_MAX: Final = 4096


class DuplicateFilter:
    """Remembers the highest ``feed_seq`` of each (partition, feed session).

    Keeps ``sessions_max`` of those pairs, and forgets the one that was met longest ago. ``dropped``
    counts the repeats. One filter serves one topic. ``known`` is what an earlier filter knew.
    """

    def __init__(
        self,
        sessions_max: int = SESSIONS_MAX,
        known: Mapping[tuple[int, int], int] | None = None,
    ) -> None:
        if sessions_max < 1:
            raise ValueError(f"sessions_max must be at least 1, not {sessions_max}")
        self.dropped = 0
        self._sessions_max = sessions_max
        self._highest: OrderedDict[tuple[int, int], int] = OrderedDict(known or {})

    @property
    def known(self) -> dict[tuple[int, int], int]:
        """(partition, feed session) → highest number, the one met last at the end."""
        return dict(self._highest)

    def fresh(self, partitions: Ints, sessions: Ints, seqs: Ints) -> Mask:
        """Which rows are no repeats, given rows in the order in which they were read."""
        mask = np.ones(len(seqs), np.bool_)
        for partition in _distinct(partitions):
            rows = np.flatnonzero(partitions == partition)
            of_rows = sessions[rows]
            for session in _distinct(of_rows):
                chosen = rows[of_rows == session]
                mask[chosen] = self._rising((partition, session), seqs[chosen])
        self.dropped += len(mask) - int(np.count_nonzero(mask))
        return mask

    def _rising(self, pair: tuple[int, int], seqs: Ints) -> Mask:
        peaks = np.maximum.accumulate(seqs)
        rises = np.ones(len(seqs), np.bool_)
        rises[1:] = seqs[1:] > peaks[:-1]
        highest = self._highest.get(pair)
        if highest is not None:
            rises &= seqs > highest
        peak = int(peaks[-1])
        self._highest[pair] = peak if highest is None else max(peak, highest)
        self._highest.move_to_end(pair)
        while len(self._highest) > self._sessions_max:
            self._highest.popitem(last=False)
        return rises


def _distinct(column: Ints) -> list[int]:
    """The values of a column, each once. Mostly there is one, which is seen without a hash."""
    if len(column) and (column == column[0]).all():
        return [int(column[0])]
    return [int(value) for value in np.unique(column).tolist()]
