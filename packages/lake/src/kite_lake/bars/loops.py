"""From ticks to bars, as compiled loops over the integer matrix of a tick batch (pure).

An instrument has a ring of slots for each interval: a bar's slot is its number since 1970 modulo
the ring. Every decision is made tick by tick, from what the ticks before it said, so that the same
ticks give the same bars however they are cut into batches.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kite_contracts.tick_batch import (
    ABSENT,
    FEED_SESSION,
    LAST_PRICE,
    OPEN_INTEREST,
    PRICE_SCALE,
    TRADE,
    TS_EVENT_NS,
    TS_RECV_NS,
)
from kite_runtime.compiled import compiled

Ints = npt.NDArray[np.int64]

# A bar's slot.
OPEN_NS: Final = 0
OPEN: Final = 1
HIGH: Final = 2
LOW: Final = 3
CLOSE: Final = 4
FIRST_NS: Final = 5
LAST_NS: Final = 6
VOLUME: Final = 7
OI: Final = 8
OI_NS: Final = 9
TICKS: Final = 10
VERSION: Final = 11
FLAWED: Final = 12
SCALE: Final = 13
SHARD: Final = 14
SLOT_FIELDS: Final = 15
FREE: Final = -1
"""``OPEN_NS`` of a slot without a bar."""

# What is known of an instrument's volume: of the last tick that had one.
VOLUME_NS: Final = 0
VOLUME_DAY: Final = 1
BASE_FIELDS: Final = 2

SHARDS: Final = 16
"""A feed session's low four bits are its shard."""
# The clock of a partition; after these the shards' event times, then their receive times.
WATERMARK: Final = 0
RECEIVED: Final = 1
LATE: Final = 2
SHARD_EVENT: Final = 3
SHARD_RECEIVED: Final = 3 + SHARDS
CLOCK_FIELDS: Final = 3 + 2 * SHARDS

AHEAD_NS: Final = 60_000_000_000
"""An exchange time so far after the receive time is a fault, and the receive time counts."""
_VOLUME_DAY: Final = TRADE + 2
_GROUP_TRADE: Final = 2
_GROUP_OI: Final = 4
_IST_NS: Final = 19_800_000_000_000
_DAY_NS: Final = 86_400_000_000_000

# A bar that is given out: which ring and instrument, then its slot.
OUT_RING: Final = 0
OUT_ROW: Final = 1
OUT_SLOT: Final = 2
OUT_FIELDS: Final = OUT_SLOT + SLOT_FIELDS


@compiled
def fold(
    values: Ints,
    groups: npt.NDArray[np.uint8],
    picked: Ints,
    rows: Ints,
    base: Ints,
    clock: Ints,
    ring: Ints,
    ring_size: int,
    number: int,
    interval_ns: int,
    lateness_ns: int,
    revise_ns: int,
    idle_ns: int,
    out: Ints,
) -> int:
    """Take ticks ``picked`` of the batch, of the instruments ``rows``, into one ring.

    ``ring`` is (instruments x ring_size, SLOT_FIELDS). ``base`` and ``clock`` are the ring's own.
    ``out`` takes the bars that are final or revised, three a tick at most; returns how many.
    """
    count = 0
    for at in range(picked.size):
        tick = picked[at]
        row = rows[at]
        received = values[tick, TS_RECV_NS]
        ts = values[tick, TS_EVENT_NS]
        if ts == ABSENT or ts <= 0 or ts > received + AHEAD_NS:
            ts = received
        shard = values[tick, FEED_SESSION] & (SHARDS - 1)
        price = values[tick, LAST_PRICE]
        # Volume: what the day's counter moved since the last tick of the instrument.
        volume = 0
        flawed = False
        if groups[tick] & _GROUP_TRADE:
            counter = values[tick, _VOLUME_DAY]
            known_ns = base[row, VOLUME_NS]
            if known_ns < 0:
                flawed = counter > 0
                base[row, VOLUME_NS] = ts
                base[row, VOLUME_DAY] = counter
            elif ts >= known_ns:
                known = base[row, VOLUME_DAY]
                same_day = (ts + _IST_NS) // _DAY_NS == (known_ns + _IST_NS) // _DAY_NS
                if same_day:
                    if counter >= known:
                        volume = counter - known
                    else:
                        flawed = True
                    base[row, VOLUME_NS] = ts
                    base[row, VOLUME_DAY] = counter
                elif counter != known:
                    volume = counter
                    base[row, VOLUME_NS] = ts
                    base[row, VOLUME_DAY] = counter
        opens = ts - ts % interval_ns
        slot = row * ring_size + (opens // interval_ns) % ring_size
        bar = ring[slot]
        mark = clock[WATERMARK]
        if opens + interval_ns + lateness_ns + revise_ns <= mark or bar[OPEN_NS] > opens:
            clock[LATE] += 1
        else:
            if bar[OPEN_NS] != opens:
                if bar[OPEN_NS] != FREE and bar[VERSION] == 0:
                    bar[VERSION] = 1
                    out[count, OUT_RING] = number
                    out[count, OUT_ROW] = row
                    out[count, OUT_SLOT:] = bar
                    count += 1
                bar[OPEN_NS] = opens
                bar[OPEN] = bar[HIGH] = bar[LOW] = bar[CLOSE] = price
                bar[FIRST_NS] = bar[LAST_NS] = ts
                bar[VOLUME] = 0
                bar[OI] = ABSENT
                bar[OI_NS] = -1
                bar[TICKS] = 0
                bar[VERSION] = 0
                bar[FLAWED] = 0
                bar[SCALE] = values[tick, PRICE_SCALE]
            elif bar[VERSION] == 0 and opens + interval_ns + lateness_ns <= mark:
                bar[VERSION] = 1
                out[count, OUT_RING] = number
                out[count, OUT_ROW] = row
                out[count, OUT_SLOT:] = bar
                count += 1
            if ts < bar[FIRST_NS]:
                bar[FIRST_NS] = ts
                bar[OPEN] = price
            if ts >= bar[LAST_NS]:
                bar[LAST_NS] = ts
                bar[CLOSE] = price
            bar[HIGH] = max(bar[HIGH], price)
            bar[LOW] = min(bar[LOW], price)
            bar[VOLUME] += volume
            bar[TICKS] += 1
            bar[SHARD] = shard
            if flawed:
                bar[FLAWED] = 1
            if groups[tick] & _GROUP_OI and ts >= bar[OI_NS]:
                bar[OI_NS] = ts
                bar[OI] = values[tick, OPEN_INTEREST]
            if bar[VERSION] > 0:
                bar[VERSION] += 1
            elif opens + interval_ns + lateness_ns <= mark:
                bar[VERSION] = 1  # its first tick came when it should have been over
            if bar[VERSION] > 0:
                out[count, OUT_RING] = number
                out[count, OUT_ROW] = row
                out[count, OUT_SLOT:] = bar
                count += 1
        # The watermark: the slowest shard that is not idle.
        moved = False
        if ts > clock[SHARD_EVENT + shard]:
            clock[SHARD_EVENT + shard] = ts
            moved = True
        if received > clock[SHARD_RECEIVED + shard]:
            clock[SHARD_RECEIVED + shard] = received
            clock[RECEIVED] = max(clock[RECEIVED], received)
            moved = True
        if moved:
            low = clock[SHARD_EVENT + shard]
            for other in range(SHARDS):
                heard = clock[SHARD_RECEIVED + other]
                if heard > 0 and heard > clock[RECEIVED] - idle_ns:
                    low = min(low, clock[SHARD_EVENT + other])
            clock[WATERMARK] = max(mark, low)
    return count


@compiled
def due(ring: Ints, until_ns: int, out: Ints, number: int, ring_size: int) -> int:
    """The bars that opened before ``until_ns`` and were not given out yet, made final; how many.

    With an ``out`` that is too small none is touched: call again with one of the size returned.
    """
    count = 0
    for slot in range(ring.shape[0]):
        if 0 <= ring[slot, OPEN_NS] < until_ns and ring[slot, VERSION] == 0:
            count += 1
    if count > out.shape[0]:
        return count
    at = 0
    for slot in range(ring.shape[0]):
        bar = ring[slot]
        if 0 <= bar[OPEN_NS] < until_ns and bar[VERSION] == 0:
            bar[VERSION] = 1
            out[at, OUT_RING] = number
            out[at, OUT_ROW] = slot // ring_size
            out[at, OUT_SLOT:] = bar
            at += 1
    return count
