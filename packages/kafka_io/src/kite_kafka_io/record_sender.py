"""Single records into Kafka, all acknowledged or an error. It loads no compiled loops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from kite_kafka_io.client import make_client
from kite_kafka_io.dead_letters import Headers
from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError
from kite_kafka_io.settings import KafkaSettings

PATIENCE_S: Final = 60.0
"""How long the broker may acknowledge nothing."""
_POLL_S: Final = 0.1
_PROGRESS_RECORDS: Final = 2_000

Message = tuple[str, bytes | None, bytes | None, Headers | None]
"""Topic, key, value and headers; without a value it is a tombstone."""


def send_records(
    settings: KafkaSettings,
    messages: Iterable[Message],
    progress: Callable[[int], None] = lambda acked: None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Send all and wait until all are acknowledged; ``progress`` gets how many are.

    Raises BrokerUnreachable after ``patience_s`` without any answer, KafkaIoError when Kafka
    refuses a record, and ConfigurationError for settings that librdkafka refuses.
    """
    sender = _Sender(settings, progress, patience_s)
    try:
        for message in messages:
            sender.send(*message)
        while sender.outstanding:
            sender.wait()
    finally:
        sender.give_up()
    if sender.failed:
        raise KafkaIoError(
            f"Kafka refused {sender.failed:,} of {sender.sent:,} records ({sender.error})"
        )


class _Sender:
    def __init__(
        self, settings: KafkaSettings, progress: Callable[[int], None], patience_s: float
    ) -> None:
        self.sent = self.acked = self.failed = 0
        self.error = ""
        self._progress = progress
        self._patience_s = patience_s
        self._trouble = ""
        self._fatal = ""
        self._heard_s = time.monotonic()
        own: dict[str, Any] = {
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,
            # Java's partitioner: other producers of the topic agree on a key's partition.
            "partitioner": "murmur2_random",
            "compression.type": settings.compression,
            "linger.ms": settings.linger_ms,
            "message.max.bytes": settings.message_max_bytes,
            "topic.metadata.propagation.max.ms": 5000,
            "error_cb": self._complained,
        }
        self._producer: Any = make_client(Producer, settings.client_config(own))

    @property
    def outstanding(self) -> int:
        """Records that have no answer yet."""
        return self.sent - self.acked - self.failed

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> None:
        """Enqueue one record; waits while the queue is full."""
        while True:
            try:
                self._producer.produce(
                    topic, value, key, on_delivery=self._answered, headers=headers or []
                )
                break
            except BufferError:
                self.wait()
            except KafkaException as exc:
                raise KafkaIoError(
                    f"a record of {topic} is not taken: {exc.args[0].str()}"
                ) from exc
        if not self.outstanding:
            self._heard_s = time.monotonic()
        self.sent += 1
        if self.sent % _PROGRESS_RECORDS == 0:
            self._progress(self.acked)
        self._poll(0.0)

    def wait(self) -> None:
        """Take in answers. Raises BrokerUnreachable when none came for too long."""
        self._poll(_POLL_S)
        self._progress(self.acked)
        if time.monotonic() - self._heard_s > self._patience_s:
            why = f" ({self._trouble})" if self._trouble else ""
            raise BrokerUnreachable(f"Kafka acknowledges nothing for {self._patience_s:.0f} s{why}")

    def give_up(self) -> None:
        """Forget what has no answer, so that leaving does not wait for it."""
        if self.outstanding:
            self._producer.purge()

    def _poll(self, timeout_s: float) -> None:
        try:
            self._producer.poll(timeout_s)
        except KafkaException as exc:  # confluent-kafka raises a fatal error
            self._complained(exc.args[0])
        if self._fatal:
            raise KafkaIoError(f"Kafka takes no more records ({self._fatal})")

    def _answered(self, error: KafkaError | None, _message: object) -> None:
        self._heard_s = time.monotonic()
        if error is None:
            self.acked += 1
            return
        self.failed += 1
        self.error = self.error or f"{error.name()}: {error.str()}"

    def _complained(self, error: KafkaError) -> None:
        self._trouble = error.str()
        if error.fatal():
            self._fatal = error.str()
