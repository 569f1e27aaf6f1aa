"""The ledger: what went in, what came out, and every line on which the two differ (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kite_live_feed.proof.readback import ReadBack


@dataclass(frozen=True)
class Ledger:
    """The counts of one run, from the sender's own books to the consumer's.

    The rule: sent = journaled = decoded = published + dead-lettered = read back, with nothing lost,
    duplicated or reordered.
    """

    sent_frames: int
    sent_packets: int
    journaled_frames: int
    journaled_packets: int
    decoded_packets: int
    published: int
    dead_lettered: int
    read_back: ReadBack
    expected_reasons: Counter[str] = field(default_factory=Counter)
    """Reason code → dead letters that the fault script must cause."""
    expected_events: Counter[str] = field(default_factory=Counter)
    """Feed event type → how many there must be, and none else; empty where none are counted."""
    lost_before_journal: int = 0
    """Frames that a full disk made the bridge give up, each counted and announced."""

    def lines(self) -> list[tuple[str, int]]:
        """The ledger as (name, count), in the order of the flow."""
        return [
            ("sent: frames", self.sent_frames),
            ("sent: packets", self.sent_packets),
            ("journaled: frames", self.journaled_frames),
            ("journaled: packets", self.journaled_packets),
            ("decoded: packets", self.decoded_packets),
            ("published and acknowledged", self.published),
            ("dead-lettered and acknowledged", self.dead_lettered),
            ("read back: ticks", self.read_back.ticks),
            ("read back: dead letters", self.read_back.dead),
            ("repeats that the filter dropped", self.read_back.repeats_dropped),
            ("lost", self.read_back.lost()),
            ("duplicated", self.read_back.duplicated),
            ("reordered", self.read_back.reordered),
        ]

    def problems(self) -> list[str]:
        """Every imbalance in one sentence; empty when the ledger balances."""
        back = self.read_back
        pairs = [
            ("frames sent", self.sent_frames, "journaled", self.journaled_frames),
            ("packets sent", self.sent_packets, "journaled", self.journaled_packets),
            ("packets journaled", self.journaled_packets, "decoded", self.decoded_packets),
            (
                "packets decoded",
                self.decoded_packets,
                "published + dead-lettered",
                self.published + self.dead_lettered,
            ),
            ("ticks published", self.published, "read back", back.ticks),
            ("dead letters published", self.dead_lettered, "read back", back.dead),
            ("packets lost", back.lost(), "allowed", 0),
            ("packets duplicated", back.duplicated, "allowed", 0),
            ("ticks reordered", back.reordered, "allowed", 0),
            ("frames given up before the journal", self.lost_before_journal, "allowed", 0),
        ]
        found = [
            f"{left_name}: {left}, but {right_name}: {right}"
            for left_name, left, right_name, right in pairs
            if left != right
        ]
        found += [
            f"dead letters with reason {reason}: {back.reasons[reason]}, "
            f"but the fault script causes {self.expected_reasons[reason]}"
            for reason in sorted(self.expected_reasons | back.reasons)
            if back.reasons[reason] != self.expected_reasons[reason]
        ]
        counted = self.expected_events | back.events if self.expected_events else Counter[str]()
        found += [
            f"feed events {name}: {back.events[name]}, "
            f"but the fault script causes {self.expected_events[name]}"
            for name in sorted(counted)
            if back.events[name] != self.expected_events[name]
        ]
        return found

    @property
    def balanced(self) -> bool:
        """True when no line differs and at least one packet went all the way."""
        return self.sent_packets > 0 and not self.problems()
