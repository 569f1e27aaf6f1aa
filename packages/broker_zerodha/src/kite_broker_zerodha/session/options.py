"""The numbers of a session. Durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kite_broker_zerodha.network import Network
from kite_broker_zerodha.session.events import GapCause
from kite_broker_zerodha.session.liveness import IsOpen, always_open
from kite_broker_zerodha.session.messages import CHUNK_TOKENS
from kite_runtime.retry import Backoff

KITE_ENDPOINT: Final = "wss://ws.kite.trade"

FRAME_BYTES_MAX: Final = 2 + 65535 * 186
"""The largest frame that Kite's u16 count can announce; beyond it the connection is not Kite's."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session behaves; the defaults are for the live feed.

    ``inbound_silence_s``   without any byte for this long the connection is dropped
    ``stall_s``             shortest silence of ticks that counts as a stall (level 2)
    ``flow_memory_s``       time over which the usual rate of ticks is learned (level 2)
    ``first_tick_s``        longest wait for the first tick of a connection (level 2)
    ``stall_reconnect_s``   a stall this long ends the connection, in case another one works
    ``symbol_floor_s``, ``symbol_cap_s``  bounds of the silence of one instrument (level 3)
    ``is_open``             calendar of levels 2 and 3
    ``watch_s``             how often the watchdogs look
    ``auth_again_s``        how soon credentials are tried a second time after their first refusal
    ``auth_poll_s``         how often changed credentials are looked for after a refusal
    ``auth_retry_s``        how often the refused ones are tried again nevertheless
    ``open_timeout_s``, ``close_timeout_s``  limits of the two handshakes
    ``frame_bytes_max``     larger messages end the connection
    ``queue_frames``        messages parsed ahead; beyond it the kernel's buffers and TCP hold back
    ``chunk_tokens``        tokens in one subscription message
    ``resume_from_ns``      receive time of the last frame an earlier run kept: opens a gap at start
    ``resume_cause``        cause of that gap
    ``network``             authorities for ``wss://``, and the proxy
    """

    inbound_silence_s: float = 5.0
    stall_s: float = 10.0
    flow_memory_s: float = 60.0
    first_tick_s: float = 30.0
    stall_reconnect_s: float = 60.0
    symbol_floor_s: float = 60.0
    symbol_cap_s: float = 900.0
    is_open: IsOpen = always_open
    watch_s: float = 0.5
    auth_again_s: float = 2.0
    auth_poll_s: float = 1.0
    auth_retry_s: float = 60.0
    open_timeout_s: float = 10.0
    close_timeout_s: float = 1.0
    frame_bytes_max: int = FRAME_BYTES_MAX
    queue_frames: int = 256
    chunk_tokens: int = CHUNK_TOKENS
    resume_from_ns: int | None = None
    resume_cause: GapCause = GapCause.RESTART
    network: Network = field(default_factory=Network)
    backoff_first_s: float = 0.5
    backoff_cap_s: float = 30.0
    backoff_stable_s: float = 30.0
    headers: dict[str, str] = field(default_factory=lambda: {"X-Kite-Version": "3"})

    def backoff(self) -> Backoff:
        return Backoff(self.backoff_first_s, self.backoff_cap_s, stable_s=self.backoff_stable_s)
