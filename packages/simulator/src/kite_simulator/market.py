"""A seeded market: instruments that move on their tick grid, as ready-made Kite packets. Pure.

Any token is an instrument; what it is comes from its segment, where it starts from (seed, token).
The same seed and the same calls give the same bytes. Packets are kept in numpy records laid out
like the wire, so that one step moves hundreds of instruments at once and a packet is a copy of
bytes: an ltp packet is the first 8 bytes of a quote packet, which is the first 44 of a full one.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.packets import PacketKind, Segment, is_tradable, segment_of
from kite_contracts.tick_batch import DEPTH_LEVELS, TickMode

Ints = npt.NDArray[np.int64]

START_EPOCH_S: Final = 1_767_584_700
"""2026-01-05 09:15:00 IST, a Monday."""

_DEPTH: Final = np.dtype([("quantity", ">u4"), ("price", ">i4"), ("orders", ">u2"), ("_", ">u2")])
_FULL: Final = np.dtype(
    [(name, ">u4" if name == "token" else ">i4") for name in ("token", "last")]
    + [("last_quantity", ">u4"), ("average", ">i4"), ("volume", ">u4")]
    + [("buy_quantity", ">u4"), ("sell_quantity", ">u4")]
    + [(name, ">i4") for name in ("open", "high", "low", "close")]
    + [(name, ">u4") for name in ("trade_time", "oi", "oi_high", "oi_low", "time")]
    + [("depth", _DEPTH, (2 * DEPTH_LEVELS,))]
)
_INDEX: Final = np.dtype(
    [("token", ">u4")]
    + [(name, ">i4") for name in ("last", "high", "low", "open", "close", "change")]
    + [("time", ">u4")]
)

LENGTHS: Final = MappingProxyType(
    {
        (True, TickMode.LTP): PacketKind.LTP,
        (True, TickMode.QUOTE): PacketKind.QUOTE,
        (True, TickMode.FULL): PacketKind.FULL,
        (False, TickMode.LTP): PacketKind.LTP,
        (False, TickMode.QUOTE): PacketKind.INDEX_QUOTE,
        (False, TickMode.FULL): PacketKind.INDEX_FULL,
    }
)
"""(tradable, mode) -> packet kind, whose value is its length."""


class _Kind(NamedTuple):
    """What instruments of a segment are like; prices are raw integers of the wire."""

    tick: int
    price_low: int
    price_high: int
    lot: int
    has_oi: bool


_STOCK: Final = _Kind(5, 10_000, 400_000, 1, False)
_DERIVATIVE: Final = _Kind(5, 1_000, 2_500_000, 65, True)
_KINDS: Final = MappingProxyType(
    {
        int(Segment.NSE): _STOCK,
        int(Segment.BSE): _STOCK,
        int(Segment.NFO): _DERIVATIVE,
        int(Segment.BFO): _DERIVATIVE,
        int(Segment.CDS): _Kind(25_000, 800_000_000, 1_200_000_000, 1, True),
        int(Segment.BCD): _Kind(25, 800_000, 1_200_000, 1, True),
        int(Segment.MCX): _Kind(100, 20_000, 12_000_000, 10, True),
        int(Segment.MCXSX): _Kind(100, 20_000, 12_000_000, 10, True),
        int(Segment.INDICES): _Kind(5, 1_000_000, 8_500_000, 0, False),
        int(Segment.NCO): _Kind(100, 200_000, 90_000_000, 10, True),
    }
)

_DISTANCE: Final = np.arange(1, DEPTH_LEVELS + 1)
_LARGEST: Final = TickMode.FULL
_TRADABLE: Final = (PacketKind.QUOTE, PacketKind.FULL)
_OI_OF_VOLUME: Final = 3
_U32: Final = 2**32 - 1
_PRICE_MAX: Final = 2**31 - 1 - 10 * 25_000 * DEPTH_LEVELS


class Market:
    """The state of all instruments asked for so far. ``now_s`` is the market's own time."""

    def __init__(self, seed: int, start_epoch_s: int = START_EPOCH_S) -> None:
        self.seed = seed
        self.start_epoch_s = start_epoch_s
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._rows: dict[int, int] = {}
        self._full = np.zeros(64, _FULL)
        self._index = np.zeros(64, _INDEX)
        self._tradable: npt.NDArray[np.bool_] = np.ones(64, np.bool_)
        self._ticks: Ints = np.ones(64, np.int64)
        self._lots: Ints = np.ones(64, np.int64)

    def add(self, tokens: Sequence[int]) -> None:
        """List these instruments; those already listed are left alone."""
        new = [token for token in dict.fromkeys(tokens) if token not in self._rows]
        if not new:
            return
        first = len(self._rows)
        self._grow(first + len(new))
        self._rows.update((token, first + i) for i, token in enumerate(new))
        rows = slice(first, first + len(new))
        self._list_instruments(rows, np.array(new, np.int64))

    def advance(self, tokens: Sequence[int], now_s: float) -> list[bytes]:
        """Move each of these listed instruments once, at ``now_s`` seconds after the start.

        The tokens must differ. Each price moves by one to three ticks, so that every packet is a
        change in every mode. Returns the largest packet of each: 184 bytes, or 32 for an index.
        """
        rows = np.fromiter(map(self._rows.__getitem__, tokens), np.int64, len(tokens))
        tradable = self._tradable[rows]
        steps = self._random.integers(1, 4, len(rows)) * self._random.choice((-1, 1), len(rows))
        epoch_s = self.start_epoch_s + int(now_s)
        if tradable.any():
            self._move_tradables(rows[tradable], steps[tradable], epoch_s)
        if not tradable.all():
            self._move_indices(rows[~tradable], steps[~tradable], epoch_s)
        full = _packets(self._full[rows[tradable]])
        if tradable.all():
            return full
        each_full, each_index = iter(full), iter(_packets(self._index[rows[~tradable]]))
        return [next(each_full if whole else each_index) for whole in tradable.tolist()]

    def last_price(self, token: int) -> int:
        """The last price, a raw integer of the wire; of an instrument not listed its opening."""
        row = self._rows.get(token)
        if row is None:
            return origin_of(self.seed, token).opening
        return int((self._full if is_tradable(token) else self._index)["last"][row])

    def packet(self, token: int, mode: TickMode = TickMode.FULL) -> bytes:
        """The last packet of a listed instrument. Raises KeyError for one not listed."""
        row = self._rows[token]
        whole: bytes = (self._full if is_tradable(token) else self._index)[row].tobytes()
        return cut(whole, mode)

    def _move_tradables(self, rows: Ints, steps: Ints, epoch_s: int) -> None:
        state = self._full[rows]
        size, draw = len(rows), self._random.integers
        ticks = self._ticks[rows]
        last = _moved(state["last"].astype(np.int64), steps, ticks)
        quantity = draw(1, 20, size) * self._lots[rows]
        volume = state["volume"].astype(np.int64)
        average = state["average"].astype(np.int64)
        state["last"] = last
        state["last_quantity"] = quantity
        state["average"] = (average * volume + last * quantity) // (volume + quantity)
        state["volume"] = np.minimum(volume + quantity, _U32)
        state["high"] = np.maximum(state["high"], last)
        state["low"] = np.minimum(state["low"], last)
        state["trade_time"] = epoch_s
        state["time"] = epoch_s
        oi = state["oi"].astype(np.int64)
        oi = np.where(oi > 0, np.clip(oi + draw(-5, 6, size) * self._lots[rows], 1, _U32), 0)
        state["oi"] = oi
        state["oi_high"] = np.maximum(state["oi_high"], oi)
        state["oi_low"] = np.minimum(state["oi_low"], oi)
        self._quote_depth(state, ticks, self._lots[rows])
        self._full[rows] = state

    def _quote_depth(self, state: npt.NDArray[Any], ticks: Ints, lots: Ints) -> None:
        size, draw = len(state), self._random.integers
        quantity = draw(1, 200, (size, 2 * DEPTH_LEVELS)) * lots[:, None]
        depth = _priced_depth(state, ticks)
        depth["quantity"] = quantity
        depth["orders"] = draw(1, 60, (size, 2 * DEPTH_LEVELS))
        state["buy_quantity"] = quantity[:, :DEPTH_LEVELS].sum(axis=1) * 7
        state["sell_quantity"] = quantity[:, DEPTH_LEVELS:].sum(axis=1) * 7

    def _move_indices(self, rows: Ints, steps: Ints, epoch_s: int) -> None:
        state = self._index[rows]
        last = _moved(state["last"].astype(np.int64), steps, self._ticks[rows])
        state["last"] = last
        state["high"] = np.maximum(state["high"], last)
        state["low"] = np.minimum(state["low"], last)
        state["change"] = last - state["close"]
        state["time"] = epoch_s
        self._index[rows] = state

    def _list_instruments(self, rows: slice, tokens: Ints) -> None:
        kinds = [_kind_of(int(token)) for token in tokens]
        lots = np.array([kind.lot for kind in kinds], np.int64)
        has_oi = np.array([kind.has_oi for kind in kinds], np.bool_)
        ticks, close, start = _opening(self.seed, tokens, kinds)
        self._ticks[rows], self._lots[rows] = ticks, lots
        self._tradable[rows] = [is_tradable(token) for token in tokens.tolist()]
        full, index = self._full[rows], self._index[rows]
        for state in (full, index):
            state["token"], state["close"], state["time"] = tokens, close, self.start_epoch_s
            for name in ("last", "open", "high", "low"):
                state[name] = start
        index["change"] = start - close
        full["average"] = start
        full["trade_time"] = self.start_epoch_s
        volume = _volume(self.seed, tokens, lots)
        full["last_quantity"], full["volume"] = lots, volume
        for name in ("oi", "oi_high", "oi_low"):
            full[name] = np.where(has_oi, volume * _OI_OF_VOLUME, 0)
        self._quote_depth_at_listing(full, ticks, lots)

    def _quote_depth_at_listing(self, full: npt.NDArray[Any], ticks: Ints, lots: Ints) -> None:
        """Like any later depth, but not from the common stream: listing must not disturb it."""
        depth, places = _priced_depth(full, ticks), np.tile(_DISTANCE, 2)
        depth["quantity"] = places * lots[:, None]
        depth["orders"] = places
        full["buy_quantity"] = full["sell_quantity"] = 100 * lots

    def _grow(self, needed: int) -> None:
        if needed <= len(self._full):
            return
        capacity = max(needed, 2 * len(self._full))
        self._full = _grown(self._full, capacity)
        self._index = _grown(self._index, capacity)
        self._tradable = _grown(self._tradable, capacity)
        self._ticks = _grown(self._ticks, capacity)
        self._lots = _grown(self._lots, capacity)


def _priced_depth(state: npt.NDArray[Any], ticks: Ints) -> npt.NDArray[Any]:
    """The depth of these instruments, its prices one tick apart around the last one."""
    last, away = state["last"].astype(np.int64)[:, None], _DISTANCE * ticks[:, None]
    depth: npt.NDArray[Any] = state["depth"]
    depth["price"][:, :DEPTH_LEVELS] = last - away
    depth["price"][:, DEPTH_LEVELS:] = last + away
    return depth


class Origin(NamedTuple):
    """What an instrument is like when it is listed; prices are raw integers of the wire, ``close``
    is yesterday's. ``oi`` is 0 where there is none, ``lot`` 0 for an index."""

    tick: int
    lot: int
    opening: int
    close: int
    oi: int


def origin_of(seed: int, token: int) -> Origin:
    """The state of any token before its first move."""
    kind, tokens = _kind_of(token), np.array([token], np.int64)
    tick, close, opening = (int(each[0]) for each in _opening(seed, tokens, [kind]))
    oi = int(_volume(seed, tokens, kind.lot)[0]) * _OI_OF_VOLUME if kind.has_oi else 0
    return Origin(tick, kind.lot, opening, close, oi)


def tick_of(token: int) -> int:
    """The step of the instrument's prices, a raw integer of the wire."""
    return _kind_of(token).tick


def _kind_of(token: int) -> _Kind:
    return _KINDS.get(segment_of(token), _STOCK)


def _opening(seed: int, tokens: Ints, kinds: Sequence[_Kind]) -> tuple[Ints, Ints, Ints]:
    """Tick, yesterday's close and today's opening of each."""
    ticks = np.array([kind.tick for kind in kinds], np.int64)
    low = np.array([kind.price_low for kind in kinds], np.int64)
    high = np.array([kind.price_high for kind in kinds], np.int64)
    close = (low + _hashed(seed, tokens, 1) % (high - low)) // ticks * ticks
    start = close + (_hashed(seed, tokens, 2) % 41 - 20) * ticks
    return ticks, close, start


def _volume(seed: int, tokens: Ints, lots: Ints | int) -> Ints:
    """What was traded before the first move."""
    return (1 + _hashed(seed, tokens, 3) % 100_000) * lots


def _grown(array: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
    """A longer copy. (``concatenate`` would turn the records into the machine's byte order.)"""
    grown = np.zeros(capacity, array.dtype)
    grown[: len(array)] = array
    return grown


def cut(whole: bytes, mode: TickMode) -> bytes:
    """The packet of a mode out of a larger one of the instrument; a smaller one stays as it is."""
    if mode == _LARGEST:
        return whole
    return whole[: LENGTHS[len(whole) in _TRADABLE, mode]]


def _packets(state: npt.NDArray[Any]) -> list[bytes]:
    """The bytes of each record: one copy of all of them, cut up."""
    whole, size = state.tobytes(), state.itemsize
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _moved(last: Ints, steps: Ints, ticks: Ints) -> Ints:
    """The new prices; a step that would leave the price range is taken the other way."""
    moved = last + steps * ticks
    out = (moved < 10 * ticks) | (moved > _PRICE_MAX)
    return np.where(out, last - steps * ticks, moved)


def _hashed(seed: int, tokens: Ints, salt: int) -> Ints:
    """Non-negative numbers from (seed, token, salt) by splitmix64's finalizer."""
    with np.errstate(over="ignore"):
        value = tokens.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + salt) % 2**64)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
    return (value >> np.uint64(2)).astype(np.int64)
