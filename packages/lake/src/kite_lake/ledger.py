"""`verify`: a day's ticks against their own numbers, dead letters and gap events.

Each feed session numbers its packets from 0 without gaps. So what the archive has of a session on
a day must be each number from the first to the last once, but for packets that became dead letters
and for times that the feed itself announced as a gap or a loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_lake.catalog import Lake
from kite_lake.errors import NothingArchived
from kite_lake.filters import on_days, where
from kite_lake.tables import DEAD_LETTERS, FEED_EVENTS, TICKS, TRADING_DAY

Ints = npt.NDArray[np.int64]
SHARD_BITS: Final = 15
_FOREVER_NS: Final = 2**63 - 1
_GAPS: Final = ("GAP_OPENED", "GAP_CLOSED", "LOSS")


@dataclass
class Hole:
    """Numbers that are missing, both ends included, and the receive times of their neighbours."""

    first: int
    last: int
    before_ns: int = 0
    after_ns: int = _FOREVER_NS

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass
class SessionLedger:
    """What a day has of one feed session."""

    session: int
    first: int
    last: int
    rows: int
    repeats: int
    dead_letters: int = 0
    """Missing numbers that are dead letters."""
    in_gaps: int = 0
    """Missing numbers within a gap or a loss that the feed announced."""
    missing: list[Hole] = field(default_factory=list)
    """What nothing explains."""

    @property
    def shard(self) -> int:
        return self.session & SHARD_BITS

    @property
    def missing_count(self) -> int:
        return sum(hole.count for hole in self.missing)


@dataclass
class DayLedger:
    """The proof of one day."""

    day: date
    sessions: list[SessionLedger]

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.sessions)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is there twice and nothing is missing without a reason."""
        return not any(each.missing or each.repeats for each in self.sessions)


class _Seen:
    """Which numbers of a session were met; grows with the highest."""

    def __init__(self) -> None:
        self.flags = np.zeros(1 << 16, np.bool_)
        self.rows = self.distinct = 0
        self.last = -1

    def add(self, seqs: Ints) -> None:
        self.last = max(self.last, int(seqs.max()))
        if self.last >= len(self.flags):
            grown = np.zeros(max(2 * len(self.flags), self.last + 1), np.bool_)
            grown[: len(self.flags)] = self.flags
            self.flags = grown
        different = np.unique(seqs)
        self.distinct += int(np.count_nonzero(~self.flags[different]))
        self.flags[different] = True
        self.rows += len(seqs)

    def holes(self, first: int) -> list[Hole]:
        """Runs of numbers from ``first`` on that were not met."""
        absent = ~self.flags[first : self.last + 1]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], absent, [False])).astype(np.int8)))
        return [
            Hole(first + int(begin), first + int(end) - 1)
            for begin, end in zip(edges[::2], edges[1::2], strict=True)
        ]


def verify(lake: Lake, day: date) -> DayLedger:
    """The ledger of ``day``. Memory: a byte for each number of a session of that day.

    Raises NothingArchived for a day without ticks.
    """
    table = lake.existing(TICKS)
    seen: dict[int, _Seen] = {}
    if table is not None:
        with lake.explained():
            for sessions, seqs, _ in _numbers(table, where.EqualTo(TRADING_DAY, day.isoformat())):
                for session in np.unique(sessions).tolist():
                    seen.setdefault(session, _Seen()).add(seqs[sessions == session])
    if not seen:
        raise NothingArchived(f"no tick of {day} is archived in {lake.warehouse}")
    with lake.explained():
        found = [_of_session(lake, table, day, *each) for each in sorted(seen.items())]
    return DayLedger(day, found)


def _of_session(lake: Lake, table: Any, day: date, session: int, seen: _Seen) -> SessionLedger:
    first = int(np.argmax(seen.flags))
    ledger = SessionLedger(session, first, seen.last, seen.rows, seen.rows - seen.distinct)
    begins = 0
    if first:
        earlier = where.And(
            where.EqualTo("feed_session", session), where.LessThan(TRADING_DAY, day.isoformat())
        )
        begins = 1 + max((int(seqs.max()) for _, seqs, _ in _numbers(table, earlier)), default=-1)
    holes = seen.holes(begins)
    if not holes:
        return ledger
    holes, ledger.dead_letters = _without(holes, _dead_letters(lake, session))
    _time(table, day, session, holes)
    gaps = _gaps(lake, day, ledger.shard)
    for hole in holes:
        if any(begin <= hole.after_ns and hole.before_ns <= end for begin, end in gaps):
            ledger.in_gaps += hole.count
        else:
            ledger.missing.append(hole)
    return ledger


def _numbers(table: Any, chosen: Any) -> Iterator[tuple[Ints, Ints, Ints]]:
    names = ("feed_session", "feed_seq", "ts_recv_ns")
    for batch in table.scan(row_filter=chosen, selected_fields=names).to_arrow_batch_reader():
        if batch.num_rows:
            session, seq, ts_ns = (batch[name].to_numpy() for name in names)
            yield session, seq, ts_ns


def _dead_letters(lake: Lake, session: int) -> Ints:
    table = lake.existing(DEAD_LETTERS)
    if table is None:
        return np.zeros(0, np.int64)
    chosen = where.EqualTo("feed_session", session)
    rows = table.scan(row_filter=chosen, selected_fields=("feed_seq",)).to_arrow()
    numbers: Ints = np.unique(rows["feed_seq"].drop_null().to_numpy())
    return numbers


def _without(holes: list[Hole], known: Ints) -> tuple[list[Hole], int]:
    """The holes without the numbers of ``known``, and how many of them they had."""
    left, explained = [], 0
    for hole in holes:
        inside = known[(known >= hole.first) & (known <= hole.last)].tolist()
        explained += len(inside)
        begin = hole.first
        for number in [*inside, hole.last + 1]:
            if number > begin:
                left.append(Hole(begin, number - 1))
            begin = number + 1
    return left, explained


def _time(table: Any, day: date, session: int, holes: list[Hole]) -> None:
    """Note when the last tick before and the first one after each hole were received."""
    chosen = where.And(
        where.EqualTo("feed_session", session), where.LessThanOrEqual(TRADING_DAY, day.isoformat())
    )
    firsts = np.array([hole.first for hole in holes])
    lasts = np.array([hole.last for hole in holes])
    before, after = np.zeros(len(holes), np.int64), np.full(len(holes), _FOREVER_NS)
    for _, seqs, ts_ns in _numbers(table, chosen):
        # Holes are in order and apart: a tick is after those that end below it.
        behind = np.searchsorted(lasts, seqs) - 1
        np.minimum.at(after, behind[behind >= 0], ts_ns[behind >= 0])
        ahead = np.searchsorted(firsts, seqs)
        there = ahead < len(holes)
        np.maximum.at(before, ahead[there], ts_ns[there])
    for hole, before_ns, after_ns in zip(holes, before.tolist(), after.tolist(), strict=True):
        hole.before_ns, hole.after_ns = before_ns, after_ns


def _gaps(lake: Lake, day: date, shard: int) -> list[tuple[int, int]]:
    """The gaps and losses of a shard that were announced on the day or the one after it."""
    table = lake.existing(FEED_EVENTS)
    if table is None:
        return []
    chosen = where.And(
        on_days(str(day - timedelta(days=1)), str(day + timedelta(days=1))),
        where.And(where.EqualTo("shard", shard), where.In("type", _GAPS)),
    )
    names = ("type", "ts_ns", "from_ns", "to_ns", "gap_id", "cause")
    events = table.scan(row_filter=chosen, selected_fields=names).to_arrow().to_pylist()
    closed = {(each["gap_id"], each["from_ns"]) for each in events if each["type"] != "GAP_OPENED"}
    found = []
    for each in events:
        begin = each["from_ns"] if each["from_ns"] is not None else each["ts_ns"]
        if each["type"] == "GAP_OPENED":
            if (each["gap_id"], each["from_ns"]) not in closed:
                found.append((begin, _FOREVER_NS))
        else:
            found.append((begin, each["to_ns"] if each["to_ns"] is not None else each["ts_ns"]))
    return found
