"""Three watchdogs over a feed that can die without saying so. Pure: time is an argument.

    level 1   InboundWatchdog   any inbound byte: the connection itself
    level 2   FlowWatchdog      frames with ticks: connected, heartbeats arrive, and yet mute,
                                later or from the first moment
    level 3   SymbolWatchdog    each instrument: its own silence, while its market is open

Kite sends a heartbeat about every second, so five seconds without a byte are a dead connection
(the official Go and JavaScript clients use the same limit). Ticks and instruments have no fixed
interval; there a silence is called one when it is far longer than what was usual before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kite_broker_zerodha.session.liveness_loop import note_frame

IsOpen = Callable[[int, int], bool]
"""``is_open(instrument_token, now_ns)``: whether this instrument trades at that time."""

NS_PER_S: Final = 1_000_000_000


def always_open(_token: int, _now_ns: int) -> bool:
    """The calendar of a market that never closes; used when no other is given."""
    return True


class InboundWatchdog:
    """Level 1: seconds without any inbound byte. All times are monotonic seconds."""

    __slots__ = ("limit_s", "heard_s")

    def __init__(self, limit_s: float, now_s: float) -> None:
        self.limit_s = limit_s
        self.heard_s = now_s

    def silent_s(self, now_s: float) -> float:
        return now_s - self.heard_s

    def is_dead(self, now_s: float) -> bool:
        return self.silent_s(now_s) >= self.limit_s


class FlowWatchdog:
    """Level 2: learns the usual rate of tick frames and reports when they stopped.

    Mute means: no frame for ``floor_s``, and for ``factor`` times the usual distance between two
    frames. With frames at random that happens by chance once in e**20. The rate is an exponential
    mean over ``memory_s`` that begins at 0 and is not taught by the silence itself: a busy
    connection has its rate within seconds, one illiquid instrument never gets that of a busy one.
    Kite's first packets, one of each instrument at once, teach nothing (``SNAPSHOT_S``).

    A connection without any frame is mute after ``first_s``, whatever was usual before: Kite sends
    the last packet of each token as soon as it is subscribed to.
    """

    SNAPSHOT_S: Final = 0.5
    """From the first frame on; instruments that are subscribed to together come within this."""

    def __init__(
        self,
        floor_s: float,
        factor: float = 20.0,
        memory_s: float = 60.0,
        first_s: float = 30.0,
    ) -> None:
        self._first_s = first_s
        self._has_frames = False
        self._floor_s = floor_s
        self._factor = factor
        self._memory_s = memory_s
        self._rate = 0.0
        self._teaches_from_s = inf
        self._frames = 0
        self._sampled_s = 0.0
        self._moved_s = 0.0

    def restart(self, frames: int, now_s: float) -> None:
        """A connection begins; ``frames`` is the running count of frames so far."""
        self._frames, self._sampled_s, self._moved_s = frames, now_s, now_s
        self._has_frames = False

    def sample(self, frames: int, now_s: float) -> bool:
        """Take the running count of frames; returns whether the feed is mute now."""
        if frames == self._frames:
            return self.is_mute(now_s)
        if not self._has_frames:
            self._teaches_from_s = now_s + min(self.SNAPSHOT_S, self._floor_s / 20)
        elapsed_s = now_s - self._sampled_s
        if elapsed_s > 0 and now_s > self._teaches_from_s:
            rate = (frames - self._frames) / elapsed_s
            self._rate += min(1.0, elapsed_s / self._memory_s) * (rate - self._rate)
        self._frames, self._sampled_s, self._moved_s = frames, now_s, now_s
        self._has_frames = True
        return False

    def rest(self, now_s: float) -> None:
        """The market is closed: silence counts from now on only."""
        self._moved_s = now_s

    def is_mute(self, now_s: float) -> bool:
        limit_s = max(self._floor_s, self._factor / self._rate) if self._rate else inf
        if not self._has_frames:
            limit_s = min(limit_s, self._first_s)
        return self.silent_s(now_s) >= limit_s

    def silent_s(self, now_s: float) -> float:
        return now_s - self._moved_s


class StaleChange(NamedTuple):
    """What changed since the last look: tokens that fell silent, and the last time of any."""

    tokens: tuple[int, ...]
    from_ns: int


class SymbolWatchdog:
    """Level 3: for each instrument the time since its last tick, against its own usual distance.

    An instrument is stale when it was silent, during open hours, for longer than ``factor`` times
    its mean distance between ticks, but at least ``floor_s`` and at most ``cap_s``. It is reported
    once, and again only after it ticked in between; what becomes stale within ``every_s`` of a
    report is in the next one. Until its usual distance is known, the cap counts. Times are receive
    times, ns since the epoch.
    """

    TICKS_KNOWN: Final = 5
    QUIET_NS: Final = 5 * NS_PER_S
    """Silence after which the calendar is asked, so that closed hours hardly count."""

    def __init__(
        self,
        floor_s: float = 60.0,
        cap_s: float = 900.0,
        factor: float = 20.0,
        every_s: float = 60.0,
        is_open: IsOpen = always_open,
    ) -> None:
        self._every_ns = int(every_s * NS_PER_S)
        self._next_ns = 0
        self._floor_ns = int(floor_s * NS_PER_S)
        self._cap_ns = int(cap_s * NS_PER_S)
        self._factor = factor
        self._is_open = is_open
        self._tokens: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._first_ns: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._last_ns: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._ticks: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._reported: npt.NDArray[np.bool_] = np.empty(0, np.bool_)

    def watch(self, tokens: Sequence[int], now_ns: int) -> None:
        """Watch exactly these tokens; what is known of those already watched is kept."""
        wanted = np.unique(np.asarray(tokens, np.int64))
        found, place = self._find(wanted)
        fresh_ns = np.full(len(wanted), now_ns, np.int64)
        first_ns, last_ns = fresh_ns, fresh_ns.copy()
        ticks, reported = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
        for new, old in (
            (first_ns, self._first_ns),
            (last_ns, self._last_ns),
            (ticks, self._ticks),
            (reported, self._reported),
        ):
            new[found] = old[place[found]]
        self._tokens, self._first_ns, self._last_ns = wanted, first_ns, last_ns
        self._ticks, self._reported = ticks, reported

    def saw(self, frame: bytes, ts_recv_ns: int) -> None:
        """A frame arrived, of any bytes. Tokens not watched are ignored."""
        note_frame(self._tokens, self._last_ns, self._ticks, self._reported, frame, ts_recv_ns)

    def resume(self, now_ns: int) -> None:
        """A gap ended: its silence is known already and is not held against any instrument."""
        np.maximum(self._last_ns, now_ns, out=self._last_ns)

    def clock_jumped(self, by_ns: int, now_ns: int) -> None:
        """Somebody set the machine's clock: what was seen before counts from the new time.

        What was seen since then, and lies nearer to ``now_ns`` than to the old time, stays.
        """
        before = (self._last_ns < now_ns - by_ns // 2) == (by_ns > 0)
        self._first_ns[before] += by_ns
        self._last_ns[before] += by_ns
        self._next_ns += by_ns

    def stale(self, now_ns: int) -> StaleChange | None:
        """The instruments that became stale since the last report, or None; at most ``every_s``.

        One that is silent because its market is closed starts over, as if watched from now.
        """
        np.minimum(self._last_ns, now_ns, out=self._last_ns)  # a frame from before a jump back
        known = self._ticks >= self.TICKS_KNOWN
        mean_ns = (self._last_ns - self._first_ns) / np.maximum(self._ticks, 1)
        limit_ns = np.where(
            known, np.clip(self._factor * mean_ns, self._floor_ns, self._cap_ns), self._cap_ns
        )
        silent_ns = now_ns - self._last_ns
        quiet = np.flatnonzero(silent_ns >= np.minimum(limit_ns, self.QUIET_NS))
        is_open = np.array(
            [self._is_open(int(token), now_ns) for token in self._tokens[quiet]], np.bool_
        )
        closed, candidates = quiet[~is_open], quiet[is_open]
        self._first_ns[closed] = self._last_ns[closed] = now_ns
        self._ticks[closed], self._reported[closed] = 0, False
        rows = candidates[(silent_ns >= limit_ns)[candidates] & ~self._reported[candidates]]
        if not len(rows) or now_ns < self._next_ns:
            return None
        self._next_ns = now_ns + self._every_ns
        self._reported[rows] = True
        tokens = tuple(int(token) for token in self._tokens[rows])
        return StaleChange(tokens, int(self._last_ns[rows].min()))

    def _find(
        self, tokens: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
        """For each token whether it is watched, and at which row."""
        if not len(self._tokens):
            return np.zeros(len(tokens), np.bool_), np.zeros(len(tokens), np.intp)
        place = np.searchsorted(self._tokens, tokens)
        place[place == len(self._tokens)] = 0
        found: npt.NDArray[np.bool_] = self._tokens[place] == tokens
        return found, place
