"""How fast ticks are encoded and decoded, as a ratio against fastavro in the same run.

    python benchmarks/tick_codec.py

Full-mode ticks (51 columns, about 210 bytes). ``encode`` fills the buffer, ``values`` makes the
``bytes`` objects that the producer needs as well, ``decode`` goes from values to columns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from contracts.tick_rows import tick_record
from kafka_io.codec import AvroCodec
from kafka_io.framing import SingleObjectFraming
from kafka_io.testing import full_batch
from kafka_io.tick_codec import TickEncoder, decode_ticks, encode_ticks, warm_up

ROUNDS = 7
TICKS_A_ROUND = 30_000
FASTAVRO_TICKS = 2_000


def best_rate(task: Callable[[], object], ticks: int, repeats: int) -> float:
    """Ticks a second of processor time, so that a busy machine matters less; the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time()
        for _ in range(repeats):
            task()
        best = min(best, time.thread_time() - start)
    return ticks * repeats / best


def main() -> None:
    warm_up()
    prefix, codec = SingleObjectFraming().prefix("tick", 1), AvroCodec()
    sample = full_batch(FASTAVRO_TICKS)
    records = [tick_record(sample, row) for row in range(FASTAVRO_TICKS)]
    values = encode_ticks(sample, prefix)
    write = best_rate(lambda: [codec.encode("tick", each, 1) for each in records], len(records), 1)
    read = best_rate(lambda: [codec.decode(each) for each in values], len(values), 1)
    print(f"fastavro: encode {write / 1e3:.0f} k/s, decode {read / 1e3:.0f} k/s")
    for rows in (1, 10, 30, 300, 3000):
        batch, repeats = full_batch(rows), max(1, TICKS_A_ROUND // rows)
        encoder, some = TickEncoder(prefix), encode_ticks(batch, prefix)
        encode = best_rate(lambda e=encoder, b=batch: e.encode(b), rows, repeats)  # type: ignore[misc]
        whole = best_rate(lambda b=batch: encode_ticks(b, prefix), rows, repeats)  # type: ignore[misc]
        decode = best_rate(lambda v=some: decode_ticks(v, prefix), rows, repeats)  # type: ignore[misc]
        print(
            f"{rows:5d} rows: encode {encode / 1e6:.2f} M/s ({encode / write:.0f} x), "
            f"values {whole / 1e6:.2f} M/s ({whole / write:.0f} x), "
            f"decode {decode / 1e6:.2f} M/s ({decode / read:.0f} x)"
        )


if __name__ == "__main__":
    main()
