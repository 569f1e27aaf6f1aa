"""Helper processes: a large topic is read in pieces at once, a core each.

A helper is forked before this process has made any Kafka client, because librdkafka does not
survive a fork, and waits for its piece. It writes its lines to a file of its own, which is appended
to the dump when all are done. Signals are the parent's business: it tells the helpers to stop.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from kite_dead_letters.dump.dump import dump
from kite_dead_letters.dump.dump_file import PieceFile
from kite_dead_letters.dump.summary import Summary
from kite_dead_letters.opening import open_work
from kite_dead_letters.work import DumpOptions
from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import Ranges, Span
from kite_runtime.errors import KiteError
from kite_runtime.stopping import Stop

WORTH_RECORDS: Final = 20_000
"""Below so many records one process is done before the helpers have begun."""
JOBS: Final = 1
"""Processes if nobody says how many: a second one wants the core that a local broker needs."""
JOBS_MAX: Final = 16

_FORK: Final = get_context("fork")


@dataclass(frozen=True, slots=True)
class Piece:
    """A helper's work: the topics' ``ranges``, lines to ``part`` (None: the summary only)."""

    kafka: KafkaSettings
    topics: Sequence[str]
    span: Span
    ranges: Ranges
    options: DumpOptions
    part: Path | None


@dataclass(frozen=True, slots=True)
class _Failed:
    message: str
    away: bool


class Helper:
    """One helper process; start it before any Kafka client exists."""

    def __init__(self) -> None:
        self._here, there = _FORK.Pipe()
        self._stop = _FORK.Event()
        self._process = _FORK.Process(
            target=_work, args=(self._here, there, self._stop), daemon=True
        )
        self._process.start()
        there.close()
        self.read = 0
        """Records that it has read so far."""
        self._summary: Summary | None = None

    def begin(self, piece: Piece) -> None:
        """Hand over its work."""
        self._here.send(piece)

    def look(self, timeout_s: float = 0.0) -> bool:
        """Take in what it told; True when it is done. Raises BrokerUnreachable and KiteError."""
        while self._summary is None and self._here.poll(timeout_s):
            try:
                told: Any = self._here.recv()
            except EOFError:
                raise KiteError(
                    "a helper process ended before its work was done; try with --jobs 1"
                ) from None
            if isinstance(told, _Failed):
                raise (BrokerUnreachable if told.away else KiteError)(told.message)
            if isinstance(told, Summary):
                self._summary = told
            else:
                self.read = int(told)
        return self._summary is not None

    def stop(self) -> None:
        """Let it end after its batch."""
        self._stop.set()

    def result(self) -> Summary:
        """Wait for its summary."""
        while not self.look(1.0):
            pass
        assert self._summary is not None
        return self._summary

    def close(self) -> None:
        """End it, whatever it does."""
        self._here.close()
        if self._summary is None:
            self._process.terminate()
        self._process.join()


@contextmanager
def helping(jobs: int) -> Iterator[list[Helper]]:
    """``jobs - 1`` helpers, waiting; they are ended at the end, whatever they do."""
    helpers = [Helper() for _ in range(jobs - 1)]
    try:
        yield helpers
    finally:
        for helper in helpers:
            helper.close()


def share(
    task: Piece, ranges: Ranges | None, helpers: Sequence[Helper], part: Path | None
) -> list[Piece]:
    """Cut the task and let the helpers begin; the first piece is the caller's own.

    One piece with no ranges where it is not worth it, or where there is no end to cut at.
    """
    total = count_of(ranges)
    if not helpers or ranges is None or total is None or total < WORTH_RECORDS:
        return [task]
    cuts = cut(ranges, 1 + len(helpers))
    pieces = [
        replace(
            task,
            ranges=each,
            part=part.with_name(f"{part.name}.{number}") if part is not None and number else part,
        )
        for number, each in enumerate(cuts)
    ]
    for helper, piece in zip(helpers, pieces[1:], strict=True):
        helper.begin(piece)
    return pieces


def count_of(ranges: Ranges | None) -> int | None:
    """How many offsets there are in ranges that all have an end; else None."""
    ends = [(first, end) for first, end in (ranges or {}).values() if end is not None]
    if ranges is None or len(ends) < len(ranges):
        return None
    return sum(max(0, end - first) for first, end in ends)


def cut(ranges: Ranges, pieces: int) -> list[Ranges]:
    """Each partition's range in so many pieces, in order: the pieces together are the whole."""
    found: list[Ranges] = [{} for _ in range(pieces)]
    for place, (first, end) in ranges.items():
        assert end is not None, "only what has an end can be cut"
        size = max(0, end - first)
        marks = [first + size * number // pieces for number in range(pieces + 1)]
        for number, piece in enumerate(found):
            piece[place] = (marks[number], marks[number + 1])
    return found


class _AskedToStop(Stop):
    """The parent's wish, as the loop looks at it."""

    def __init__(self, event: Any) -> None:
        super().__init__()
        self._event = event

    def __bool__(self) -> bool:
        return bool(self._event.is_set())


def _work(parents: Connection, own: Connection, stop: Any) -> None:
    """The life of a helper."""
    parents.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        piece: Piece = own.recv()
    except EOFError:
        return  # nobody needs it
    try:
        own.send(_do(piece, own, _AskedToStop(stop)))
    except BrokenPipeError:
        return  # the parent is gone
    except (KafkaIoError, KiteError, OSError) as error:
        own.send(_Failed(str(error), isinstance(error, BrokerUnreachable)))


def _do(piece: Piece, own: Connection, stop: Stop) -> Summary:
    out = PieceFile(piece.part) if piece.part is not None else None
    try:
        with open_work(
            piece.kafka, piece.topics, piece.span, piece.ranges, out, piece.options
        ) as work:
            return dump(work, stop, own.send)
    finally:
        if out is not None:
            out.close()
