"""Reads dead letters, classifies them and writes them as lines: to the end, or until stopped."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from kite_dead_letters.classify import Classifier
from kite_dead_letters.dump.dump_file import DumpFile
from kite_dead_letters.dump.summary import Summary
from kite_dead_letters.json_lines import LineMaker
from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.raw_reader import RawReader
from kite_runtime.stopping import Stop

WAIT_S: Final = 0.2
REPORT_INTERVAL_S: Final = 0.1
SILENCE_S: Final = 30.0
"""With records left to read and none arriving for so long, the broker is taken to be away."""
_GC_OBJECTS: Final = 200_000


class Dump:
    """The records of ``reader`` as lines in ``out``; without ``out`` only the summary is made.

    ``reasons`` are the codes chosen, none chooses all. With ``commit_each`` the group's progress is
    committed after each batch that is safe on the disk.
    """

    def __init__(
        self,
        reader: RawReader,
        classifier: Classifier,
        out: DumpFile | None,
        reasons: Collection[str] = (),
        *,
        commit_each: bool = False,
    ) -> None:
        self.summary = Summary()
        self._reader = reader
        self._classifier = classifier
        self._maker = LineMaker(classifier)
        self._out = out
        self._reasons = reasons
        self._commit_each = commit_each

    def run(self, stop: Stop, progress: Callable[[int], None]) -> Summary:
        """Read to the end, or until asked to stop.

        ``progress`` is given the number of records read so far, ten times a second. Raises
        BrokerUnreachable, UnknownTopic, ReadError and DumpFailed.
        """
        heard_s = reported_s = time.monotonic()
        with seldom_collected():
            while not self._reader.finished and not stop:
                arrived = self.step(WAIT_S)
                now_s = time.monotonic()
                if now_s - reported_s > REPORT_INTERVAL_S:
                    reported_s = now_s
                    progress(self.summary.read)
                if arrived:
                    heard_s = now_s
                elif self._reader.total is not None and now_s - heard_s > SILENCE_S:
                    trouble = f": {self._reader.trouble}" if self._reader.trouble else ""
                    raise BrokerUnreachable(
                        f"Kafka has sent nothing for {SILENCE_S:.0f} s{trouble}"
                    )
        progress(self.summary.read)
        return self.summary

    def step(self, timeout_s: float) -> int:
        """Read a batch, write its lines and count them; returns how many records Kafka has sent.

        Those that the times leave out are among them, and not in ``summary.read``.
        """
        before = self._reader.arrived
        batch = self._reader.read(timeout_s)
        lines: list[bytes] = []
        for raw in batch:
            record = self._classifier.classify(raw)
            if self._reasons and record.failure.reason not in self._reasons:
                continue
            self.summary.add(record)
            if self._out is not None:
                lines.append(self._maker.line(record))
        self.summary.read += len(batch)
        if self._out is not None and lines:
            self._out.write(lines)
            self.summary.lines += len(lines)
        if batch and self._commit_each:
            if self._out is not None:
                self._out.sync()
            self._reader.commit()
        return self._reader.arrived - before


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let the garbage collector look at new objects seldom: records come by the thousand, hold no
    cycles, and walking through them again and again takes longer than reading them."""
    before = gc.get_threshold()
    gc.set_threshold(_GC_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
