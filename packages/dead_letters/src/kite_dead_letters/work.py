"""Reads dead letters, classifies them and writes them as lines, record by record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from kite_dead_letters.classify import Classifier
from kite_dead_letters.dump.dump_file import Lines
from kite_dead_letters.dump.summary import Summary
from kite_dead_letters.fast_lane import FastLane
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.records import ReasonSource
from kite_kafka_io.raw_reader import RawReader, RawRecord


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What to write: ``reasons`` are the codes chosen, none chooses all."""

    reasons: frozenset[str] = frozenset()
    commit_each: bool = False
    """Commit the group's progress after each batch that is safe on the disk; else at the end."""


class Work(Protocol):
    """What ``dump`` drives. ``total`` and ``trouble`` are the reader's."""

    summary: Summary

    @property
    def finished(self) -> bool:
        """Whether the reader is at its end."""

    @property
    def total(self) -> int | None:
        """How many offsets there are; None for a follower."""

    @property
    def trouble(self) -> str | None:
        """What the client complained of last."""

    def step(self, timeout_s: float) -> int:
        """Read a batch, write its lines and count them; how many records Kafka has sent.

        Those that the times leave out are among them, and not in ``summary.read``.
        Raises ReadError, UnknownTopic, BrokerUnreachable and DumpFailed.
        """

    def finish(self) -> None:
        """Complete the summary."""


class RecordMaker:
    """The line of a record, by the quick way or the general one; counts it in ``summary``."""

    def __init__(self, classifier: Classifier, reasons: frozenset[str], *, silent: bool) -> None:
        self.summary = Summary()
        self.passed_over = False
        """Whether the last record of ``general`` was not chosen for what its headers say."""
        self._classifier = classifier
        self._reasons = reasons
        self._silent = silent
        self._maker = LineMaker(classifier)
        self.lane = FastLane(classifier, self._maker, self.summary, reasons)

    def line(self, raw: RawRecord) -> bytes | None:
        """None for a record that is not chosen, and for all where lines are not wanted."""
        quick = self.lane.line(raw) if not self._silent else None
        return quick if quick is not None else self.general(raw)

    def general(self, raw: RawRecord) -> bytes | None:
        """``line`` without trying the quick way."""
        record = self._classifier.classify(raw)
        if self._reasons and record.failure.reason not in self._reasons:
            self.passed_over = record.failure.reason_source is ReasonSource.HEADER
            return None
        self.passed_over = False
        self.summary.add(record)
        return None if self._silent else self._maker.line(record)


class RecordWork:
    """Any reader, one record after the other; without ``out`` only the summary is made."""

    def __init__(
        self, reader: RawReader, classifier: Classifier, out: Lines | None, options: DumpOptions
    ) -> None:
        self._reader = reader
        self._out = out
        self._commit_each = options.commit_each
        self._maker = RecordMaker(classifier, options.reasons, silent=out is None)
        self.summary = self._maker.summary

    @property
    def finished(self) -> bool:
        """Whether the reader is at its end."""
        return self._reader.finished

    @property
    def total(self) -> int | None:
        """How many offsets there are; None for a follower."""
        return self._reader.total

    @property
    def trouble(self) -> str | None:
        """What the client complained of last."""
        return self._reader.trouble

    def step(self, timeout_s: float) -> int:
        """Read a batch, write its lines and count them; see ``Work``."""
        before = self._reader.arrived
        batch = self._reader.read(timeout_s)
        arrived = self._reader.arrived - before
        if not batch:
            return arrived
        self.summary.read += len(batch)
        make = self._maker.line
        lines = [line for raw in batch if (line := make(raw)) is not None]
        if self._out is not None and lines:
            self._out.write(lines)
            self.summary.lines += len(lines)
        if self._commit_each:
            if self._out is not None:
                self._out.sync()
            self._reader.commit()
        return arrived

    def finish(self) -> None:
        """The summary is complete as it is."""


def reason_filter(codes: Collection[str] | None) -> frozenset[str]:
    """The codes chosen, in upper case."""
    return frozenset(code.upper() for code in codes or ())
