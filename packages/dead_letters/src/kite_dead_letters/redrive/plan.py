"""What would become of one failure, and why: the whole decision (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from kite_bars_store.failures import Entry, Failure, FailureRecord, Headers, Run, Status
from kite_bars_store.failures.ledger import redrive_id
from kite_dead_letters.defaults import ATTEMPTS_MAX, STALE_AFTER_S
from kite_dead_letters.dialects import TABLE, Table
from kite_dead_letters.redrive.corrections import TICK, Change, Corrected, Corrector, Unfit, key_of
from kite_dead_letters.redrive.targets import Target, Targets
from kite_kafka_io.redrives import ATTEMPT, FIRST_FAILURE_NS, REDRIVE_ID, REDRIVEN_FROM

_NS_PER_S: Final = 1_000_000_000
_ERROR_PREFIXES: Final = (
    b"dlq.",
    b"__connect.errors.",
    b"kafka_dlt-",
    b"__streams.errors.",
    b"__dlq.errors.",
    b"retry_topic-",
    b"MT-Fault-",
)
"""Beside the headers that the dialects know: a consumer that finds the count of a retry mechanism
would skip its own retries."""


class Action(StrEnum):
    """What is done with a failure."""

    REDRIVE = "redrive"
    REPAIR = "repair"
    QUARANTINE = "quarantine"
    REFUSE = "refuse"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Rules:
    """``attempts_max`` is the last try that goes to a target; the one after is quarantined, as all
    are with 0: a person gives them up.

    ``stale_after_s`` is the age at which a tick is too old for the live topic.
    """

    attempts_max: int = ATTEMPTS_MAX
    stale_after_s: float = STALE_AFTER_S


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one failure. ``why`` is one sentence for a person."""

    failure: Failure
    action: Action
    why: str
    target: str | None = None
    attempt: int = 0
    corrected: Corrected | None = None
    stripped: tuple[str, ...] = ()
    """Headers that are left out: they say why it failed, or would end the consumer's retries."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the transform changes."""
        return self.corrected.changes if self.corrected is not None else ()


@dataclass(frozen=True)
class Planner:
    """Decides for each failure by allow-list, attempts, contract and age."""

    targets: Targets
    corrector: Corrector = field(default_factory=Corrector)
    rules: Rules = field(default_factory=Rules)
    table: Table = TABLE

    def step(self, failure: Failure, sent: int, now_ns: int) -> Step:
        """``sent`` is how often it was sent already, by the ledger; the time is epoch ns."""
        record = failure.record
        attempt = record.attempt + sent + 1
        if failure.status is not Status.OPEN:
            why = f"it is {failure.status}; reopen it to redrive it"
            return Step(failure, Action.SKIP, why)
        target = self.targets.find(record)
        if isinstance(target, str):
            return Step(failure, Action.REFUSE, target)
        if attempt > self.rules.attempts_max:
            return self._quarantined(failure, target, attempt)
        try:
            corrected = self.corrector.correct(record, target.subject)
        except Unfit as exc:
            return Step(failure, Action.REFUSE, str(exc))
        age_s = _age_s(corrected, now_ns)
        if age_s is None or age_s <= self.rules.stale_after_s:
            return Step(
                *(failure, Action.REDRIVE, target.why, target.topic, attempt, corrected),
                stripped=self._stripped(record),
            )
        old = f"it is {age_s:,.0f} s old, and {target.topic} takes what is at most "
        old += f"{self.rules.stale_after_s:g} s old"
        if target.repair is None:
            return Step(failure, Action.REFUSE, f"{old}; there is no repair topic")
        return Step(
            *(failure, Action.REPAIR, old, target.repair, attempt, corrected),
            stripped=self._stripped(record),
        )

    def _stripped(self, record: FailureRecord) -> tuple[str, ...]:
        """In their order, each once."""
        names = dict.fromkeys(name for name, _ in record.headers if self.leaves_out(name))
        return tuple(name.decode(errors="backslashreplace") for name in names)

    def leaves_out(self, name: bytes) -> bool:
        """Whether a redriven record goes without this header."""
        known = name.decode(errors="replace") in self.table.headers
        return known or name.startswith(_ERROR_PREFIXES)

    def entry(self, step: Step, run: Run, position: int) -> Entry:
        """The record to produce for a step that has a target. Raises Unfit."""
        assert step.target is not None
        record, corrected = step.failure.record, step.corrected
        identity = redrive_id(
            record.topic, record.topic_id, record.partition, record.offset, step.attempt
        )
        kind, key, value = "quarantined", record.key, record.value
        headers = list(record.headers)
        if corrected is not None:
            kind = "redriven"
            key = key_of(corrected.subject, corrected.record, record.key)
            value = self.corrector.encode(corrected.subject, _numbered(corrected, run, position))
            headers = [each for each in headers if not self.leaves_out(each[0])]
        return Entry(
            redrive_id=identity,
            failure_id=step.failure.failure_id,
            run_id=run.run_id,
            position=position,
            attempt=step.attempt,
            kind=kind,
            target=step.target,
            key=key,
            value=value,
            headers=headers + _headers(record, identity, step.attempt, corrected is not None),
        )

    def _quarantined(self, failure: Failure, target: Target, attempt: int) -> Step:
        why = f"it was tried {attempt - 1} times, and {self.rules.attempts_max} are allowed"
        if not self.rules.attempts_max:
            why = "it is given up"
        if target.quarantine is None:
            return Step(failure, Action.REFUSE, f"{why}; {target.topic} has no quarantine")
        if target.quarantine == failure.record.topic:
            return Step(failure, Action.REFUSE, f"{why}; it is in {target.quarantine} already")
        return Step(failure, Action.QUARANTINE, why, target.quarantine, attempt)


def _age_s(corrected: Corrected, now_ns: int) -> float | None:
    """How old a tick is, by when it was received; other records have no age."""
    if corrected.subject != TICK:
        return None
    received_ns: int = corrected.record["ts_recv_ns"]
    return (now_ns - received_ns) / _NS_PER_S


def _numbered(corrected: Corrected, run: Run, position: int) -> dict[str, Any]:
    """A tick comes under the run's feed session, where its number is above all before it.

    With its own number readers would drop it, because they have seen higher ones.
    """
    if corrected.subject != TICK:
        return corrected.record
    return {**corrected.record, "feed_session": run.feed_session, "feed_seq": position}


def _headers(record: FailureRecord, identity: bytes, attempt: int, redriven: bool) -> Headers:
    place = f"{record.topic}/{record.partition}/{record.offset}"
    added: dict[str, str] = {REDRIVE_ID: identity.hex(), REDRIVEN_FROM: place}
    if redriven:
        added[ATTEMPT] = str(attempt)
        if record.first_failure_ns is not None:
            added[FIRST_FAILURE_NS] = str(record.first_failure_ns)
    return [(name.encode(), text.encode()) for name, text in added.items()]
