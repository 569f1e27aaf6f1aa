"""Reads dead letters, classifies them and writes them as lines: the loop of ``dump``."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dlq_triage.classify import Classifier
from dlq_triage.dump_file import Lines
from dlq_triage.fast_lane import FastLane
from dlq_triage.json_lines import LineMaker
from dlq_triage.stopping import Stop
from dlq_triage.summary import Summary
from kafka_io.errors import BrokerUnreachable
from kafka_io.raw_reader import RawReader

WAIT_S: Final = 0.2
TELL_S: Final = 0.1
SILENCE_S: Final = 30.0
"""With records left to read and none arriving for so long, the broker is taken to be away."""
_GC_OBJECTS: Final = 200_000


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What to write: ``reasons`` are the codes chosen, none chooses all."""

    reasons: frozenset[str] = frozenset()
    commit_each: bool = False
    """Commit the group's progress after each batch that is safe on the disk; else at the end."""


def dump(
    reader: RawReader,
    classifier: Classifier,
    out: Lines | None,
    options: DumpOptions,
    stop: Stop,
    progress: Callable[[int], None],
) -> Summary:
    """Read to the reader's end, or until asked to stop; without ``out`` only the summary is made.

    ``progress`` is told ten times a second how many records were read so far. Raises
    BrokerUnreachable, ReadError and DumpFailed.
    """
    summary = Summary()
    maker = LineMaker(classifier)
    lane = FastLane(classifier, maker, summary, options.reasons)
    heard_s = told_s = time.monotonic()
    with seldom_collected():
        while not reader.finished and not stop:
            batch = reader.read(WAIT_S)
            now_s = time.monotonic()
            if now_s - told_s > TELL_S:
                told_s = now_s
                progress(summary.read)
            if not batch:
                _check_silence(reader, heard_s)
                continue
            heard_s = now_s
            summary.read += len(batch)
            lines = []
            for raw in batch:
                quick = lane.line(raw) if out is not None else None
                if quick is not None:
                    lines.append(quick)
                    continue
                record = classifier.classify(raw)
                if options.reasons and record.failure.reason not in options.reasons:
                    continue
                summary.add(record)
                if out is not None:
                    lines.append(maker.line(record))
            if out is not None and lines:
                out.write(lines)
                summary.lines += len(lines)
            if options.commit_each:
                if out is not None:
                    out.sync()
                reader.commit()
    progress(summary.read)
    return summary


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


def reason_filter(codes: Collection[str] | None) -> frozenset[str]:
    """The codes chosen, in upper case."""
    return frozenset(code.upper() for code in codes or ())


def _check_silence(reader: RawReader, heard_s: float) -> None:
    if reader.total is not None and time.monotonic() - heard_s > SILENCE_S:
        why = f": {reader.trouble}" if reader.trouble else ""
        raise BrokerUnreachable(f"Kafka has sent nothing for {SILENCE_S:.0f} s{why}")
