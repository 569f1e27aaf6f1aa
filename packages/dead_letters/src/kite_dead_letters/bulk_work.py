"""Batches of a large topic into lines: by a compiled loop for letters that are in order, and the
usual way, record by record, for the others."""

from __future__ import annotations

from typing import Final

import numpy as np

from kite_dead_letters.classify import Classifier
from kite_dead_letters.dump.dump_file import LinePart, Lines
from kite_dead_letters.line_loops import DONE, FULL, NEW
from kite_dead_letters.templates import Templates
from kite_dead_letters.text_loops import Bytes
from kite_dead_letters.work import DumpOptions, RecordMaker
from kite_kafka_io.bulk_reader import BulkReader
from kite_kafka_io.librdkafka import gathering
from kite_kafka_io.librdkafka.consumer_client import Batch

OUT_BYTES: Final = 1024 * 1024


def warm_up() -> None:
    """Load the compiled loops, or compile them; else the first batch would wait for it."""
    gathering.warm_up()
    nothing = np.zeros((0, gathering.FIELDS), np.int64)
    headers = np.zeros((0, gathering.HEADER_FIELDS), np.int64)
    Templates(np.zeros(1, np.uint8)).write(Batch(nothing, headers), 0, 0)


class BulkWork:
    """A bulk reader's records; without ``out`` the lines are dropped. See ``work.Work``."""

    def __init__(
        self, reader: BulkReader, classifier: Classifier, out: Lines | None, options: DumpOptions
    ) -> None:
        self._reader = reader
        self._out = out
        self._maker = RecordMaker(classifier, options.reasons, silent=False)
        self.summary = self._maker.summary
        self._buffer: Bytes = np.zeros(OUT_BYTES, np.uint8)
        self._view = self._buffer.data
        self._templates = Templates(self._buffer)

    @property
    def finished(self) -> bool:
        """Whether the reader is at its end."""
        return self._reader.finished

    @property
    def total(self) -> int | None:
        """How many offsets there are."""
        return self._reader.total

    @property
    def trouble(self) -> str | None:
        """What the client complained of last."""
        return self._reader.trouble

    def step(self, timeout_s: float) -> int:
        """Read a batch, write its lines and count them; see ``work.Work``."""
        before = self._reader.arrived
        batch = self._reader.read(timeout_s)
        self.summary.read += len(batch)
        self._write(batch)
        return self._reader.arrived - before

    def finish(self) -> None:
        """Count what the compiled loop has counted."""
        self._templates.tell()

    def _write(self, batch: Batch) -> None:
        """Lines in the order of the records: those of the loop are in the buffer, one run after
        the other, those of the usual way between the runs."""
        parts: list[LinePart] = []
        lines = row = start = used = 0
        while row < len(batch):
            row, written, used, why, words = self._templates.write(batch, row, used)
            lines += written
            if why == DONE:
                break
            parts.append(self._view[start:used])
            if why == FULL and used > 0:
                self._put(parts)
                parts, start, used = [], 0, 0
                continue
            start = used
            line = self._slowly(batch, row, words if why == NEW else 0)
            if line is not None:
                parts.append(line)
                lines += 1
            row += 1
        parts.append(self._view[start:used])
        self._put(parts)
        if self._out is not None:
            self.summary.lines += lines

    def _slowly(self, batch: Batch, row: int, words: int) -> bytes | None:
        """The usual way. A letter that is in order teaches the loop its form."""
        raw = self._reader.record(batch, row)
        quick = self._maker.lane.line(raw)
        if quick is None:
            line = self._maker.general(raw)
            if words and self._maker.passed_over:
                self._templates.add(None, words)
            return line
        if words and self._maker.lane.last is not None:
            self._templates.add(self._maker.lane.last, words)
        return quick

    def _put(self, parts: list[LinePart]) -> None:
        if self._out is not None and any(map(len, parts)):
            self._out.write(parts)
