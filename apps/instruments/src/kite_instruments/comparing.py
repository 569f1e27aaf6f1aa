"""Two masters to compare: two days of the history, or two files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.instruments import Changes, InstrumentStore, diff
from kite_broker_zerodha.errors import NotADump
from kite_broker_zerodha.instrument_dump import parse
from kite_instruments.errors import DumpRefused
from kite_instruments.fetching import read_file
from kite_instruments.shown import instrument
from kite_runtime.errors import NotFound, UsageError

KINDS: Final = ("added", "expired", "removed", "renamed", "moved", "reused", "changed")
_PAIRS: Final = frozenset({"renamed", "moved", "reused", "changed"})


@dataclass(frozen=True)
class Compared:
    """Two masters of the same exchanges. ``left_out`` are those that only one of them has."""

    labels: tuple[str, str]
    changes: Changes
    left_out: tuple[str, ...]


def is_date(text: str) -> date | None:
    """The day that a text is, or None."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def compare_files(
    first: Path, second: Path, exchanges: Iterable[str], today: date
) -> tuple[Compared, int]:
    """Compare two dumps; also how many rows of both were refused.

    The later dump does not say its day. It holds no contract that had expired by then, so what is
    gone and ended before its earliest expiry counts as expired. Raises DumpRefused, InputUnusable.
    """
    dumps = []
    for path in (first, second):
        try:
            dumps.append(parse(read_file(path).data, today))
        except NotADump as error:
            raise DumpRefused(f"{path} is refused: {error}") from error
    before, after = dumps
    earliest = pc.min(after.table["expiry"]).as_py()
    compared = _compare(
        (str(first), str(second)), before.table, after.table, exchanges, earliest or today
    )
    return compared, len(before.refused) + len(after.refused)


def compare_days(
    store: InstrumentStore, first: date, second: date, exchanges: Iterable[str]
) -> Compared:
    """Compare the masters of two days. Raises UsageError and NotFound."""
    if first >= second:
        raise UsageError(f"{first} is not before {second}: give the earlier day first")
    before, after = store.at(first), store.at(second)
    for day, master in ((first, before), (second, after)):
        if not master.num_rows:
            raise NotFound(f"no dump holds on {day}: `instruments days` lists what there is")
    return _compare((str(first), str(second)), before, after, exchanges, second)


def last_two_days(store: InstrumentStore) -> tuple[date, date]:
    """The two newest days with a dump. Raises NotFound."""
    days = sorted({batch.observed_on for batch in store.days()})
    if len(days) < 2:
        raise NotFound(
            f"the history has {len(days)} of the two days that a diff needs: run `instruments "
            "sync` on another day, or compare two files"
        )
    return days[-2], days[-1]


def lines(changes: Changes, kinds: Iterable[str]) -> list[dict[str, Any]]:
    """The changes of these kinds as flat rows, in the order of `KINDS`."""
    wanted = set(kinds)
    found: list[dict[str, Any]] = []
    for kind in KINDS:
        if kind in wanted:
            found += (_line(kind, row) for row in getattr(changes, kind).to_pylist())
    return found


def _line(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    if kind not in _PAIRS:
        return {"kind": kind, **instrument(row), "differs": [], "before": None}
    before = instrument(row, "_before")
    now = instrument(row)
    differs = [name for name in now if now[name] != before[name]]
    return {"kind": kind, **now, "differs": differs, "before": {n: before[n] for n in differs}}


def _compare(
    labels: tuple[str, str],
    before: pa.Table,
    after: pa.Table,
    exchanges: Iterable[str],
    day: date,
) -> Compared:
    mine, theirs = (set(pc.unique(each["exchange"]).to_pylist()) for each in (before, after))
    wanted = set(exchanges)
    unknown = wanted - mine - theirs
    if unknown:
        raise NotFound(
            f"neither has {' or '.join(sorted(unknown))}; they have "
            f"{', '.join(sorted(mine | theirs))}"
        )
    common = wanted or mine & theirs
    if not common:
        raise NotFound(
            f"they have no exchange in common: {', '.join(sorted(mine))} and "
            f"{', '.join(sorted(theirs))}"
        )
    chosen = pa.array(sorted(common), pa.string())
    changes = diff(
        before.filter(pc.is_in(before["exchange"], chosen)),
        after.filter(pc.is_in(after["exchange"], chosen)),
        day=day,
    )
    left_out = () if wanted else tuple(sorted(mine ^ theirs))
    return Compared(labels, changes, left_out)
