"""Reserved records into Kafka, in their order, under a pace; reports what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from kite_bars_store.failures import Entry, Outcome
from kite_kafka_io.errors import ProducerFatal, QueueFull, RecordRefused, RecordTooLarge
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import check_topics
from kite_runtime.errors import TryAgainLater
from kite_runtime.retry import Pace

ACK_TIMEOUT_S: Final = 60.0
PRODUCERS_MAX: Final = 4
"""How many producers a page may use up before Kafka counts as away."""
_POLL_S: Final = 0.05
_BY_THE_CLIENT: Final = "_"
"""How the names of librdkafka's own errors begin; all others are a broker's answer."""


class Wait(Protocol):
    """Waits so many seconds; true when the work is to end."""

    def __call__(self, seconds: float, /) -> bool: ...


@dataclass
class Outbox:
    """Produces entries with one producer after another; close it at the end.

    ``pace`` limits records a second. ``wait`` returns true to stop early. ``clock`` is seconds.
    """

    settings: KafkaSettings
    pace: Pace
    wait: Wait
    clock: Callable[[], float] = time.monotonic
    ack_timeout_s: float = ACK_TIMEOUT_S
    _producer: RecordProducer | None = field(default=None, init=False)
    _known: set[str] = field(default_factory=set, init=False)

    def check(self, targets: Sequence[str]) -> None:
        """Raises UnknownTopic for a target that is not there, and BrokerUnreachable."""
        new = sorted(set(targets) - self._known)
        if new:
            check_topics(self.settings, new)
            self._known.update(new)

    def send(self, entries: Sequence[Entry]) -> Outcome:
        """Produce and wait for the answers.

        What is in neither part of the outcome is in doubt: it stays reserved. Raises TryAgainLater
        when Kafka does not answer; what it acknowledged before is then in doubt too.
        """
        self.check([entry.target for entry in entries])
        produced: list[bytes] = []
        refused: dict[bytes, str] = {}
        left = list(entries)
        for _ in range(PRODUCERS_MAX):
            stopped = self._try(left, produced, refused)
            done = {*produced, *refused}
            left = [entry for entry in left if entry.redrive_id not in done]
            if stopped or not left:
                return Outcome(produced, refused)
            self._replace()
        raise TryAgainLater(
            f"Kafka repeatedly fails to take {len(left)} records; they stay reserved, "
            "and the next redrive sends them first"
        )

    def close(self) -> None:
        """Give up what is not acknowledged, and leave."""
        self._replace()

    def _try(
        self, entries: Sequence[Entry], produced: list[bytes], refused: dict[bytes, str]
    ) -> bool:
        """One producer's try at all of them; true when asked to stop."""
        producer = self._open()
        offered: list[tuple[Entry, Delivery]] = []
        stopped = False
        for entry in entries:
            delay_s = self.pace.wait_s(self.clock())
            if delay_s > 0:
                producer.poll(0)
                stopped = self.wait(delay_s)
                if stopped:
                    break
            try:
                offered.append((entry, self._offer(producer, entry)))
            except (RecordTooLarge, RecordRefused) as exc:
                refused[entry.redrive_id] = str(exc)
            except ProducerFatal:
                break
        self._await(producer, [delivery for _, delivery in offered])
        for entry, delivery in offered:
            if delivery.ok:
                produced.append(entry.redrive_id)
            elif self._is_refusal(producer, delivery):
                refused[entry.redrive_id] = f"Kafka refuses it: {delivery.error}"
        return stopped

    @staticmethod
    def _is_refusal(producer: RecordProducer, delivery: Delivery) -> bool:
        """Whether a broker refused this record; otherwise it is in doubt, and sent again.

        A record in doubt must not come after later ones of its partition: readers of ticks would
        drop it as a repeat. So whatever the broker's reason is, the refused record is not sent
        again in this run.
        """
        error = delivery.error
        return producer.fatal is None and error is not None and not error.startswith(_BY_THE_CLIENT)

    def _offer(self, producer: RecordProducer, entry: Entry) -> Delivery:
        headers: list[tuple[str, str | bytes | None]] = [
            (name.decode(errors="replace"), content) for name, content in entry.headers
        ]
        ends_s = self.clock() + self.ack_timeout_s
        while True:
            delivery = Delivery()
            try:
                producer.produce_record(
                    entry.target, entry.key, entry.value, delivery, headers=headers
                )
                return delivery
            except QueueFull:
                producer.poll(_POLL_S)
                if self.clock() > ends_s:
                    raise self._away(producer) from None

    def _await(self, producer: RecordProducer, deliveries: Sequence[Delivery]) -> None:
        """Until each has an answer. Raises TryAgainLater when none comes for long."""
        ends_s = self.clock() + self.ack_timeout_s
        waiting = sum(not delivery.done for delivery in deliveries)
        while waiting and producer.fatal is None:
            producer.poll(_POLL_S)
            left = sum(not delivery.done for delivery in deliveries)
            if left < waiting:
                ends_s = self.clock() + self.ack_timeout_s
            elif self.clock() > ends_s:
                raise self._away(producer)
            waiting = left

    def _away(self, producer: RecordProducer) -> TryAgainLater:
        why = f" ({producer.trouble})" if producer.trouble else ""
        return TryAgainLater(
            f"Kafka at {self.settings.bootstrap} does not acknowledge{why}; what is in doubt stays "
            "reserved: run the redrive again, and it is sent first, under the same ids"
        )

    def _open(self) -> RecordProducer:
        if self._producer is None:
            self._producer = RecordProducer(self.settings, gapless=False, batched=False)
        return self._producer

    def _replace(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None
