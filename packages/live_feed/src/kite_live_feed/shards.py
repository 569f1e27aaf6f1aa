"""Several bridges share a universe: who carries what, and what the next owner must know (pure).

A shard is one connection to Kite. It has a number among all bridges of the feed, its instruments
are those whose token hashes to it, and one bridge carries it at a time. The why is in
docs/decisions/0009-shards-by-consumer-group.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.frames import FRAME_INDEX
from kite_broker_zerodha.subscriptions import (
    EMPTY_PLAN,
    SHARD_TOKENS_MAX,
    Plan,
    PlanError,
    Subscription,
    make_plan,
)
from kite_contracts.tick_batch import TickMode
from kite_live_feed.journal.recovery import LastFrame
from kite_live_feed.options import SHARDS_MAX

TAKEOVERS_MAX: Final = 8
"""A note remembers this many changes of hands."""

_RECEIVED: Final = FRAME_INDEX.index("ts_recv_ns")
_SESSION: Final = FRAME_INDEX.index("feed_session")

Frames = npt.NDArray[np.int64]


def shard_of(token: int, shards: int) -> int:
    """Which of ``shards`` a token belongs to, whatever else is subscribed.

    The finalizer of MurmurHash3 mixes all bits, because the low byte of a token is its segment and
    the rest mostly counts up. Shares are as even as chance makes them: of M instruments a shard has
    M / shards, give or take four times the square root of that.
    """
    mixed = token & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (mixed ^ mixed >> 16) * shards >> 32


def shard_plan(
    requested: Iterable[Subscription], shards: int, shard_tokens_max: int = SHARD_TOKENS_MAX
) -> Plan:
    """The plan of all bridges together: ``shards[i]`` is what shard i carries; it may be empty.

    Raises PlanError for invalid subscriptions, and for a shard with more instruments than a
    connection takes: none is cut off.
    """
    checked = make_plan(requested, EMPTY_PLAN, shards_max=SHARDS_MAX * shards)
    parts: list[dict[int, TickMode]] = [{} for _ in range(shards)]
    for part in checked.shards:
        for token, mode in part.items():
            parts[shard_of(token, shards)][token] = mode
    for number, tokens in enumerate(parts):
        if len(tokens) > shard_tokens_max:
            raise PlanError(
                f"shard {number} of {shards} would have {len(tokens)} instruments, and Kite takes "
                f"{shard_tokens_max} on a connection: share out into more shards (WS_BRIDGE_SHARDS)"
            )
    return Plan(tuple(MappingProxyType(dict(sorted(tokens.items()))) for tokens in parts))


def carried(mine: AbstractSet[int], before: AbstractSet[int], connections: int) -> frozenset[int]:
    """Which of the shards that the group gave are carried: at most ``connections``.

    Those that are carried already come first, so that nothing moves for the sake of a number.
    """
    order = sorted(mine, key=lambda shard: (shard not in before, shard))
    return frozenset(order[:connections])


@dataclass(frozen=True)
class Takeover:
    """A bridge took a shard: ``owner`` names the process, ``since_ns`` is its own wall clock."""

    owner: str
    since_ns: int


@dataclass(frozen=True)
class ShardNote:
    """What an owner leaves for the next one, with the offset of the shard's partition."""

    last_ns: int | None = None
    """Receive time of the last frame that is safe in Kafka, or at which a known gap began."""
    takeovers: tuple[Takeover, ...] = ()
    """The newest last."""

    def taken(self, owner: str, now_ns: int) -> ShardNote:
        kept = (*self.takeovers, Takeover(owner, now_ns))[-TAKEOVERS_MAX:]
        return replace(self, takeovers=kept)

    def until(self, last_ns: int | None) -> ShardNote:
        """The same with a later last frame; an earlier one and None change nothing."""
        if last_ns is None or (self.last_ns is not None and last_ns <= self.last_ns):
            return self
        return replace(self, last_ns=last_ns)

    def encode(self) -> str:
        takeovers = [[each.owner, each.since_ns] for each in self.takeovers]
        return json.dumps({"last_ns": self.last_ns, "takeovers": takeovers})

    @classmethod
    def decode(cls, text: str | None) -> ShardNote:
        """Read a note; no note, or one of another program, is an empty one."""
        try:
            found = json.loads(text or "{}")
            takeovers = tuple(
                Takeover(str(owner), int(since)) for owner, since in found.get("takeovers", ())
            )
            last = found.get("last_ns")
            return cls(None if last is None else int(last), takeovers)
        except (ValueError, TypeError, AttributeError):
            return cls()


def resume_from(note: ShardNote, last: LastFrame | None) -> int | None:
    """Where the gap of a new owner begins; None where no bridge has carried the shard.

    ``last`` is the shard's last frame in the new owner's own journal. It counts where no bridge has
    taken the shard since: then this very bridge carried it, and its journal is published first.
    """
    since_ns = note.takeovers[-1].since_ns if note.takeovers else 0
    if last is not None and last.feed_session >= since_ns:
        return max(note.last_ns or 0, last.ts_recv_ns)
    if not note.takeovers:
        return None
    return note.last_ns if note.last_ns is not None else since_ns


@dataclass(frozen=True)
class Fence:
    """Another bridge took ``shard`` at ``since_ns``: what older sessions received later is not for
    publishing, since the other one publishes it."""

    shard: int
    since_ns: int


def fences_of(notes: Mapping[int, ShardNote], owner: str) -> set[Fence]:
    return {
        Fence(shard, each.since_ns)
        for shard, note in notes.items()
        for each in note.takeovers
        if each.owner != owner
    }


def superseded(frames: Frames, fences: Iterable[Fence]) -> npt.NDArray[np.bool_]:
    """Which rows of a frame index lie behind a fence (a feed session's number is its start)."""
    sessions, received = frames[:, _SESSION], frames[:, _RECEIVED]
    shards = sessions & (SHARDS_MAX - 1)
    behind = np.zeros(len(frames), np.bool_)
    for fence in fences:
        behind |= (
            (shards == fence.shard) & (sessions < fence.since_ns) & (received >= fence.since_ns)
        )
    return behind


def newest_frames(frames: Frames) -> dict[int, int]:
    """Shard → receive time of its last frame among these rows."""
    shards = (frames[:, _SESSION] & (SHARDS_MAX - 1)).tolist()
    return dict(zip(shards, frames[:, _RECEIVED].tolist(), strict=True))


def lasting(notes: Mapping[int, ShardNote], shards: Sequence[int], owner: str) -> set[int]:
    """Those of ``shards`` that only ``owner`` has taken since it did."""
    return {
        shard
        for shard in shards
        if not notes[shard].takeovers or notes[shard].takeovers[-1].owner == owner
    }
