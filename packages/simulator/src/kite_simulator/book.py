"""Who subscribed to what, and whose turn it is. Pure: messages in, replies and frames out."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from kite_broker_zerodha.subscriptions import SHARD_TOKENS_MAX, TOKEN_MAX
from kite_contracts.tick_batch import TickMode
from kite_simulator.market import Market

BLOCK_TOKENS: Final = 512
"""Instruments moved in one step of the market, however small the frames are."""

_MODES: Final = {mode.name.lower(): mode for mode in TickMode}


@dataclass(slots=True)
class Reply:
    """What a client message leads to: first packets of these tokens, and error texts."""

    tokens: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class ClientBook:
    """The subscription of one connection, as Kite keeps it.

    A new token starts in quote mode. Tokens above the limit are refused with one error and the
    rest stays; duplicates in a message count too. Tokens that are no JSON numbers deliver nothing.
    """

    def __init__(self, tokens_max: int = SHARD_TOKENS_MAX) -> None:
        self.modes: dict[int, TickMode] = {}
        self._tokens_max = tokens_max

    def handle(self, text: str | bytes) -> Reply:
        """Obey one message; never raises."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return Reply(errors=["the message is no JSON"])
        action = message.get("a") if isinstance(message, dict) else None
        value = message.get("v") if isinstance(message, dict) else None
        match action, value:
            case "subscribe", list():
                return self._subscribe(value)
            case "unsubscribe", list():
                for token in _tokens(value):
                    self.modes.pop(token, None)
                return Reply()
            case "mode", [str(name), list(tokens)] if name in _MODES:
                return self._set_mode(_MODES[name], tokens)
        return Reply(errors=["the message is not understood"])

    def _subscribe(self, value: list[Any]) -> Reply:
        reply, refused, room = Reply(), 0, self._tokens_max - len(self.modes)
        for token in _tokens(value):
            if room <= 0:
                refused += token not in self.modes
                continue
            room -= 1
            if token not in self.modes:
                self.modes[token] = TickMode.QUOTE
                reply.tokens.append(token)
        if refused:
            reply.errors.append(
                f"{refused} instruments refused: at most {self._tokens_max} on a connection"
            )
        return reply

    def _set_mode(self, mode: TickMode, value: list[Any]) -> Reply:
        changed = [token for token in _tokens(value) if self.modes.get(token, mode) != mode]
        self.modes.update(dict.fromkeys(changed, mode))
        return Reply(tokens=changed)


def _tokens(value: list[Any]) -> list[int]:
    return [
        token
        for token in value
        if isinstance(token, int) and not isinstance(token, bool) and 1 <= token <= TOKEN_MAX
    ]


class Updates(NamedTuple):
    """The next packets (the largest of each instrument), and the clients that get them."""

    clients: tuple[int, ...]
    tokens: tuple[int, ...]
    packets: tuple[bytes, ...]


@dataclass(slots=True)
class _Group:
    """Instruments subscribed by exactly the same clients: they share frames."""

    clients: tuple[int, ...]
    tokens: tuple[int, ...]
    sent: int = 0
    queue: deque[tuple[int, bytes]] = field(default_factory=deque)
    turn: deque[int] = field(default_factory=deque)


class Feed:
    """Deals out the market's moves: each instrument once in a round, in a seeded order.

    Clients are numbers here: the place in the last ``regroup``. Groups take turns in proportion to
    their size, so every connection has the same rate for each of its instruments.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._random = np.random.Generator(np.random.PCG64((market.seed, 1)))
        self._groups: list[_Group] = []

    def regroup(self, books: Sequence[Mapping[int, TickMode]]) -> None:
        """The subscriptions changed. Moves that were prepared are skipped."""
        holders: dict[int, list[int]] = {}
        for client, book in enumerate(books):
            for token in book:
                holders.setdefault(token, []).append(client)
        groups: dict[tuple[int, ...], list[int]] = {}
        for token in sorted(holders):
            groups.setdefault(tuple(holders[token]), []).append(token)
        self._groups = [_Group(clients, tuple(tokens)) for clients, tokens in groups.items()]

    def next_updates(self, packets_max: int, now_s: float) -> Updates:
        """Up to ``packets_max`` moves of one group. Raises ValueError without a subscription."""
        group = min(self._groups, key=lambda each: each.sent / len(each.tokens))
        if not group.queue:
            self._prepare(group, now_s)
        count = min(packets_max, len(group.queue))
        dealt = [group.queue.popleft() for _ in range(count)]
        group.sent += count
        tokens, packets = zip(*dealt, strict=True)
        return Updates(group.clients, tokens, packets)

    def _prepare(self, group: _Group, now_s: float) -> None:
        if not group.turn:
            group.turn.extend(self._random.permutation(np.array(group.tokens)).tolist())
        tokens = [group.turn.popleft() for _ in range(min(BLOCK_TOKENS, len(group.turn)))]
        group.queue.extend(zip(tokens, self._market.advance(tokens, now_s), strict=True))
