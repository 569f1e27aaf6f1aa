"""What goes into the store of dead letters and what comes out, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

Headers = list[tuple[bytes, bytes | None]]

NO_TOPIC_ID: Final = UUID(int=0)
"""For a broker that has no topic ids."""
NEIGHBOURS: Final = 3
GROUPS_MAX: Final = 1000
ASSIGNEE_LENGTH_MAX: Final = 200


class Status(StrEnum):
    """How a failure stands."""

    OPEN = "open"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    REDRIVEN = "redriven"
    QUARANTINED = "quarantined"


class Decision(StrEnum):
    """Decisions about failures."""

    RESOLVE = "resolve"
    IGNORE = "ignore"
    REOPEN = "reopen"
    ASSIGN = "assign"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """A dead letter as it lies in Kafka, and what it was taken for.

    Numbers that no bigint holds are stored as null, and NUL characters of texts as U+FFFD: the
    headers keep what was there. `topic_id` tells a topic from an earlier one of the same name.
    """

    topic: str
    partition: int
    offset: int
    ts_ns: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    dialect: str
    reason: str
    reason_source: str
    message: str
    fingerprint: str
    topic_id: UUID = NO_TOPIC_ID
    error_path: str | None = None
    exception: str | None = None
    component: str | None = None
    origin_topic: str | None = None
    origin_partition: int | None = None
    origin_offset: int | None = None
    feed_session: int | None = None
    feed_seq: int | None = None
    contract: str | None = None
    unit: str | None = None
    attempt: int = 1
    first_failure_ns: int | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """What `FailureStore.record` did: each record given is one or the other."""

    stored: int
    already_there: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One stored dead letter and how it stands."""

    failure_id: int
    record: FailureRecord
    seen_at: datetime
    stored_at: datetime
    status: Status
    assignee: str


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of a list of failures. ``value_bytes`` is None for a null value."""

    failure_id: int
    topic: str
    partition: int
    offset: int
    reason: str
    message: str
    error_path: str | None
    origin_topic: str | None
    attempt: int
    fingerprint: str
    value_bytes: int | None
    seen_at: datetime
    status: Status
    assignee: str


@dataclass(frozen=True, slots=True)
class Group:
    """The failures of one fingerprint; reason, message and origin are those of the first one."""

    fingerprint: str
    reason: str
    message: str
    error_path: str | None
    origin_topic: str | None
    contract: str | None
    topics: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    sample_id: int
    last_id: int
    total: int
    open: int
    resolved: int
    ignored: int
    redriven: int
    quarantined: int
    assignees: tuple[str, ...]

    @property
    def place(self) -> GroupPlace:
        """Its place in the list of groups."""
        return GroupPlace(self.open, self.last_seen, self.fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFilter:
    """Which groups; None is any.

    ``status`` keeps groups that have such a failure, ``since`` and ``until`` (exclusive) those that
    were seen in that time, as far as first and last time show, ``text`` those whose message has it,
    in capitals or not.
    """

    reason: str | None = None
    topic: str | None = None
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class GroupPlace:
    """Where a group stands in the list of groups: the next page begins behind it."""

    open: int
    last_seen: datetime
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which failures: all that fit every condition given; None is any.

    ``since`` and ``until`` (exclusive) are about `seen_at`. ``up_to`` is the highest id, so that a
    selection does not grow while it is worked on.
    """

    ids: tuple[int, ...] | None = None
    fingerprint: str | None = None
    reasons: tuple[str, ...] | None = None
    topic: str | None = None
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None
    up_to: int | None = None

    def params(self) -> dict[str, Any]:
        """Parameters of the condition in `statements.sql`."""
        given = asdict(self)
        for name in ("ids", "reasons"):
            given[name] = None if given[name] is None else list(given[name])
        return given


@dataclass(frozen=True, slots=True)
class Decided:
    """What `FailureStore.decide` did: failures that it changed, and that were so already."""

    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a failure's history. ``kind`` is a `Decision`, or ``redriven``, ``quarantined``
    or ``refused``."""

    event_id: int
    failure_id: int
    kind: str
    who: str
    note: str
    assignee: str | None
    redrive_id: bytes | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole at a glance. ``oldest_open`` is the `seen_at` of the oldest open failure."""

    by_status: Mapping[Status, int]
    open_by_reason: Mapping[str, int] = field(default_factory=dict)
    oldest_open: datetime | None = None

    @property
    def total(self) -> int:
        """Every failure stored."""
        return sum(self.by_status.values())

    def oldest_open_age(self, now: datetime) -> timedelta | None:
        """How long the oldest open failure has been waiting."""
        return None if self.oldest_open is None else now - self.oldest_open
