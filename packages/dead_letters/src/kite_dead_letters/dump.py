"""Reads dead letters, classifies them and writes them as lines: to the end, or until stopped.

Also counts them: how many of which reason, where, and when the first and the last were."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from kite_contracts.reasons import ReasonCode
from kite_dead_letters.classify import Classifier
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.records import ClassifiedRecord
from kite_kafka_io.errors import BrokerUnreachable
from kite_kafka_io.raw_reader import RawReader
from kite_runtime.console import clean_json
from kite_runtime.errors import KiteError, TryAgainLater, reason_of
from kite_runtime.stopping import Stop


class DumpFailed(KiteError):
    """The file cannot be written, or no longer."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(
            f"{path} cannot be written ({reason_of(cause)}): "
            "make room or choose another file with --dump"
        )
        self.path = path


class DumpBusy(TryAgainLater):
    """Another dump writes to the same file."""


STDOUT: Final = "-"


def _alone(part: Path) -> int:
    """The part, empty, private and locked until it is closed. Raises DumpBusy and OSError."""
    while True:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _has(part, descriptor):
                os.close(descriptor)
                continue  # the other dump has just given it its name
            if os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, 0)
        except BlockingIOError:
            os.close(descriptor)
            raise DumpBusy(
                f"another dump writes to {part}: wait for its end or choose another file"
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _has(part: Path, descriptor: int) -> bool:
    """Whether the path still leads to the open file."""
    try:
        return os.path.samestat(part.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class DumpFile:
    """Writes whole lines to ``name``, or to standard output for ``-``. Raises DumpFailed.

    Lines go to ``NAME.part``, which is renamed when the dump is whole; whatever happens on the way,
    the part holds whole lines only.
    """

    def __init__(self, name: str) -> None:
        self._target = Path(name)
        self.part = None if name == STDOUT else Path(f"{name}.part")
        self._whole_bytes = 0
        if self.part is None:
            return
        try:
            self._file = os.fdopen(_alone(self.part), "wb", buffering=0)
        except OSError as error:
            raise DumpFailed(self.part, error) from error

    def write(self, lines: Sequence[bytes]) -> None:
        """Write whole lines; if the disk takes only some, none of them is in the file."""
        data = memoryview(b"".join(lines))
        if self.part is None:
            self._print(data)
            return
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as error:
            self._cut()
            raise DumpFailed(self.part, error) from error
        self._whole_bytes += len(data)

    def sync(self) -> None:
        """Put everything written on the disk."""
        if self.part is None:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DumpFailed(self.part, error) from error

    def finish(self) -> None:
        """The dump is whole: give it its name, which may replace an older dump."""
        if self.part is None:
            return
        self.sync()
        try:
            self.part.replace(self._target)
        except OSError as error:
            raise DumpFailed(self._target, error) from error
        self.close()  # only now may another dump have the part

    def close(self) -> None:
        """Leave the part as it is, with whole lines."""
        if self.part is not None and not self._file.closed:
            self._cut()
            self._file.close()

    def _cut(self) -> None:
        with suppress(OSError):  # a pipe or a device cannot be cut; the first error is reported
            self._file.truncate(self._whole_bytes)
            self._file.seek(self._whole_bytes)

    @staticmethod
    def _print(data: memoryview) -> None:
        try:
            if sys.stdout.isatty():
                data = memoryview(clean_json(bytes(data).decode()).encode())
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has seen enough
        except OSError as error:
            raise DumpFailed(Path("standard output"), error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_NS: Final = 1_000_000_000


@dataclass(slots=True)
class Tally:
    """Records of one topic and reason. Times are those that Kafka keeps, epoch ns."""

    count: int = 0
    first_ns: int | None = None
    last_ns: int | None = None

    def add(self, ts_ns: int | None) -> None:
        """One record more."""
        self.count += 1
        if ts_ns is not None:
            if self.first_ns is None or ts_ns < self.first_ns:
                self.first_ns = ts_ns
            if self.last_ns is None or ts_ns > self.last_ns:
                self.last_ns = ts_ns


@dataclass(slots=True)
class Summary:
    """The tallies by topic and reason, and how many records had something wrong with headers."""

    tallies: defaultdict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    read: int = 0
    """Records looked at, also those that ``--reason`` left out."""
    decoded: int = 0
    """Records whose reason was found by decoding."""
    with_problems: int = 0
    lines: int = 0
    """Lines written."""

    @property
    def count(self) -> int:
        """Records chosen."""
        return sum(tally.count for tally in self.tallies.values())

    def add(self, record: ClassifiedRecord) -> None:
        """One record more."""
        raw, failure = record.raw, record.failure
        self.tallies[raw.topic, failure.reason].add(raw.ts_ns)
        if failure.reason_source == "decoded":
            self.decoded += 1
        if failure.problems or raw.problems:
            self.with_problems += 1

    def rows(self) -> list[dict[str, Any]]:
        """One object a topic and reason, the most frequent first."""
        ordered = sorted(self.tallies.items(), key=lambda item: (-item[1].count, item[0]))
        return [
            {
                "topic": topic,
                "reason": reason,
                "count": tally.count,
                "first": time_text(tally.first_ns),
                "last": time_text(tally.last_ns),
                "retryable": ReasonCode(reason).retryable,
                "owner": ReasonCode(reason).owner,
                "action": ReasonCode(reason).action,
            }
            for (topic, reason), tally in ordered
        ]


def time_text(ns: int | None) -> str | None:
    """Epoch ns as ISO 8601 UTC in milliseconds; after the year 9999 the milliseconds alone."""
    if ns is None:
        return None
    try:
        stamp = datetime.fromtimestamp(ns // _NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ns // 1_000_000} ms"  # Kafka keeps any number that a producer gives
    return f"{stamp}.{ns % _NS // 1_000_000:03d}Z"


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
