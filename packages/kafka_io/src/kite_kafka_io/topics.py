"""Topics before anything is sent or read: whether they exist, and where they begin and end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from kite_kafka_io.client import NO_GROUP, ClientLog, make_client, settings_refused
from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError, NotAllowed, UnknownTopic
from kite_kafka_io.settings import NOTHING, KafkaSettings

_64_BITS: Final = 2**64 - 1
_MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_REFUSED: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
_NOT_LET_IN: Final = (KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION)
_NO_TOKEN: Final = "Failed to acquire SASL OAUTHBEARER token"
LASTING: Final = frozenset((*_MISSING, *_REFUSED, *_NOT_LET_IN))
"""Codes of errors that waiting does not cure."""


_CALL_S: Final = 5.0
_PAUSE_S: Final = 0.1
_STARTING: Final = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)
"""What a Kafka that has just started answers those who ask for a group."""
_PASSING: Final = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._TRANSPORT,
)

Place = tuple[str, int]
"""Topic and partition."""
Ranges = dict[Place, tuple[int, int | None]]
"""First offset and end (exclusive; None: goes on indefinitely)."""


def explain(
    error: KafkaError | None,
    bootstrap: str,
    topic: str | None = None,
    *,
    group: str | None = None,
    detail: str | None = None,
) -> KafkaIoError:
    """What Kafka's answer means, as an error to raise: what is wrong, where, and what to do.

    ``error`` None: the topic is not in the broker's list. ``detail`` is a better text than its own.
    """
    if topic is not None and (error is None or error.code() in _MISSING):
        return UnknownTopic(f"topic {topic} does not exist at {bootstrap}; create it with make up")
    assert error is not None, "only a topic can be missing without an error"
    text = detail if detail is not None else error.str()
    if error.code() in _REFUSED:
        of = f"topic {topic}" if topic is not None else f"group {group}" if group else "that"
        return NotAllowed(
            f"Kafka at {bootstrap} refuses {of} to this user ({text}); "
            "give it the right, or correct KAFKA_SASL_USERNAME and _PASSWORD"
        )
    if _keeps_out(error):
        cure = (
            "KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_CA, KAFKA_SSL_CERTIFICATE or KAFKA_SSL_KEY"
            if error.code() == KafkaError._SSL
            else "KAFKA_SASL_USERNAME, _PASSWORD and _MECHANISM, or where its token " "comes from"
        )
        return NotAllowed(
            f"Kafka at {bootstrap} does not let this client in ({text}); correct {cure}"
        )
    of = f" for {topic}" if topic is not None else ""
    return BrokerUnreachable(f"no Kafka broker answers{of} at {bootstrap} ({text})")


def _keeps_out(error: KafkaError) -> bool:
    """Whether the connection fails until a person corrects something.

    A broker that ends while it shakes hands, and a token endpoint that is away, look alike but for
    the text: the endpoint's own refusal is JSON with an ``error`` (RFC 6749, 5.2).
    """
    text = error.str()
    if error.code() == KafkaError._SSL:
        return "Disconnected" not in text
    return error.code() in _NOT_LET_IN and (_NO_TOKEN not in text or '"error"' in text)


def no_right_to_describe(bootstrap: str, topic: str) -> NotAllowed:
    """The error to raise where Kafka does not show a topic to this user; it may exist."""
    return NotAllowed(
        f"no right to describe topic {topic} at {bootstrap}: grant this user DESCRIBE, and READ or "
        "WRITE as needed, or correct KAFKA_SASL_USERNAME"
    )


class TopicAdmin(AdminClient):
    """An admin client that explains itself. Raises ConfigurationError if librdkafka refuses the
    settings."""

    def __init__(self, settings: KafkaSettings, own: Mapping[str, object] = NOTHING) -> None:
        self._bootstrap = settings.bootstrap
        self._complaints: list[KafkaError] = []
        # What it would log is in the error that is raised.
        about = {"error_cb": self._complaints.append, "log_level": 0, **own}
        config: dict[str, Any] = settings.client_config(about)
        try:
            super().__init__(config, logger=ClientLog())
        except (KafkaException, ValueError, TypeError) as exc:
            raise settings_refused(exc) from exc

    def metadata(self, timeout_s: float) -> Any:
        """Brokers, and the topics that this user may describe.

        Raises BrokerUnreachable, and NotAllowed where the connection is refused.
        """
        try:
            return self.list_topics(timeout=timeout_s)
        except KafkaException as exc:
            raise self.explained(exc) from exc

    def explained(self, failure: KafkaException, topic: str | None = None) -> KafkaIoError:
        """The error to raise when a call failed: why brokers refuse the connection comes apart."""
        self.poll(0)
        error: KafkaError = failure.args[0]
        if error.code() in LASTING:
            return explain(error, self._bootstrap, topic)
        lasting = (each for each in self._complaints if _keeps_out(each))
        found = next(lasting, self._complaints[0] if self._complaints else None)
        if found is not None and _keeps_out(found):
            return explain(found, self._bootstrap)
        detail = None if found is None else found.str()
        return explain(error, self._bootstrap, detail=detail)

    def check_shown(self, topic: str, timeout_s: float) -> None:
        """Raise NotAllowed for a topic that is not in ``metadata`` because this user may not
        describe it; one that does not exist is no error here."""
        try:
            found = self.list_topics(topic, timeout=timeout_s).topics[topic]
        except KafkaException as exc:
            raise self.explained(exc) from exc
        if found.error is not None and found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise no_right_to_describe(self._bootstrap, topic)


def check_topics(
    settings: KafkaSettings,
    names: Iterable[str],
    timeout_s: float = 10.0,
) -> dict[str, int]:
    """The number of partitions of each topic in ``names``.

    Raises BrokerUnreachable if no broker answers within ``timeout_s`` seconds, UnknownTopic or
    NotAllowed for the first topic that is not to be had, and ConfigurationError if librdkafka
    refuses the settings.
    """
    client = _client(settings)
    topics = client.metadata(timeout_s).topics
    found: dict[str, int] = {}
    for name in names:
        if name not in topics:
            client.check_shown(name, timeout_s)
            raise explain(None, settings.bootstrap, name)
        if topics[name].error is not None:
            raise explain(topics[name].error, settings.bootstrap, name)
        found[name] = len(topics[name].partitions)
    return found


def write_problems(
    settings: KafkaSettings,
    names: Sequence[str],
    timeout_s: float = 5.0,
) -> dict[str, str]:
    """Why nothing can be written to a topic, one sentence for each of ``names`` that is missing or
    that this user has no right to write to; a topic that can be written to is left out.

    Raises BrokerUnreachable, and ConfigurationError if librdkafka refuses the settings.
    """
    client = _client(settings)
    metadata = client.metadata(timeout_s)
    missing = {
        name: str(explain(None, settings.bootstrap, name))
        for name in names
        if name not in metadata.topics
    }
    if metadata.controller_id not in metadata.brokers:
        return missing  # librdkafka's broker for tests: none there answers an admin client
    found: dict[str, str] = {}
    for name, answer in _described(client, settings, names, timeout_s):
        where = f"topic {name} at {settings.bootstrap}"
        if not isinstance(answer, KafkaError):
            rights = answer.authorized_operations
            if rights and AclOperation.WRITE not in rights:
                found[name] = f"{where} may not be written by this user; grant it the right"
        elif answer.code() in _MISSING:
            found[name] = str(explain(answer, settings.bootstrap, name))
        elif answer.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            found[name] = str(no_right_to_describe(settings.bootstrap, name))
        else:
            raise BrokerUnreachable(f"{where} is not described: {answer.str()}")
    return found


def topic_ids(
    settings: KafkaSettings,
    names: Sequence[str],
    timeout_s: float = 10.0,
) -> dict[str, UUID]:
    """The id that Kafka gave each topic when it was created; one that was recreated has another.

    All zero where the broker gives none. Raises what ``check_topics`` raises.
    """
    if not names:
        return {}
    client = _client(settings)
    found: dict[str, UUID] = {}
    for name, answer in _described(client, settings, names, timeout_s):
        if isinstance(answer, KafkaError):
            raise explain(answer, settings.bootstrap, name)
        found[name] = _uuid(answer.topic_id)
    return found


def _described(
    client: AdminClient, settings: KafkaSettings, names: Sequence[str], timeout_s: float
) -> Iterator[tuple[str, Any]]:
    """Each topic's description, with this user's rights, or the KafkaError that came instead."""
    asked = client.describe_topics(
        TopicCollection(topic_names=list(names)),
        include_authorized_operations=True,
        request_timeout=timeout_s,
    )
    for name, answer in asked.items():
        try:
            yield name, answer.result(timeout=timeout_s)
        except KafkaException as exc:
            yield name, exc.args[0]
        except TimeoutError as exc:
            raise BrokerUnreachable(f"no Kafka broker answers at {settings.bootstrap}") from exc


def _uuid(topic_id: Any) -> UUID:
    high, low = topic_id.get_most_significant_bits(), topic_id.get_least_significant_bits()
    return UUID(int=(high & _64_BITS) << 64 | (low & _64_BITS))


def _client(settings: KafkaSettings) -> TopicAdmin:
    return TopicAdmin(settings, {"topic.metadata.refresh.interval.ms": -1})


def end_offsets(settings: KafkaSettings, topic: str, timeout_s: float = 10.0) -> dict[int, int]:
    """Partition → offset of the next record to be written; for ``from_offsets`` of a reader.

    A topic that was made a moment ago may have no leader yet: that is waited for. Raises
    BrokerUnreachable and UnknownTopic.
    """
    ends_s = time.monotonic() + timeout_s
    partitions = check_topics(settings, [topic], timeout_s)[topic]
    consumer = make_client(Consumer, settings.client_config({"group.id": NO_GROUP}))
    try:
        return {
            number: watermarks(consumer, TopicPartition(topic, number), settings, ends_s)[1]
            for number in range(partitions)
        }
    finally:
        consumer.close()


def partitions_of(
    consumer: Consumer, topic: str, settings: KafkaSettings, timeout_s: float
) -> list[Place]:
    """The topic's partitions. Raises BrokerUnreachable, UnknownTopic and NotAllowed."""
    try:
        found = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    except KafkaException as exc:
        raise explain(exc.args[0], settings.bootstrap) from exc
    if found.error is not None or not found.partitions:
        raise explain(found.error, settings.bootstrap, topic)
    return [(topic, number) for number in sorted(found.partitions)]


def watermarks(
    consumer: Consumer, place: TopicPartition, settings: KafkaSettings, ends_s: float
) -> tuple[int, int]:
    """First offset and the one after the last; tried until ``time.monotonic()`` is ``ends_s``.

    ``consumer`` must have nothing assigned yet. Raises BrokerUnreachable, UnknownTopic and
    NotAllowed.
    """
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=min(_CALL_S, seconds_left(ends_s)))
        except KafkaException as exc:
            error = exc.args[0]
            if time.monotonic() < ends_s and error.code() in _PASSING:
                consumer.poll(_PAUSE_S)
                continue
            raise explain(error, settings.bootstrap, place.topic) from exc


def committed_offsets(
    consumer: Consumer, places: Sequence[Place], timeout_s: float
) -> dict[Place, int]:
    """Where the consumer's group left off, of those (topic, partition) where it ever was.

    ``consumer`` reads nothing yet. Raises what ``committed_places`` raises.
    """
    asked = [TopicPartition(*place) for place in places]
    ends_s = time.monotonic() + timeout_s
    while True:
        try:
            found = committed_places(consumer, asked, min(_CALL_S, ends_s - time.monotonic()))
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError._TIMED_OUT:
                raise
            _raise_refusal(consumer)
            if time.monotonic() >= ends_s:
                raise
        else:
            return {
                (each.topic, each.partition): each.offset
                for each in found
                if each.offset != OFFSET_INVALID
            }


def _raise_refusal(consumer: Consumer) -> None:
    """Raise KafkaException if the group is refused: librdkafka reports it here, and goes on looking
    for the group's coordinator until the call is out of time."""
    while (message := consumer.poll(0)) is not None:
        error = message.error()
        if error is not None and error.code() in LASTING:
            raise KafkaException(error)


def committed_places(
    consumer: Consumer, places: list[TopicPartition], timeout_s: float
) -> list[TopicPartition]:
    """What the consumer's group has committed for these places: offsets and metadata.

    Asked again while Kafka is still looking for the group's coordinator. Raises KafkaException,
    also when that takes longer than ``timeout_s``.
    """
    ends_s = time.monotonic() + timeout_s
    while True:
        try:
            return consumer.committed(places, timeout=seconds_left(ends_s))
        except KafkaException as exc:
            if exc.args[0].code() not in _STARTING or time.monotonic() >= ends_s:
                raise
            time.sleep(_PAUSE_S)


def seconds_left(ends_s: float) -> float:
    """How long a call may take that must end when ``time.monotonic()`` is ``ends_s``."""
    return max(_PAUSE_S, ends_s - time.monotonic())
