"""The words in which a golden bar is explained; their numbers are in the tables. Pure."""

from __future__ import annotations

from enum import IntEnum, IntFlag


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

    @property
    def is_conflict(self) -> bool:
        return self >= Verdict.CONFLICT_BROKER_WON


class Flag(IntFlag):
    """What looks odd about a golden bar. A flag drops nothing."""

    OFF_TICK = 1
    JUMP = 2
    CUMULATIVE_VOLUME = 4
    FLAT = 8
    REVISION_RATIO = 16


class Field(IntFlag):
    """Bits of the columns ``differs`` and ``from_other``, in the order of `columns.VALUES`."""

    OPEN = 1
    HIGH = 2
    LOW = 4
    CLOSE = 8
    VOLUME = 16
    OI = 32
