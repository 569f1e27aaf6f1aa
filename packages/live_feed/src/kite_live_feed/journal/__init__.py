"""The journal: the queue on disk between the socket and Kafka.

Everything from the socket is appended here first (:class:`JournalWriter`); the pump reads it from
the acknowledged position (:class:`JournalReader`), publishes, and advances that position
(:class:`AckCursor`). Normal running, a broker outage and the start after a crash are one code path.
:class:`Journal` is all three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kite_live_feed.journal.cursor import AckCursor
from kite_live_feed.journal.layout import Position
from kite_live_feed.journal.reader import JournalReader
from kite_live_feed.journal.recovery import Recovery
from kite_live_feed.journal.scan import Chunk
from kite_live_feed.journal.writer import JournalWriter
from kite_live_feed.options import JournalOptions

__all__ = ["AckCursor", "Chunk", "Journal", "JournalReader", "JournalWriter", "Position"]


class Journal:
    """Opens a folder for writing and reading; a context manager.

    ``writer`` stores, ``reader`` starts at what is not acknowledged yet, ``cursor`` is advanced
    when Kafka has it, ``recovery`` is what the last run left.
    """

    def __init__(
        self,
        directory: Path,
        options: JournalOptions | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Raises JournalLocked and JournalUnusable."""
        self.writer = JournalWriter(directory, options, now_ns)
        self.cursor: AckCursor = self.writer.cursor
        self.recovery: Recovery = self.writer.recovery
        self.reader = self.new_reader()

    def new_reader(self) -> JournalReader:
        """Another reader that starts at the acknowledged position."""
        return JournalReader(self.writer.directory, self.cursor.position, self.writer)

    def close(self) -> None:
        """Seal, sync and release the folder; a second call does nothing."""
        self.reader.close()
        self.writer.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
