"""The silences of the live feed: which were there, which still lack their bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kite_bars_store.bars.records import Gap
from kite_bars_store.bars.sql import statement
from kite_bars_store.database import Connection, transaction

STATES: Final = ("opened", "closed", "healed")


class GapLedger:
    """Appends what happens to gaps. Raises what `BarStore` raises; each call is one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, gap: Gap, *, batch_ids: Sequence[int] = ()) -> bool:
        """Note a state of a gap; False when it was noted before, as events may come twice.

        ``batch_ids`` are the batches with the bars of a healed one. Raises ValueError for a state
        that is none, or an end that is missing or there too early.
        """
        if gap.state not in STATES:
            raise ValueError(f"a gap is never {gap.state!r}: take one of {', '.join(STATES)}")
        if (gap.to_ts is None) != (gap.state == "opened"):
            raise ValueError("a gap has an end when it is closed or healed, and not before")
        params = {
            **vars(gap),
            "tokens": list(gap.tokens),
            "batch_ids": list(batch_ids),
        }
        with transaction(self._connection, "noting a gap") as cursor:
            return cursor.execute(statement("record_gap"), params).rowcount == 1

    def unhealed(self) -> list[Gap]:
        """Gaps whose bars were not fetched yet, by their beginning; closed ones have an end."""
        with transaction(self._connection, "looking for gaps") as cursor:
            rows = cursor.execute(statement("open_gaps")).fetchall()
        return [_gap(row) for row in rows]


def _gap(row: tuple[Any, ...]) -> Gap:
    values = list(row)
    values[4] = tuple(row[4])
    return Gap(*values)
