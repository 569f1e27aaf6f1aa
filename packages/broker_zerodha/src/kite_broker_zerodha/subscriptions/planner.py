"""The subscription planner: which instrument goes to which connection, in which mode.

Kite allows 3000 instruments on a connection and 3 connections for an api_key. A token that has a
place keeps it, so that a changed subscription file costs only the messages of the difference. The
module is pure: a plan is a value, sending it is the session's work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from kite_broker_zerodha.errors import BrokerError
from kite_broker_zerodha.packets import PacketKind, Segment, is_tradable, segment_of
from kite_contracts.tick_batch import TickMode
from kite_runtime.errors import ConfigurationError

SHARDS_MAX: Final = 3
"""Connections that Kite allows for one api_key."""

SHARD_TOKENS_MAX: Final = 3000
"""Instruments that Kite allows on one connection."""

TOKEN_MAX: Final = 2**32 - 1
"""Instrument tokens are unsigned 32-bit numbers on the wire; 0 is none."""

ShardPlan = Mapping[int, TickMode]
"""What one connection carries: instrument token -> mode."""

_SEGMENT_NAMES: Final = MappingProxyType({int(segment): segment.name for segment in Segment})

_PACKET_BYTES: Final = MappingProxyType(
    {
        (True, TickMode.LTP): int(PacketKind.LTP),
        (True, TickMode.QUOTE): int(PacketKind.QUOTE),
        (True, TickMode.FULL): int(PacketKind.FULL),
        (False, TickMode.LTP): int(PacketKind.LTP),
        (False, TickMode.QUOTE): int(PacketKind.INDEX_QUOTE),
        (False, TickMode.FULL): int(PacketKind.INDEX_FULL),
    }
)


class PlanError(BrokerError, ConfigurationError):
    """The requested subscription cannot be planned: the message names token or number, and why."""


class Subscription(NamedTuple):
    """One request: an instrument and its mode."""

    token: int
    mode: TickMode


@dataclass(frozen=True, slots=True)
class Plan:
    """Up to ``SHARDS_MAX`` connections with their tokens and modes; ``shards[i]`` is shard i."""

    shards: tuple[ShardPlan, ...]

    @property
    def tokens(self) -> int:
        """How many instruments the plan holds."""
        return sum(map(len, self.shards))

    def shard_of(self, token: int) -> int | None:
        """The shard that carries this token."""
        return next((number for number, shard in enumerate(self.shards) if token in shard), None)


EMPTY_PLAN: Final = Plan(())


@dataclass(frozen=True, slots=True)
class ShardDiff:
    """What turns one shard's old subscription into the new one; tokens in ascending order.

    Every subscribed token is in ``modes`` too: a mode is always said, never assumed.
    """

    shard: int
    unsubscribe: tuple[int, ...]
    subscribe: tuple[int, ...]
    modes: Mapping[TickMode, tuple[int, ...]]

    def __bool__(self) -> bool:
        return bool(self.unsubscribe or self.subscribe or self.modes)


def make_plan(
    requested: Iterable[Subscription],
    previous: Plan = EMPTY_PLAN,
    homes: Mapping[int, int] = MappingProxyType({}),
    *,
    shards_max: int = SHARDS_MAX,
    shard_tokens_max: int = SHARD_TOKENS_MAX,
) -> Plan:
    """Place every request; tokens of ``previous`` stay where they are.

    A token that comes back goes to the shard that ``homes`` names, where that has room, even if
    that shard had gone: its ticks then carry a feed session that is not older than that of its
    last ones.

    A new plan uses as few connections as hold all tokens, each with about the same bytes to carry
    (a full packet weighs 184, ltp 8). The result does not depend on the order of the requests.

    Raises PlanError for a token that is no u32 above 0, a duplicate, or more tokens than fit.
    """
    modes = _checked(requested, shards_max * shard_tokens_max, shards_max, shard_tokens_max)
    shards: list[dict[int, TickMode]] = [{} for _ in previous.shards[:shards_max]]
    placed: set[int] = set()
    for shard, old in zip(shards, previous.shards, strict=False):
        for token in old:
            if token in modes and len(shard) < shard_tokens_max and token not in placed:
                shard[token] = modes[token]
                placed.add(token)
    back = [homes[token] for token in modes if token not in placed and token in homes]
    last_home = max((home for home in back if home < shards_max), default=-1)
    needed = max(-(-len(modes) // shard_tokens_max), last_home + 1)
    shards.extend({} for _ in range(needed - len(shards)))
    loads = [sum(weight(token, mode) for token, mode in shard.items()) for shard in shards]
    rest = sorted(
        (item for item in modes.items() if item[0] not in placed),
        key=lambda item: (item[0] not in homes, -weight(*item), item[0]),
    )
    for token, mode in rest:
        room = [number for number, shard in enumerate(shards) if len(shard) < shard_tokens_max]
        number = homes.get(token, -1)
        if number not in room:
            number = min(room, key=lambda n: (loads[n], n))
        shards[number][token] = mode
        loads[number] += weight(token, mode)
    while shards and not shards[-1]:
        shards.pop()
    return Plan(tuple(MappingProxyType(dict(sorted(shard.items()))) for shard in shards))


def weight(token: int, mode: TickMode) -> int:
    """Bytes of one packet of this instrument in this mode."""
    return _PACKET_BYTES[is_tradable(token), mode]


def diff(old: Plan, new: Plan) -> list[ShardDiff]:
    """The smallest change from one plan to the other, one entry for each shard that changes."""
    empty: ShardPlan = {}
    count = max(len(old.shards), len(new.shards))
    pairs = (
        (
            old.shards[number] if number < len(old.shards) else empty,
            new.shards[number] if number < len(new.shards) else empty,
        )
        for number in range(count)
    )
    changes = (diff_shard(number, before, after) for number, (before, after) in enumerate(pairs))
    return [change for change in changes if change]


def diff_shard(shard: int, old: ShardPlan, new: ShardPlan) -> ShardDiff:
    """The smallest change of one connection's subscription."""
    modes: dict[TickMode, list[int]] = {}
    for token in sorted(new):
        if old.get(token) != new[token]:
            modes.setdefault(new[token], []).append(token)
    return ShardDiff(
        shard=shard,
        unsubscribe=tuple(sorted(old.keys() - new.keys())),
        subscribe=tuple(sorted(new.keys() - old.keys())),
        modes={mode: tuple(tokens) for mode, tokens in sorted(modes.items())},
    )


def describe(plan: Plan, shard_tokens_max: int = SHARD_TOKENS_MAX) -> dict[str, Any]:
    """The plan in numbers, ready for JSON or a table: per shard its tokens, modes and segments."""
    return {
        "tokens": plan.tokens,
        "shards": [
            {
                "shard": number,
                "tokens": len(shard),
                "free": shard_tokens_max - len(shard),
                "modes": _counted(mode.name.lower() for mode in shard.values()),
                "segments": _counted(_segment_name(token) for token in shard),
                "bytes_a_round": sum(weight(token, mode) for token, mode in shard.items()),
            }
            for number, shard in enumerate(plan.shards)
        ],
    }


def _checked(
    requested: Iterable[Subscription], tokens_max: int, shards_max: int, shard_tokens_max: int
) -> dict[int, TickMode]:
    modes: dict[int, TickMode] = {}
    for token, mode in requested:
        if isinstance(token, bool) or not isinstance(token, int) or not 1 <= token <= TOKEN_MAX:
            raise PlanError(f"{token!r} is no instrument token: expected 1 to {TOKEN_MAX}")
        if not isinstance(mode, TickMode):
            raise PlanError(f"token {token}: {mode!r} is no mode; expected ltp, quote or full")
        if token in modes:
            raise PlanError(f"token {token} is there twice, and duplicates count for Kite's limit")
        modes[token] = mode
    if len(modes) > tokens_max:
        raise PlanError(
            f"{len(modes)} tokens are {len(modes) - tokens_max} too many: "
            f"Kite allows {shards_max} connections with {shard_tokens_max} each"
        )
    return modes


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _segment_name(token: int) -> str:
    number = segment_of(token)
    return _SEGMENT_NAMES.get(number, str(number))


def chunked(tokens: Sequence[int], size: int) -> list[Sequence[int]]:
    """The tokens in pieces of at most ``size``, in order."""
    return [tokens[start : start + size] for start in range(0, len(tokens), size)]
