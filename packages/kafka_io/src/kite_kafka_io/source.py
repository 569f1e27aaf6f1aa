"""What both readers stand on: messages of a topic, from here to there, committed when handled."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypedDict

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from kite_kafka_io.client import NO_GROUP, make_client
from kite_kafka_io.errors import BrokerUnreachable, ReadError
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import (
    LASTING,
    Place,
    Ranges,
    committed_offsets,
    explain,
    partitions_of,
    watermarks,
)

Start = Literal["earliest", "latest"]


class Placement(Protocol):
    """Where a group's member begins, when it keeps its progress elsewhere than in Kafka.

    The calls come from within ``read``, in its thread; what they raise leaves ``read``.
    """

    def assigned(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """These are now this member's: the offset to begin at for each; the earliest where none is
        given."""

    def revoked(self, places: Sequence[Place]) -> None:
        """These go, or went, to another member."""


class Which(TypedDict, total=False):
    """Which records a reader gives: the options of ``Source`` that readers take."""

    group: str | None
    start: Start
    until_end: bool
    from_offsets: Mapping[int, int] | None
    to_offsets: Mapping[int, int] | None
    placement: Placement | None
    config: Mapping[str, Any] | None


_METADATA_TIMEOUT_S: Final = 15.0
_PREFETCH_KIB: Final = 32 * 1024
_PASSING: Final = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
_LEFT_TO_OTHERS: Final = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._ASSIGNMENT_LOST,
)


class Source:
    """Messages of ``topics``. Five ways to choose:

    * ``group`` alone: as a member of the consumer group, indefinitely, from what it has committed.
    * no ``group``: all partitions, from ``start`` or ``from_offsets``.
    * ``group`` with ``placement``: the same, but from where ``placement`` places it; nothing is
      committed then but by ``commit_offsets``.
    * with ``until_end`` or ``to_offsets`` (exclusive): all partitions, up to there. ``until_end``
      takes the ends when reading starts. With a ``group``, from what it has committed.
    * ``ranges``: exactly these partitions from their first offset to their end (exclusive; None
      goes on indefinitely), whatever else is given.

    Only committed transactions are read. ``trouble`` is librdkafka's last complaint, ``config``
    overrides librdkafka properties.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        group: str | None = None,
        start: Start = "latest",
        until_end: bool = False,
        from_offsets: Mapping[int, int] | None = None,
        to_offsets: Mapping[int, int] | None = None,
        ranges: Ranges | None = None,
        placement: Placement | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if placement is not None and (group is None or until_end or from_offsets or to_offsets):
            raise ValueError("a placement is that of a group's member, which reads without an end")
        if (from_offsets is not None or to_offsets is not None) and len(topics) != 1:
            raise ValueError("offsets need exactly one topic")
        self.trouble: str | None = None
        self._topics = list(topics)
        self._settings = settings
        self._group = group
        self._placement = placement
        if ranges is None:
            self._bounded = until_end or to_offsets is not None
        else:
            self._bounded = all(end is not None for _, end in ranges.values())
        self._ends: dict[Place, int] = {}
        self._open: set[Place] = set()
        self._handled: dict[Place, int] = {}
        own = {
            **_config(group=group, bounded=self._bounded, start=start),
            **(config or {}),
            "error_cb": self._on_error,
        }
        self._consumer = make_client(Consumer, settings.client_config(own))
        try:
            if ranges is not None:
                self._assign(ranges)
            elif placement is not None:
                self._subscribe(placement)
            elif group is not None and not self._bounded and from_offsets is None:
                self._consumer.subscribe(self._topics)
            else:
                self._assign(self._ranges(start, from_offsets, to_offsets))
        except BaseException:
            self._consumer.close()
            raise

    @property
    def finished(self) -> bool:
        """Whether the end was reached; never for a source without one."""
        return self._bounded and not self._open

    def read(self, count: int, timeout_s: float, linger_s: float = 0.0) -> list[Message]:
        """Up to ``count`` messages, in the order of each partition.

        Waits ``timeout_s`` for the first one, and ``linger_s`` for those after it. Raises ReadError
        or UnknownTopic when reading cannot go on.
        """
        if self.finished:
            return []
        try:
            # consume(count) alone would wait for all of them.
            messages = self._consumer.consume(1, timeout_s)
            if messages and count > 1:
                messages += self._consumer.consume(count - 1, linger_s)
        except (KafkaException, RuntimeError) as exc:
            raise ReadError(f"reading {', '.join(self._topics)} failed: {exc}") from exc
        if any(map(Message.error, messages)):
            messages = [message for message in messages if self._is_message(message)]
        return self._before_the_end(messages) if self._bounded else messages

    @property
    def commits(self) -> bool:
        """Whether what is handled is committed: by a group that keeps its progress in Kafka."""
        return self._group is not None and self._placement is None

    def handled(self, place: Place, offset: int) -> None:
        """Note that the messages of ``place`` up to ``offset`` (inclusive) were handled."""
        self._handled[place] = offset + 1

    def commit(self, *, wait: bool = False) -> None:
        """Commit what was handled; without a group there is nothing to commit.

        With ``wait`` it raises BrokerUnreachable while no broker answers, and keeps what it noted
        for the next call; and ReadError if Kafka refuses. Partitions that were given to another
        member of the group are left to it: it reads again what was not committed.
        """
        if not self.commits or not self._handled:
            return
        handled, self._handled = self._handled, {}
        offsets = [TopicPartition(*place, offset) for place, offset in handled.items()]
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as exc:
            error = exc.args[0]
            if error.code() in _LEFT_TO_OTHERS:
                self.trouble = error.str()
                return
            message = f"the offsets are not committed: {error.str()}"
            if error.code() in _PASSING:
                self._handled = {**handled, **self._handled}
                raise BrokerUnreachable(message) from exc
            raise ReadError(message) from exc

    def commit_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Let Kafka show this progress, which is kept elsewhere. Not waited for: it is a hint."""
        places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as exc:
            self.trouble = exc.args[0].str()

    def lag(self) -> int:
        """How many offsets lie between what was read and the ends, as of the last answers.

        Only of partitions that were read from; some offsets may be no records.
        """
        try:
            places = self._consumer.position(self._consumer.assignment())
        except (KafkaException, RuntimeError) as exc:
            raise ReadError(f"the positions are not to be had: {exc}") from exc
        lag = 0
        for place in places:
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            if place.offset >= 0 and high > place.offset:
                lag += high - place.offset
        return lag

    def close(self) -> None:
        """Leave the group. What was handled and not committed is read again by the next one."""
        self._consumer.close()

    def _subscribe(self, placement: Placement) -> None:
        def assigned(consumer: Consumer, places: list[TopicPartition]) -> None:
            begun = placement.assigned([(each.topic, each.partition) for each in places])
            for each in places:
                each.offset = begun.get((each.topic, each.partition), OFFSET_BEGINNING)
            consumer.incremental_assign(places)

        def revoked(_: Consumer, places: list[TopicPartition]) -> None:
            placement.revoked([(each.topic, each.partition) for each in places])

        self._consumer.subscribe(
            self._topics, on_assign=assigned, on_revoke=revoked, on_lost=revoked
        )

    def _assign(self, ranges: Ranges) -> None:
        """Read these; a partition with nothing before its end is left out."""
        wanted = {
            place: first for place, (first, end) in ranges.items() if end is None or first < end
        }
        self._ends = {place: end for place in wanted if (end := ranges[place][1]) is not None}
        self._open = set(self._ends)
        self._consumer.assign([TopicPartition(*place, first) for place, first in wanted.items()])

    def _ranges(
        self,
        start: Start,
        from_offsets: Mapping[int, int] | None,
        to_offsets: Mapping[int, int] | None,
    ) -> Ranges:
        """First offset and end of each partition, as things are now."""
        places = [
            place
            for topic in self._topics
            for place in partitions_of(self._consumer, topic, self._settings, _METADATA_TIMEOUT_S)
        ]
        begun: dict[Place, int] = {}
        if from_offsets is not None:
            begun = {place: from_offsets[place[1]] for place in places if place[1] in from_offsets}
        elif self._group is not None:
            begun = self._committed(places)
        found: Ranges = {}
        for place in places:
            ends_s = time.monotonic() + _METADATA_TIMEOUT_S
            low, high = watermarks(self._consumer, TopicPartition(*place), self._settings, ends_s)
            first = begun.get(place, low if start == "earliest" else high)
            end = high if to_offsets is None else min(to_offsets.get(place[1], 0), high)
            found[place] = first, end if self._bounded else None
        return found

    def _committed(self, places: list[Place]) -> dict[Place, int]:
        try:
            return committed_offsets(self._consumer, places, _METADATA_TIMEOUT_S)
        except KafkaException as exc:
            error = exc.args[0]
            if error.code() in LASTING:
                raise explain(error, self._settings.bootstrap, group=self._group) from exc
            message = f"the group's offsets are not to be had: {error.str()}"
            if error.code() in _PASSING:
                raise BrokerUnreachable(message) from exc
            raise ReadError(message) from exc

    def _before_the_end(self, messages: list[Message]) -> list[Message]:
        """Leave out what came after the end, and note the partitions that are there."""
        last: dict[Any, Message]
        if len(self._ends) == 1:
            last = {place: messages[-1] for place in self._ends} if messages else {}
        elif len(self._topics) == 1:
            last = dict(zip(map(Message.partition, messages), messages, strict=True))
        else:
            last = {(message.topic(), message.partition()): message for message in messages}
        beyond = False
        for message in last.values():
            place, offset = _place(message)
            if offset >= self._ends[place] - 1:
                self._open.discard(place)
                beyond |= offset >= self._ends[place]
        if not beyond:
            return messages
        return [each for each in messages if _place(each)[1] < self._ends[_place(each)[0]]]

    def _is_message(self, message: Message) -> bool:
        """Whether it is no error; notes the ends, and raises what reading cannot recover from."""
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED and self._group is None:
            # librdkafka asks for the coordinator of any group.id, also of one that is not used.
            return False
        place, offset = _place(message)
        if error.code() == KafkaError._PARTITION_EOF:
            # The last offsets may be no messages: marks of transactions, or compacted away.
            if offset >= self._ends.get(place, 0):
                self._open.discard(place)
        else:
            self.trouble = _passing_trouble(error, place[0], self._settings, self._group)
        return False

    def _on_error(self, error: KafkaError) -> None:
        self.trouble = error.str()


def _place(message: Message) -> tuple[Place, int]:
    return (message.topic() or "", int(message.partition() or 0)), int(message.offset() or 0)


def _config(*, group: str | None, bounded: bool, start: Start) -> dict[str, Any]:
    """What every source sets; ``bounded`` readers begin at offsets and have an end."""
    return {
        "group.id": group if group is not None else NO_GROUP,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "partition.assignment.strategy": "cooperative-sticky",
        "isolation.level": "read_committed",
        # Offsets that were asked for and are gone must not be passed over in silence.
        "auto.offset.reset": "error" if bounded else start,
        "enable.partition.eof": bounded,
        "queued.max.messages.kbytes": _PREFETCH_KIB,
        "fetch.queue.backoff.ms": 10,
    }


def _passing_trouble(
    error: KafkaError, topic: str, settings: KafkaSettings, group: str | None
) -> str:
    """The text of an error that came instead of a message, if reading goes on by itself.

    Raises UnknownTopic, NotAllowed and ReadError where it does not.
    """
    if error.code() in LASTING:
        raise explain(error, settings.bootstrap, topic or None, group=group)
    if error.code() not in _PASSING and not error.retriable():
        raise ReadError(f"reading {topic or settings.bootstrap} failed: {error.str()}")
    return str(error.str())
