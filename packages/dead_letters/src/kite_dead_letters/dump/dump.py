"""The loop of ``dump``, whoever does the work."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kite_dead_letters.dump.summary import Summary
from kite_dead_letters.work import Work
from kite_kafka_io.errors import BrokerUnreachable
from kite_runtime.stopping import Stop

WAIT_S: Final = 0.2
TELL_S: Final = 0.1
SILENCE_S: Final = 30.0
"""With records left to read and none arriving for so long, the broker is taken to be away."""
_GC_OBJECTS: Final = 200_000


def dump(work: Work, stop: Stop, progress: Callable[[int], None]) -> Summary:
    """Work to the end, or until asked to stop.

    ``progress`` is told ten times a second how many records were read so far. Raises
    BrokerUnreachable, ReadError and DumpFailed.
    """
    summary = work.summary
    heard_s = told_s = time.monotonic()
    with seldom_collected():
        while not work.finished and not stop:
            count = work.step(WAIT_S)
            now_s = time.monotonic()
            if now_s - told_s > TELL_S:
                told_s = now_s
                progress(summary.read)
            if count:
                heard_s = now_s
            else:
                _check_silence(work, heard_s)
    work.finish()
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


def _check_silence(work: Work, heard_s: float) -> None:
    if work.total is not None and time.monotonic() - heard_s > SILENCE_S:
        why = f": {work.trouble}" if work.trouble else ""
        raise BrokerUnreachable(f"Kafka has sent nothing for {SILENCE_S:.0f} s{why}")
