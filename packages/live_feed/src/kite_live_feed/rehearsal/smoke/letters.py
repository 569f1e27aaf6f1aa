"""Where each dead letter of a smoke lies, the reason intended for it, and the reason it has.

What was intended comes from the fault script, not from the decoder: a test of triage can hold its
own findings against it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from kite_contracts.reasons import ReasonCode
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.errors import MalformedRecord
from kite_kafka_io.settings import KafkaSettings

Identity = tuple[str | None, int | None, int | None]
"""A dead letter's own: (origin topic, origin offset, None), or (None, feed session, feed seq)."""


@dataclass(frozen=True, slots=True)
class SmokeLetter:
    """One dead letter in its topic; ``found`` is what its header says."""

    topic: str
    partition: int
    offset: int
    feed_session: int | None
    feed_seq: int | None
    intended: str
    found: str

    def line(self) -> dict[str, Any]:
        """As one JSON object."""
        return asdict(self)


def identity(letter: DeadLetter) -> Identity:
    """What tells the letter from the others of a run, wherever it lies."""
    if letter.origin_topic is not None:
        return letter.origin_topic, letter.origin_offset, None
    return None, letter.feed_session, letter.feed_seq


def read_letters(
    kafka: KafkaSettings, topic: str, since: dict[int, int], intended: dict[Identity, ReasonCode]
) -> list[SmokeLetter]:
    """The letters of ``intended`` in ``topic`` since these offsets; others are passed over.

    A letter that was sent twice after a restart is there twice.
    """
    found: list[SmokeLetter] = []
    with RecordReader(kafka, [topic], from_offsets=since, until_end=True) as records:
        for record in records:
            try:
                letter = record.dead_letter()
            except MalformedRecord:
                continue
            code = intended.get(identity(letter))
            if code is not None:
                found.append(
                    SmokeLetter(
                        record.topic,
                        record.partition,
                        record.offset,
                        letter.feed_session,
                        letter.feed_seq,
                        str(code),
                        letter.reason,
                    )
                )
    return sorted(found, key=lambda each: (each.topic, each.partition, each.offset))


def letter_problems(letters: Iterable[SmokeLetter], intended: int) -> list[str]:
    """Every letter whose reason is another, and how many of ``intended`` ones are missing."""
    chosen = list(letters)
    wrong = [
        f"{each.topic}/{each.partition} offset {each.offset} has the reason {each.found}, "
        f"but the fault script means {each.intended}"
        for each in chosen
        if each.found != each.intended
    ]
    if len(chosen) < intended:
        wrong.append(f"dead letters found: {len(chosen)}, but the fault script causes {intended}")
    return wrong
