"""The numbers of the simulated feed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from kite_broker_zerodha.subscriptions import SHARD_TOKENS_MAX, SHARDS_MAX
from kite_simulator.faults import Fault
from kite_simulator.market import START_EPOCH_S


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What the simulator does.

    ``ticks``            moves of the market in total, then only heartbeats; None never ends
    ``rate_per_s``       moves a second; None is as fast as the clients read
    ``frame_packets``    packets in a frame, at most
    ``expected_tokens``  the market stands still while fewer instruments are subscribed, so that a
                         run with disconnects has the same frames each time; 1 runs with anyone
    ``settle_s``         it also stands still until no client has said anything for this long
    ``dead_tokens``      access tokens refused with HTTP 403; without an account every other one
                         is accepted
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    ticks: int | None = None
    rate_per_s: float | None = 1000.0
    frame_packets: int = 100
    expected_tokens: int = 1
    settle_s: float = 0.1
    script: tuple[Fault, ...] = ()
    dead_tokens: frozenset[str] = frozenset()
    heartbeat_s: float = 1.0
    connections_max: int = SHARDS_MAX
    tokens_max: int = SHARD_TOKENS_MAX
    start_epoch_s: int = START_EPOCH_S
    ssl_context: ssl.SSLContext | None = None
