"""The consumer's side of the ledger: what ``ticks``, ``ticks.dlq`` and ``feed.events`` hold.

Lost, duplicated and reordered come from the numbers of the packets. Silences come from the receive
times: between two feed sessions of a shard, and within one where nothing came for long, there must
be a gap event that begins at or before the last frame and ends at or after the next one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from faults.outcome import Outcome
from kite_broker_zerodha.session.events import SHARD_BITS
from kite_kafka_io.consumer import RecordReader, TickReader
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.proof import Mark, ReadBack
from kite_live_feed.topics import Topics

SILENCE_NS = 20_000_000_000
"""Ten seconds are the shortest stall for the watchdogs; they and the machine need time."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Gap:
    """A gap as the events tell it; ``to_ns`` is None while it is open."""

    shard: int
    from_ns: int
    to_ns: int | None
    cause: str
    opened_ns: int
    """When it was told: minus ``from_ns`` it is the time of detection."""
    tokens: int


@dataclass
class Proof:
    """Everything that a consumer can say about a run."""

    back: ReadBack
    events: list[dict[str, Any]] = field(default_factory=list)
    times: dict[int, Times] = field(default_factory=dict)
    """feed_session → receive times of its frames, ascending."""

    @property
    def gaps(self) -> list[Gap]:
        """The gaps, each once, by their id."""
        found: dict[str, Gap] = {}
        for event in self.events:
            if event["type"] not in ("GAP_OPENED", "GAP_CLOSED"):
                continue
            before = found.get(event["gap_id"])
            told_ns = event["ts_ns"] if before is None else before.opened_ns
            ends: int | None = event["to_ns"]
            if ends is None and before is not None:
                ends = before.to_ns
            found[event["gap_id"]] = Gap(
                event["shard"], event["from_ns"], ends, event["cause"], told_ns,
                len(event["tokens"]),
            )  # fmt: skip
        return list(found.values())

    def counted(self, kind: str) -> int:
        """Events of a type."""
        return sum(event["type"] == kind for event in self.events)

    def demand_nothing_lost(self, outcome: Outcome) -> None:
        """The four promises of every fault."""
        back = self.back
        outcome.note("ticks read back", back.ticks)
        outcome.note("dead letters read back", back.dead)
        outcome.note("repeats dropped by the filter", back.repeats_dropped)
        outcome.demand("lost", back.lost(), 0)
        outcome.demand("duplicated", back.duplicated, 0)
        outcome.demand("reordered", back.reordered, 0)
        self.demand_gaps(outcome)

    def demand_gaps(self, outcome: Outcome) -> None:
        """Every silence is in a gap event."""
        outcome.note("gaps", len(self.gaps))
        told = silences(self.times)
        outcome.note("silences", len(told))
        missed = uncovered(told, self.gaps)
        outcome.demand("silences without a gap event", len(missed), 0)
        for shard, last_ns, first_ns in missed[:5]:
            since = datetime.fromtimestamp(last_ns / 1e9, UTC)
            outcome.problems.append(
                f"shard {shard}: no gap event for {(first_ns - last_ns) / 1e9:.1f} s from {since}"
            )


def silences(times: dict[int, Times]) -> list[tuple[int, int, int]]:
    """(shard, last frame before, first frame after) of every silence, in ns (pure)."""
    found: list[tuple[int, int, int]] = []
    ends: dict[int, int] = {}
    for session in sorted(times):
        shard, stamps = session & ((1 << SHARD_BITS) - 1), times[session]
        if not len(stamps):
            continue
        if shard in ends:
            found.append((shard, ends[shard], int(stamps[0])))
        for at in np.flatnonzero(np.diff(stamps) > SILENCE_NS).tolist():
            found.append((shard, int(stamps[at]), int(stamps[at + 1])))
        ends[shard] = int(stamps[-1])
    return found


def uncovered(told: list[tuple[int, int, int]], gaps: list[Gap]) -> list[tuple[int, int, int]]:
    """The silences with a moment that is in no gap event with tokens (pure). A silence may be in
    several that follow each other: a restart, and then a journal without room."""
    found = []
    for shard, last, first in told:
        covered_to = last
        for gap in sorted(gaps, key=lambda each: each.from_ns):
            if gap.shard == shard and gap.tokens and gap.from_ns <= covered_to:
                covered_to = max(covered_to, gap.to_ns or 0)
        if covered_to < first:
            found.append((shard, last, first))
    return found


def prove(kafka: KafkaSettings, mark: Mark, sessions: dict[int, int], feed: str) -> Proof:
    """Read the three topics from ``mark`` on. ``sessions``: feed_session → packets numbered."""
    topics, framing = Topics(), SingleObjectFraming()
    proof = Proof(ReadBack(sessions))
    stamps: dict[int, list[Times]] = {session: [] for session in sessions}
    with TickReader(
        kafka, topics.ticks, from_offsets=mark.offsets[topics.ticks], until_end=True,
        framing=framing,
    ) as ticks:  # fmt: skip
        for columns in ticks:
            of, seqs = columns.column("feed_session"), columns.column("feed_seq")
            received = columns.column("ts_recv_ns")
            proof.back.add_ticks(columns.column("instrument_token"), of, seqs)
            for session in np.unique(of).tolist():
                if session in stamps:
                    stamps[session].append(np.unique(received[of == session]))
        if ticks.duplicates is not None:
            proof.back.repeats_dropped = ticks.duplicates.dropped
    with RecordReader(
        kafka, [topics.dead], from_offsets=mark.offsets[topics.dead], until_end=True
    ) as dead:
        for record in dead:
            letter = record.dead_letter()
            if letter.feed_session in stamps and letter.feed_seq is not None:
                proof.back.add_dead_letter(letter.feed_session, letter.feed_seq, letter.reason)
                stamps[letter.feed_session].append(np.array([letter.first_failure_ns], np.int64))
    proof.times = {
        session: np.unique(np.concatenate([np.empty(0, np.int64), *each]))
        for session, each in stamps.items()
    }
    with RecordReader(
        kafka, [topics.events], from_offsets=mark.offsets[topics.events], until_end=True,
        framing=framing,
    ) as events:  # fmt: skip
        # An event that was published twice, after a restart, says the same thing twice.
        told = [event for record in events if (event := record.decode().record)["feed"] == feed]
    proof.events = list({repr(event): event for event in told}.values())
    proof.back.events = Counter(event["type"] for event in proof.events)
    return proof
