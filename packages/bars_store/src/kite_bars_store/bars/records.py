"""What the store of bars answers with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import Final

from kite_bars_store.bars.columns import BarInstrument
from kite_bars_store.bars.screening import Refusal


class Role(IntEnum):
    """What a source is; verdicts speak of roles."""

    BROKER = 0
    VENDOR = 1
    LIVE = 2


class Verdict(IntEnum):
    """Why a golden bar is as it is; the table bar_verdict holds the same and what each means."""

    AGREED = 1
    WITHIN_TOLERANCE = 2
    AGREED_NO_TRADE = 3
    HEALED = 4
    BROKER_ONLY = 5
    VENDOR_ONLY = 6
    LIVE_ONLY = 7
    CONFLICT_BROKER_WON = 8
    CONFLICT_VENDOR_WON = 9
    CONFLICT_LIVE_WON = 10
    VOLUME_REPLACED = 11

    @property
    def is_conflict(self) -> bool:
        """Whether the two differ by more than the rules allow."""
        return self >= Verdict.CONFLICT_BROKER_WON


class Flag(IntFlag):
    """What looks odd about a golden bar. A flag drops nothing."""

    OFF_TICK = 1
    JUMP = 2
    CUMULATIVE_VOLUME = 4
    FLAT = 8
    REVISION_RATIO = 16
    UNVERIFIED_HOURS = 32


NEEDS_A_LOOK: Final = (Flag.CUMULATIVE_VOLUME, Flag.UNVERIFIED_HOURS)
"""Flags of bars that may be wrong as a whole, not odd alone: a run with one ends with findings."""


class Field(IntFlag):
    """Bits of the columns ``differs`` and ``from_other``, in the order of `columns.VALUES`."""

    OPEN = 1
    HIGH = 2
    LOW = 4
    CLOSE = 8
    VOLUME = 16
    OI = 32


@dataclass(frozen=True)
class Mark:
    """How far the record of bars had come: the last batch, and how many had revised a bar."""

    batch_id: int
    recorded_at: datetime
    revisions: int


@dataclass(frozen=True)
class BatchResult:
    """One source's bars of one chunk. ``batch_id`` is None when nothing was written, because the
    very same bars were recorded before."""

    source: str
    month: date
    batch_id: int | None
    added: int
    revised: int
    unchanged: int
    revisions: int


@dataclass(frozen=True)
class GoldenCount:
    """What happened to golden bars. Verdicts and flags are of the bars looked at again: all of the
    days in which an observation was appended. ``outside`` the session: never golden."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    outside: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    flags: Counter[Flag] = field(default_factory=Counter)

    @property
    def written(self) -> int:
        return self.inserted + self.updated + self.deleted

    def __add__(self, other: GoldenCount) -> GoldenCount:
        return GoldenCount(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.outside + other.outside,
            self.verdicts + other.verdicts,
            self.flags + other.flags,
        )


@dataclass(frozen=True)
class RefusedRow:
    """A bar that was not kept; ``row`` is its position in the columns of its source."""

    source: str
    interval: str
    row: int
    reason: Refusal


@dataclass(frozen=True)
class MergeResult:
    """``repeated``: bars that were handed over more than once with the same values."""

    batches: tuple[BatchResult, ...]
    golden: GoldenCount
    refused: tuple[RefusedRow, ...]
    repeated: int

    @property
    def appended(self) -> int:
        """Observations written."""
        return sum(each.added + each.revised for each in self.batches)

    @property
    def unchanged(self) -> int:
        return sum(each.unchanged for each in self.batches)


@dataclass(frozen=True)
class Observation:
    """One observation of a bar by a source, and when. Prices are times ``10**price_scale``;
    ``file_name`` is None for a download."""

    source: str
    batch_id: int
    recorded_at: datetime
    purpose: str
    open: int
    high: int
    low: int
    close: int
    volume: int
    oi: int | None
    price_scale: int
    tick_size: int
    file_name: str | None


@dataclass(frozen=True)
class GoldenBar:
    """One golden bar, explained."""

    ts_open: datetime
    open: int
    high: int
    low: int
    close: int
    volume: int
    oi: int | None
    price_scale: int
    verdict: Verdict
    flags: Flag
    differs: Field
    from_other: Field
    batch_id: int
    other_batch_id: int | None


@dataclass(frozen=True)
class BarStory:
    """All about one bar: what was observed, by batch, and the golden bar, if there is one."""

    instrument: BarInstrument
    observations: tuple[Observation, ...]
    golden: GoldenBar | None


@dataclass(frozen=True)
class RestatedStretch:
    """A revision by one ratio; ``accepted`` is None until it is decided."""

    batch_id: int
    exchange: str
    tradingsymbol: str
    source: str
    minutes: int
    first_open: datetime
    last_open: datetime
    bars: int
    ratio: Decimal
    recorded_at: datetime
    accepted: bool | None
    who: str | None
    note: str | None


@dataclass(frozen=True)
class Gap:
    """An outage of the live feed; ``state`` is opened, closed or healed, ``to_ts`` None while it
    lasts. ``tokens`` empty: all of the shard."""

    gap_id: str
    state: str
    feed: str
    shard: int
    tokens: tuple[int, ...]
    from_ts: datetime
    to_ts: datetime | None
    cause: str
    happened_at: datetime
