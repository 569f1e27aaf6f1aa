"""What the bytes of stored failures are."""

from __future__ import annotations

import threading

from kite_bars_store.failures import FailureRecord
from kite_dead_letters.classify import Classifier
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.records import Decoded
from kite_dead_letters.stored import to_raw
from kite_kafka_io.framing import Framing


class Reader:
    """Decodes stored failures, one at a time. ``framing`` is that of the topics. Thread-safe."""

    def __init__(self, framing: Framing | None = None) -> None:
        self._classifier = Classifier(framing)
        self._lock = threading.Lock()

    def decoded(self, record: FailureRecord) -> Decoded | None:
        """What the bytes are, as far as they can be read."""
        with self._lock:
            return self._classifier.decoded(self._classifier.classify(to_raw(record)))

    def line(self, record: FailureRecord) -> bytes:
        """The record as ``dump`` writes it."""
        with self._lock:
            return LineMaker(self._classifier).line(self._classifier.classify(to_raw(record)))
