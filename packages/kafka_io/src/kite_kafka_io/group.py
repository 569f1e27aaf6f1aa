"""A member of a consumer group whose partitions stand for work, not for records.

Kafka's group protocol shares out the partitions of a topic that no one needs to write to, notices a
member that died, and gives its partitions to others. What an owner must leave to the next one goes
where the group keeps its offsets: a short note a partition. A note that Kafka has taken proves that
the writer was a member when it sent it, because Kafka refuses those who are no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kite_kafka_io.client import make_client, settings_refused
from kite_kafka_io.errors import BrokerUnreachable, ReadError
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import committed_places, explain

NOTE_BYTES_MAX: Final = 4096
"""What a broker takes with an offset by default (``offset.metadata.max.bytes``)."""

Partitions = frozenset[int]


class Membership(Protocol):
    """Receives changes. The calls come from within ``poll``, in its thread."""

    def assigned(self, partitions: Partitions) -> None:
        """These came to the others that the member has; none, when a round changed nothing."""

    def revoked(self, partitions: Partitions) -> None:
        """These go to another member as soon as this call returns."""

    def lost(self) -> None:
        """The group did not answer for the session timeout: it may give all of them to others."""


class GroupMember:
    """One member of ``group`` over the partitions of ``topic``; used from one thread.

    Call ``poll`` at least every other session timeout: who does not is taken for hung, and its
    partitions go to others. Raises ConfigurationError if librdkafka refuses the settings.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        group: str,
        membership: Membership,
        *,
        session_timeout_s: float = 6.0,
    ) -> None:
        self.trouble: str | None = None
        """What librdkafka complained of last, such as brokers that do not answer."""
        self._bootstrap = settings.bootstrap
        self._topic = topic
        self._group = group
        self._membership = membership
        self._written: Callable[[bool], None] | None = None
        timeout_ms = int(session_timeout_s * 1000)
        own: dict[str, Any] = {
            "group.id": group,
            "session.timeout.ms": timeout_ms,
            # A member hears of a change in the answer to its heartbeat.
            "heartbeat.interval.ms": min(500, timeout_ms // 10),
            "max.poll.interval.ms": 2 * timeout_ms,
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "latest",
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
        }
        self._consumer = make_client(Consumer, settings.client_config(own))
        try:
            self._consumer.subscribe(
                [topic],
                on_assign=lambda _, places: membership.assigned(_numbers(places)),
                on_revoke=lambda _, places: membership.revoked(_numbers(places)),
                on_lost=lambda _, places: membership.lost(),
            )
        except (KafkaException, ValueError, TypeError) as exc:
            raise settings_refused(exc) from exc

    @property
    def writing(self) -> bool:
        """Whether Kafka has not answered yet to the notes that were written last."""
        return self._written is not None

    def poll(self, timeout_s: float) -> None:
        """Take part in the group for so long. Raises ReadError when the group refuses for good."""
        try:
            message = self._consumer.poll(timeout_s)
        except (KafkaException, RuntimeError) as exc:
            raise ReadError(f"the group {self._group} cannot be followed: {exc}") from exc
        error = None if message is None else message.error()
        if error is None:
            return
        self.trouble = error.str()
        if error.fatal() or error.code() in (
            KafkaError.INVALID_SESSION_TIMEOUT,
            KafkaError.INCONSISTENT_GROUP_PROTOCOL,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
        ):
            raise ReadError(f"the group {self._group} refuses this member: {error.str()}")

    def partitions(self, timeout_s: float = 5.0) -> int:
        """How many partitions the topic has. Raises BrokerUnreachable."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=timeout_s).topics
        except KafkaException as exc:
            raise explain(exc.args[0], self._bootstrap) from exc
        return len(found[self._topic].partitions) if self._topic in found else 0

    def notes(self, partitions: Iterable[int], timeout_s: float = 5.0) -> dict[int, str]:
        """What was noted last for each, by whomever; without those that never had a note.

        Raises BrokerUnreachable, also when no coordinator of the group is found in time.
        """
        places = [TopicPartition(self._topic, number) for number in partitions]
        try:
            found = committed_places(self._consumer, places, timeout_s)
        except KafkaException as exc:
            raise BrokerUnreachable(
                f"the notes of the group {self._group} are not to be had: {exc.args[0].str()}"
            ) from exc
        return {each.partition: each.metadata for each in found if each.metadata}

    def write(self, notes: Mapping[int, str], written: Callable[[bool], None]) -> None:
        """Send notes; ``written`` is called from within ``poll``: whether Kafka took all of them.

        Not before the notes of the last call are answered, see ``writing``.
        """
        self._written = written
        try:
            self._consumer.commit(offsets=self._places(notes), asynchronous=True)
        except KafkaException as exc:
            self._answered(exc.args[0])

    def write_now(self, notes: Mapping[int, str]) -> bool:
        """Write notes from within ``revoked``, and wait; False when Kafka did not take them."""
        try:
            self._consumer.commit(offsets=self._places(notes), asynchronous=False)
        except KafkaException as exc:
            self.trouble = exc.args[0].str()
            return False
        return True

    def close(self) -> None:
        """Leave the group; the others take over at once.

        Write what they should know before: while closing, ``revoked`` is called and cannot write.
        """
        self._consumer.close()

    def _places(self, notes: Mapping[int, str]) -> list[TopicPartition]:
        for number, note in notes.items():
            if len(note.encode()) > NOTE_BYTES_MAX:
                raise ValueError(f"the note of partition {number} is above {NOTE_BYTES_MAX} bytes")
        # The offset is no position: these partitions are never written to.
        return [TopicPartition(self._topic, number, 0, note) for number, note in notes.items()]

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        self._answered(error or next((each.error for each in places if each.error), None))

    def _answered(self, error: KafkaError | None) -> None:
        if error is not None:
            self.trouble = error.str()
        written, self._written = self._written, None
        if written is not None:
            written(error is None)

    def _on_error(self, error: KafkaError) -> None:
        self.trouble = error.str()


def _numbers(places: Iterable[TopicPartition]) -> Partitions:
    return frozenset(place.partition for place in places)
