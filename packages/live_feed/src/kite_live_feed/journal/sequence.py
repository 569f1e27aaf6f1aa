"""Frames of a feed session number their packets without a gap: what is missing shows (pure)."""

from __future__ import annotations

from kite_broker_zerodha.frames import count_slots
from kite_live_feed.journal.scan import Chunk, Damage


class Sequence:
    """Follows the numbers of each session over the chunks of a journal, read in order."""

    def __init__(self) -> None:
        self._ends: dict[int, tuple[int, int]] = {}
        """feed_session → the number that comes next, and when the last frame was received."""

    def forget(self) -> None:
        """What is read next need not follow what was read before."""
        self._ends.clear()

    def breaks(self, chunk: Chunk) -> list[Damage]:
        """Where packets are missing, although every record that is there is good.

        Where bytes are damaged, their report stands for the packets that were in them.
        """
        if chunk.damage:
            self.forget()
            return []
        found = []
        for row in chunk.frame_rows:
            first_seq = row.first_seq
            expected, before_ns = self._ends.get(row.feed_session, (first_seq, 0))
            if first_seq > expected:
                cause = f"packets {expected} to {first_seq - 1} of a session are missing"
                about = (row.shard, None, row.feed_session, expected, before_ns, row.ts_recv_ns)
                found.append(Damage(row.start, row.start, cause, *about))
            after = first_seq + count_slots(chunk.payload(row))
            self._ends[row.feed_session] = after, row.ts_recv_ns
        return found
