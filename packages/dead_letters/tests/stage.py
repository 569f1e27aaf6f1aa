"""Topics of a test's own with their allow-list, on the real Kafka, and dead letters for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from confluent_kafka.cimpl import NewTopic

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.testing.fuzzing import random_packet
from kite_contracts.topics import TopicSpec
from kite_dead_letters.redrive import Targets
from kite_devstack.databases import unique_name
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.settings import KafkaSettings

SECOND: Final = 1_000_000_000
PARTITIONS: Final = {"": 3, ".dlq": 2, ".repair": 1, ".quarantine": 1}


@dataclass(frozen=True)
class Stage:
    """The topics ``live``, ``live.dlq``, ``live.repair`` and ``live.quarantine``."""

    settings: KafkaSettings
    live: str

    @property
    def dlq(self) -> str:
        return f"{self.live}.dlq"

    @property
    def repair(self) -> str:
        return f"{self.live}.repair"

    @property
    def quarantine(self) -> str:
        return f"{self.live}.quarantine"

    @property
    def topics_toml(self) -> str:
        """The allow-list as a file."""
        return "\n".join(
            f'[[topic]]\nname = "{spec.name}"\nkey = "k"\npartitions = {spec.partitions}\n'
            f'retention_ms = -1\ncleanup_policy = "delete"\nowner = "tests"\n'
            + (f'dlq = "{spec.dlq}"\nsubject = "{spec.subject}"\n' if spec.dlq else "")
            for spec in self.specs()
        )

    def specs(self) -> list[TopicSpec]:
        dlqs = {self.live: self.dlq, self.repair: self.quarantine}
        return [
            TopicSpec(
                name=f"{self.live}{suffix}",
                partitions=count,
                retention_ms=-1,
                cleanup_policy="delete",
                owner="tests",
                key="k",
                dlq=dlqs.get(f"{self.live}{suffix}"),
                subject="tick" if f"{self.live}{suffix}" in dlqs else None,
            )
            for suffix, count in PARTITIONS.items()
        ]

    def targets(self) -> Targets:
        return Targets(self.specs())

    def dead(self, letters: list[DeadLetter], topic: str | None = None) -> None:
        """Write dead letters and wait for the broker."""
        producer, delivery = RecordProducer(self.settings), Delivery()
        for letter in letters:
            producer.produce_dead(letter, delivery, topic=topic or self.dlq)
        assert producer.flush(60) == 0
        assert delivery.ok
        producer.close()

    def limit(self, topic: str, size: int) -> None:
        """Have the broker refuse what is above ``size`` bytes."""
        entry = ConfigEntry(
            "max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.settings.bootstrap})
        for answer in admin.incremental_alter_configs([resource]).values():
            answer.result(timeout=30)

    def read(self, topic: str) -> list[RawRecord]:
        """All records of a topic."""
        return read_all(self.settings, topic)


def read_all(settings: KafkaSettings, topic: str) -> list[RawRecord]:
    """All records of a topic, by partition and offset."""
    found: list[RawRecord] = []
    with RawReader(settings, [topic]) as reader:
        while not reader.finished:
            found += reader.read(1.0)
    return sorted(found, key=lambda each: (each.partition, each.offset))


@contextmanager
def open_stage(settings: KafkaSettings) -> Iterator[Stage]:
    """Make the topics; they end with the test."""
    stage = Stage(settings, unique_name())
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    new = [NewTopic(spec.name, spec.partitions, replication_factor=-1) for spec in stage.specs()]
    for answer in admin.create_topics(new).values():
        answer.result(timeout=30)
    wait_for_leaders(admin, [topic.topic for topic in new])
    yield stage
    for answer in admin.delete_topics([topic.topic for topic in new]).values():
        answer.result(timeout=30)


def wait_for_leaders(admin: AdminClient, names: list[str]) -> None:
    """A topic is created before its partitions have leaders; at most 30 s."""
    for _ in range(600):
        topics = admin.list_topics(timeout=30).topics
        found = [topics[name] for name in names if name in topics]
        leaders = [each.leader for topic in found for each in topic.partitions.values()]
        if len(found) == len(names) and leaders and min(leaders) >= 0:
            return
        admin.poll(0.05)
    raise AssertionError(f"{names} have no leaders")


def good_packet(seed: int = 0, kind: PacketKind = PacketKind.FULL) -> bytes:
    """A packet that today's contract takes."""
    return random_packet(kind, random.Random(seed))


def packet_letter(number: int, *, now_ns: int, age_s: float = 1.0, **fields: Any) -> DeadLetter:
    """A good packet that was refused by mistake, received so long ago."""
    letter = DeadLetter(
        raw=good_packet(number),
        reason="SEMANTIC_RANGE",
        message=f"line {number}: refused by mistake",
        contract="tick.v1",
        first_failure_ns=now_ns - int(age_s * SECOND),
        unit="packet",
        feed_session=1_790_000_000_000_000_000,
        feed_seq=number,
    )
    return replace(letter, **fields)
