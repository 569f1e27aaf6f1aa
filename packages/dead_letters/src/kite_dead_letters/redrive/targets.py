"""Where a dead letter may be sent: the allow-list, made from topics.toml (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from kite_bars_store.failures import FailureRecord
from kite_contracts.topics import TopicSpec

REPAIR: Final = ".repair"
QUARANTINE: Final = ".quarantine"


@dataclass(frozen=True, slots=True)
class Target:
    """A topic that may be written. ``repair`` takes what is too old for it, where there is one."""

    topic: str
    subject: str
    dlq: str
    quarantine: str | None
    repair: str | None
    why: str = ""
    """Why this failure may go there, in one sentence."""


class Targets:
    """The allow-list: topics of a contract that have a dead-letter topic, and are none themselves.

    ``topics`` are those of topics.toml, in its order.
    """

    def __init__(self, topics: Iterable[TopicSpec]) -> None:
        specs = list(topics)
        names = {spec.name for spec in specs}
        dead = {spec.dlq for spec in specs}
        self._targets: dict[str, Target] = {}
        for spec in specs:
            if spec.dlq is None or spec.subject is None or spec.name in dead:
                continue
            base = spec.name.removesuffix(REPAIR)
            self._targets[spec.name] = Target(
                topic=spec.name,
                subject=spec.subject,
                dlq=spec.dlq,
                quarantine=_known(f"{base}{QUARANTINE}", names),
                repair=_known(f"{base}{REPAIR}", names),
            )

    @property
    def names(self) -> list[str]:
        """The topics of the allow-list."""
        return list(self._targets)

    @property
    def subjects(self) -> dict[str, str]:
        """Topic → the contract of what is sent there."""
        return {name: target.subject for name, target in self._targets.items()}

    def find(self, record: FailureRecord) -> Target | str:
        """Where the record belongs, or in one sentence why it may go nowhere.

        That is the topic that its headers name as the origin. What never was in Kafka belongs to
        the topic whose dead letters it lies with.
        """
        if record.origin_topic is not None:
            found = self._targets.get(record.origin_topic)
            if found is None:
                return (
                    f"its origin {record.origin_topic} is not on the allow-list "
                    f"({', '.join(self._targets)})"
                )
            return replace(found, why=f"{found.topic} is its origin and on the allow-list")
        for found in self._targets.values():
            if record.topic in (found.dlq, found.quarantine) and _fits(record, found):
                return replace(found, why=f"{record.topic} holds the dead letters of {found.topic}")
        return f"it names no origin, and {record.topic} is the dead-letter topic of none"


def _known(name: str, names: set[str]) -> str | None:
    return name if name in names else None


def _fits(record: FailureRecord, target: Target) -> bool:
    """Whether the contract that the record was held against is the target's, as far as is known."""
    subject = (record.contract or "").partition(".")[0]
    return not subject or subject == target.subject
