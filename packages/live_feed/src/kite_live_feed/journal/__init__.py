"""The journal: the queue on disk between the socket and Kafka.

Everything from the socket is appended here first (:class:`JournalWriter`); the pump reads it from
the acknowledged position (:class:`JournalReader`), publishes, and advances that position
(:class:`AckCursor`). Normal running, a broker outage and the start after a crash are one code path.
"""

from kite_live_feed.errors import JournalFull, JournalLocked, JournalUnusable, RecordTooLarge
from kite_live_feed.journal.cursor import AckCursor
from kite_live_feed.journal.journal import Journal
from kite_live_feed.journal.layout import START, Position, Record, RecordKind
from kite_live_feed.journal.reader import JournalReader, read_file
from kite_live_feed.journal.recovery import LastFrame, Recovery
from kite_live_feed.journal.scan import Chunk, Damage, warm_up
from kite_live_feed.journal.segments import JournalOptions, Segment, list_segments
from kite_live_feed.journal.writer import JournalWriter

__all__ = [
    "START",
    "AckCursor",
    "Chunk",
    "Damage",
    "Journal",
    "JournalFull",
    "JournalLocked",
    "JournalOptions",
    "JournalReader",
    "JournalUnusable",
    "JournalWriter",
    "LastFrame",
    "Position",
    "Record",
    "RecordKind",
    "RecordTooLarge",
    "Recovery",
    "Segment",
    "list_segments",
    "read_file",
    "warm_up",
]
