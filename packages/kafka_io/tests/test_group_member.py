"""A group that shares out partitions: who gets what, notes for the next owner, and leaving."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest

from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.group import NOTE_BYTES_MAX, GroupMember
from kite_kafka_io.settings import KafkaSettings

DEADLINE_S = 40.0


class Owner:
    """A member that keeps what it is given, and leaves a note with what it loses."""

    def __init__(self, bootstrap: str, topic: str, group: str) -> None:
        self.name = uuid.uuid4().hex[:6]
        self.mine: set[int] = set()
        self.committed: list[bool] = []
        self.closing = False
        self.member = GroupMember(KafkaSettings(bootstrap=bootstrap), topic, group, self)

    def assigned(self, partitions: frozenset[int]) -> None:
        self.mine |= partitions

    def revoked(self, partitions: frozenset[int]) -> None:
        self.mine -= partitions
        if self.closing:
            return
        assert self.member.write_now({each: f"left by {self.name}" for each in partitions})

    def lost(self) -> None:
        self.mine.clear()


def drive(until: Callable[[], bool], *owners: Owner) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while not until():
        assert time.monotonic() < ends_s, [owner.mine for owner in owners]
        for owner in owners:
            owner.member.poll(0.02)


def test_partitions_are_shared_out_with_notes_for_the_next_owner(
    kafka_bootstrap: str, make_topic: Callable[[int], str]
) -> None:
    topic, group = make_topic(3), f"group-{uuid.uuid4().hex}"
    first = Owner(kafka_bootstrap, topic, group)
    drive(lambda: first.mine == {0, 1, 2}, first)
    assert first.member.partitions() == 3
    assert first.member.notes(range(3)) == {}
    first.member.write({0: "zero", 2: "two"}, first.committed.append)
    drive(lambda: not first.member.writing, first)
    assert first.committed == [True]
    assert first.member.notes(range(3)) == {0: "zero", 2: "two"}

    second = Owner(kafka_bootstrap, topic, group)
    drive(lambda: bool(second.mine), first, second)
    assert first.mine | second.mine == {0, 1, 2}
    assert not first.mine & second.mine
    moved = min(second.mine)
    assert second.member.notes([moved]) == {moved: f"left by {first.name}"}

    first.member.write({each: "the end" for each in first.mine}, first.committed.append)
    drive(lambda: not first.member.writing, first)
    left, first.closing = set(first.mine), True
    first.member.close()  # nobody waits for a timeout
    began_s = time.monotonic()
    drive(lambda: second.mine == {0, 1, 2}, second)
    assert time.monotonic() - began_s < 6.0
    assert second.member.notes(left) == dict.fromkeys(left, "the end")
    second.member.close()


def test_a_note_has_a_limit_and_nobody_answers_without_a_broker() -> None:
    owner = Owner("127.0.0.1:9", "nowhere", "group")
    with pytest.raises(ValueError, match="above 4096 bytes"):
        owner.member.write({0: "x" * (NOTE_BYTES_MAX + 1)}, owner.committed.append)
    with pytest.raises(BrokerUnreachable):
        owner.member.notes([0], timeout_s=0.2)
    with pytest.raises(BrokerUnreachable):
        owner.member.partitions(timeout_s=0.2)
    owner.member.close()
