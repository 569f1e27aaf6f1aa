"""Decode speed of full packets, as ratios in one run: ``decode_frames.py [--repeat 20]``.

compiled   frames.decode_frames: columns, every bound of the contract checked, many frames a call
one frame  the same, one frame a call
reference  reference.decode_frame: one struct at a time into dicts, no check
kiteconnect KiteTicker._parse_binary
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import numpy as np
from kiteconnect import KiteTicker  # type: ignore[import-untyped]

from broker_zerodha.frames import decode_frames, frame_index, warm_up
from broker_zerodha.fuzzing import random_packet
from broker_zerodha.packets import PacketKind
from broker_zerodha.reference import decode_frame
from broker_zerodha.wire import encode_frame
from contracts.bounds import tick_bounds
from contracts.tick_batch import TickBatch

PACKETS_A_CALL = 3000
PACKETS_OF_SLOW_DECODERS = 300


def packets_per_second(decode: Callable[[], object], packets: int, repeat: int) -> float:
    """The best of ``repeat`` runs, of which each decodes ``packets``."""
    best = float("inf")
    for _ in range(repeat):
        started = time.perf_counter()
        decode()
        best = min(best, time.perf_counter() - started)
    return packets / best


def measure(packets: int, repeat: int) -> dict[str, float]:
    """Packets a second of each decoder, for frames of so many full packets."""
    source = random.Random(packets)
    count = max(1, PACKETS_A_CALL // packets)
    frames = [
        encode_frame([random_packet(PacketKind.FULL, source) for _ in range(packets)])
        for _ in range(count)
    ]
    size = len(frames[0])
    buffer = np.frombuffer(b"".join(frames), np.uint8)
    rows = [(i * size, (i + 1) * size, i, 1, i * packets) for i in range(count)]
    index = frame_index(rows)
    batch, bounds, ticker = TickBatch(count * packets), tick_bounds(), KiteTicker("key", "token")
    few = frames[: max(1, PACKETS_OF_SLOW_DECODERS // packets)]

    def whole() -> None:
        decode_frames(buffer, index, batch, bounds)

    def single() -> None:
        for i in range(count):
            decode_frames(buffer, index[i : i + 1], batch, bounds)

    def reference() -> None:
        for frame in few:
            decode_frame(frame, ts_recv_ns=1, feed_session=1, first_seq=0)

    def kiteconnect() -> None:
        for frame in few:
            ticker._parse_binary(frame)

    whole()
    if batch.size != count * packets or batch.verdict[: batch.size].any():
        raise SystemExit("the packets did not decode to good ticks")
    return {
        "compiled": packets_per_second(whole, count * packets, repeat),
        "one frame": packets_per_second(single, count * packets, repeat),
        "reference": packets_per_second(reference, len(few) * packets, repeat),
        "kiteconnect": packets_per_second(kiteconnect, len(few) * packets, repeat),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20, help="best of so many runs")
    options = parser.parse_args()
    warm_up()
    print("full packets a second (k), and how many times kiteconnect's parser")
    print(
        f"{'a frame':>8} {'compiled':>16} {'one frame':>16} {'reference':>16} {'kiteconnect':>12}"
    )
    for packets in (1, 10, 30, 100, 300):
        speed = measure(packets, options.repeat)
        kite = speed["kiteconnect"]
        cells = [
            f"{speed[name] / 1000:>9,.0f} {speed[name] / kite:>5.1f}x"
            for name in ("compiled", "one frame", "reference")
        ]
        print(f"{packets:>8} {cells[0]:>16} {cells[1]:>16} {cells[2]:>16} {kite / 1000:>12,.0f}")


if __name__ == "__main__":
    main()
