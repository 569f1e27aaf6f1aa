"""Every error of this package, split by what the caller does about it.

    KafkaIoError
    ├── BrokerUnreachable     try again later                            (exit code 75)
    ├── UnknownTopic          create the topic, start again              (exit code 78)
    ├── RegistryError         try again later                            (75)
    │   └── RegistryRefused   a right or a schema is missing, a setting is wrong (78)
    ├── QueueFull             poll, then offer the same batch again; nothing was taken
    ├── RecordTooLarge        this record can never be sent; count it and go on
    ├── RecordRefused         this record is not taken, as without a right to write; send it later
    ├── ProducerFatal         close the producer, make a new one, publish again from the journal
    ├── ReadError             the consumer cannot go on; its message says why
    │   └── NotAllowed        the user needs a right (exit code 78)
    └── MalformedRecord       a value that is no record: dead-letter it, read on
        └── UnknownSchema     written with a schema this release does not know

What Kafka refuses is put into words by ``topics.explain``. Exceptions of confluent-kafka and
fastavro never leave this package.
"""

from __future__ import annotations

from kite_runtime.errors import EXIT_CONFIGURATION, ConfigurationError, KiteError, TryAgainLater


class KafkaIoError(KiteError):
    """Base of all errors of kafka_io; its text is one sentence for the user."""


class BrokerUnreachable(KafkaIoError, TryAgainLater):
    """No broker answered in time."""


class UnknownTopic(KafkaIoError, ConfigurationError):
    """A topic that must exist does not."""


class RegistryError(KafkaIoError, TryAgainLater):
    """The schema registry did not answer."""


class RegistryRefused(RegistryError):
    """The schema registry refuses what is asked, until a person corrects something.

    ``status`` is HTTP's, 0 where the registry was not asked.
    """

    exit_code = EXIT_CONFIGURATION

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class QueueFull(KafkaIoError):
    """More records than ``capacity_left``; none of them was taken."""


class RecordTooLarge(KafkaIoError):
    """A record above ``message.max.bytes``."""


class RecordRefused(KafkaIoError):
    """A single record that an ordinary producer does not take; the others are not concerned."""


class ProducerFatal(KafkaIoError):
    """The order of ticks can no longer be promised by this producer."""


class ReadError(KafkaIoError):
    """The consumer met an error that it cannot get over by itself."""


class NotAllowed(ReadError, ConfigurationError):
    """Kafka refuses this user: a right is missing, credentials or certificates are wrong."""


class MalformedRecord(KafkaIoError):
    """The bytes of a value are not the record they claim to be. ``offset`` is where it shows."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class UnknownSchema(MalformedRecord):
    """The value's prefix names no schema that is known here."""
