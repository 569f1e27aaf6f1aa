"""The journal: the queue on disk between the socket and Kafka.

Everything from the socket is appended here first (:class:`JournalWriter`); the pump reads it from
the acknowledged position (:class:`JournalReader`), publishes, and advances that position
(:class:`AckCursor`). Normal running, a broker outage and the start after a crash are one code path.
"""

from kite_ws_bridge.errors import JournalFull, JournalLocked, JournalUnusable, RecordTooLarge
from kite_ws_bridge.journal.chunk import Chunk, Damage
from kite_ws_bridge.journal.cursor import AckCursor
from kite_ws_bridge.journal.journal import Journal
from kite_ws_bridge.journal.last_frames import LastFrame
from kite_ws_bridge.journal.layout import START, Position, Record, RecordKind
from kite_ws_bridge.journal.options import JournalOptions
from kite_ws_bridge.journal.reader import JournalReader, read_file
from kite_ws_bridge.journal.recovery import Recovery
from kite_ws_bridge.journal.scan import warm_up
from kite_ws_bridge.journal.segments import Segment, list_segments
from kite_ws_bridge.journal.writer import JournalWriter

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
