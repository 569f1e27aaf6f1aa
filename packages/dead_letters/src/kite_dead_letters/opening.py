"""Which way a dump reads: record by record, or in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Final

from kite_dead_letters.classify import Classifier
from kite_dead_letters.dump.dump_file import Lines
from kite_dead_letters.work import DumpOptions, RecordWork, Work
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.source import Place
from kite_kafka_io.spans import Ranges, Span

BULK_RECORDS: Final = 50_000
"""Below so many records a process is done before the compiled loops are loaded."""
PATIENCE_S: Final = 1.0
"""Loading the loops takes 0.4 s; where they must be compiled, 5 to 10 s or more."""
PREPARING: Final = "preparing the loops for large topics; the first time on a machine takes longest"

Tell = Callable[[str], None]


@contextmanager
def open_work(
    kafka: KafkaSettings,
    topics: Sequence[str],
    span: Span,
    ranges: Ranges,
    out: Lines | None,
    options: DumpOptions,
    tell: Tell | None = None,
) -> Iterator[Work]:
    """The work on these ranges, in bulk where that is quicker; ``tell`` is told what takes long.

    Raises ConfigurationError, BrokerUnreachable and UnknownTopic.
    """
    classifier = Classifier(open_framing(kafka))
    ends = _ends(ranges)
    if ends is not None and _count(ends) >= BULK_RECORDS:
        # Imported here, because the compiled loops take longer to load than most dumps take.
        with _telling(PREPARING, tell):
            from kite_dead_letters.bulk_work import BulkWork, warm_up
            from kite_kafka_io.bulk_reader import BulkReader

            warm_up()
        with BulkReader(kafka, ends, span=span) as bulk:
            yield BulkWork(bulk, classifier, out, options)
    else:
        with RawReader(kafka, topics, span=span, ranges=ranges) as reader:
            yield RecordWork(reader, classifier, out, options)


@contextmanager
def _telling(text: str, tell: Tell | None) -> Iterator[None]:
    """Tell it as soon as what is done here takes longer than ``PATIENCE_S``."""
    timer = Timer(PATIENCE_S, tell or _nobody, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _nobody(text: str) -> None:
    """A helper process leaves it to the first one."""


def _ends(ranges: Ranges) -> dict[Place, tuple[int, int]] | None:
    """The ranges, if each has an end."""
    found = {place: (first, end) for place, (first, end) in ranges.items() if end is not None}
    return found if len(found) == len(ranges) else None


def _count(ranges: dict[Place, tuple[int, int]]) -> int:
    return sum(max(0, end - first) for first, end in ranges.values())
