"""A producer on confluent-kafka's classes, where a function of ``library`` is not found.

An object and a callback for each record: slower by half and more, and the same otherwise.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kite_kafka_io.client import ClientLog
from kite_kafka_io.dead_letters import Headers
from kite_kafka_io.librdkafka.library import LIBRARY, Library
from kite_kafka_io.librdkafka.producer_client import Client, Listener, ProducerClient
from kite_kafka_io.tick_codec import Bytes, Ints

WAKE_INTERVAL_S: Final = 0.002

_log = logging.getLogger(__name__)


def open_client(
    config: Mapping[str, object],
    listener: Listener,
    log: ClientLog,
    library: Library | None = None,
) -> Client:
    """The quick client, or the plain one where ``library`` is incomplete, which is warned of once.

    Raises ValueError if a property is refused.
    """
    missing = (library or LIBRARY).missing
    if missing is None:
        return ProducerClient(config, listener)
    _warn(missing)
    return PlainClient(config, listener, log)


@cache
def _warn(missing: str) -> None:
    _log.warning(
        "confluent-kafka's module has no function %s: its own producer is used, which is slower",
        missing,
    )


class PlainClient:
    """One producer of confluent-kafka. Not thread-safe; see ``Client``."""

    def __init__(self, config: Mapping[str, object], listener: Listener, log: ClientLog) -> None:
        self._listener = listener
        self._answers = 0
        self._waking: threading.Event | None = None
        properties: dict[str, Any] = {**config, "error_cb": listener.client_error}
        try:
            self._producer: Any = Producer(properties, logger=log)
        except (KafkaException, TypeError) as exc:
            raise ValueError(str(exc)) from exc

    def produce_batch(
        self, topic: str, data: Bytes, ends: Ints, tokens: Ints, opaque: int
    ) -> tuple[int, KafkaError | None]:
        """See ``Client``; what follows the one that was not taken is not offered."""
        start = 0
        for taken, (end, token) in enumerate(zip(ends.tolist(), tokens.tolist(), strict=True)):
            value = data[start:end].tobytes()
            refused = self.produce(topic, b"%d" % token, value, [], opaque)
            if refused is not None:
                return taken, refused
            start = end
        return len(ends), None

    def produce(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, opaque: int
    ) -> KafkaError | None:
        """See ``Client``."""
        answered = partial(self._answered, opaque)
        try:
            self._producer.produce(topic, value, key, on_delivery=answered, headers=headers)
        except BufferError:
            return KafkaError(KafkaError._QUEUE_FULL)
        except KafkaException as exc:
            refused: KafkaError = exc.args[0]
            return refused
        return None

    def poll(self, timeout_s: float) -> int:
        """See ``Client``."""
        self._answers = 0
        try:
            self._producer.poll(timeout_s)
        except KafkaException as exc:  # confluent-kafka raises a fatal error besides
            self._listener.client_error(exc.args[0])
        return self._answers

    def purge(self) -> None:
        """See ``Client``."""
        self._producer.purge()

    def wake_by(self, descriptor: int) -> None:
        """See ``Client``; here the byte only means that it is time to look again."""
        self._waking = threading.Event()
        weakref.finalize(self, self._waking.set)
        # Of its own, so that no other file gets the bytes once the caller has closed his.
        run = partial(_wake, os.dup(descriptor), self._waking)
        threading.Thread(target=run, name="kafka-wake", daemon=True).start()

    def close(self) -> None:
        """See ``Client``."""
        if self._waking is not None:
            self._waking.set()
        self._producer = None

    def _answered(self, opaque: int, error: KafkaError | None, _message: Message) -> None:
        self._answers += 1
        self._listener.answered(opaque, 1, error)


def _wake(descriptor: int, ended: threading.Event) -> None:
    """confluent-kafka gives no signal when an answer comes, so it is polled for."""
    with suppress(OSError), os.fdopen(descriptor, "wb", buffering=0) as pipe:
        while not ended.wait(WAKE_INTERVAL_S):
            pipe.write(b"\n")  # None where it is full of bytes that were not read yet
