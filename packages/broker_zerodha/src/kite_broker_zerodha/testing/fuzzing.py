"""A fuzzer for the decoder: seeded frames, good, mutated and noise, compared with the reference.

Quicker than Hypothesis, so that a million frames are a matter of a minute or two.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np

from kite_broker_zerodha.frames import count_slots, decode_frames, frame_index
from kite_broker_zerodha.packets import LAYOUTS, MAX_FRAME_ROWS, PacketKind, Segment, Wire
from kite_broker_zerodha.testing import reference
from kite_broker_zerodha.wire import encode_frame
from kite_contracts.bounds import COLUMN_GROUPS, TickBounds
from kite_contracts.tick_batch import FIELDS, TickBatch, Verdict

EXCHANGE_EPOCH_S: Final = 315_513_000
"""1980-01-01 00:00 IST, the zero of the exchanges' clock: the contract takes no earlier time."""

_SEGMENTS: Final = tuple(Segment)


def random_packet(kind: PacketKind, random: random.Random) -> bytes:
    """A packet that decodes to a good tick; any bytes but for its token and times."""
    packet = bytearray(random.randbytes(kind))
    packet[3] = random.choice(_SEGMENTS)
    for _, wire, offset in LAYOUTS[kind].fields:
        if wire in (Wire.SECONDS, Wire.TRADE_SECONDS):
            seconds = random.randrange(EXCHANGE_EPOCH_S, 2**32)
            packet[offset : offset + 4] = seconds.to_bytes(4, "big")
    return bytes(packet)


def mutate(frame: bytes, random: random.Random) -> bytes:
    """The frame with up to four faults: a bit flipped, bytes cut, repeated, removed or put in."""
    data = bytearray(frame)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(data))
        until = min(len(data), at + random.choice((1, 2, 4, 30, 200)))
        match random.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at:until]
            case 3:
                data[at:at] = data[at:until]
            case _:
                data[at:at] = random.randbytes(random.choice((1, 2, 7, 28)))
    return bytes(data)


@dataclass
class FuzzResult:
    """What a fuzzing run saw: ``good + dead == slots`` always holds, or the run has failed."""

    frames: int = 0
    slots: int = 0
    good: int = 0
    dead: dict[str, int] = field(default_factory=dict)

    def add(self, other: FuzzResult) -> None:
        """Count another run's frames too."""
        self.frames += other.frames
        self.slots += other.slots
        self.good += other.good
        for name, count in other.dead.items():
            self.dead[name] = self.dead.get(name, 0) + count


def fuzz_frames(seed: int) -> Iterator[bytes]:
    """Frames without end: whole ones, mutated ones and plain noise; the same for the same seed."""
    source = random.Random(seed)
    kinds, weights = list(PacketKind), (6, 3, 3, 3, 2)
    while True:
        chosen = source.choices(kinds, weights, k=source.randrange(5))
        frame = encode_frame([random_packet(kind, source) for kind in chosen])
        match source.randrange(10):
            case 0:
                yield frame
            case 1:
                yield source.randbytes(source.randrange(64))
            case 2:
                yield source.randrange(4).to_bytes(2, "big") + source.randbytes(64)
            case _:
                yield mutate(frame, source)


def fuzz(count: int, seed: int, bounds: TickBounds, frames_per_call: int = 500) -> FuzzResult:
    """Decode ``count`` fuzzed frames and compare every row with the reference.

    Raises AssertionError, which names the frame in hex, at the first difference.
    """
    result = FuzzResult()
    source = fuzz_frames(seed)
    batch = TickBatch(MAX_FRAME_ROWS)
    while result.frames < count:
        wanted_frames = min(frames_per_call, count - result.frames)
        _decode_and_compare(list(itertools.islice(source, wanted_frames)), batch, bounds)
        result.add(_tally(batch, wanted_frames))
    return result


def _decode_and_compare(frames: list[bytes], batch: TickBatch, bounds: TickBounds) -> None:
    """The frames lie side by side in one buffer: a read beyond one gives another value."""
    slots = [count_slots(frame) for frame in frames]
    starts = list(itertools.accumulate(map(len, frames), initial=0))
    seqs = list(itertools.accumulate(slots, initial=0))
    index = frame_index([(starts[i], starts[i + 1], i, i, seqs[i]) for i in range(len(frames))])
    decoded = decode_frames(np.frombuffer(b"".join(frames), np.uint8), index, batch, bounds)
    assert decoded == len(frames), f"{decoded} of {len(frames)} frames"
    assert batch.size == seqs[-1], f"{batch.size} rows for {seqs[-1]} slots"
    for i, frame in enumerate(frames):
        wanted = reference.decode_frame(
            frame, ts_recv_ns=i, feed_session=i, first_seq=seqs[i], bounds=bounds
        )
        found = [reference_row(batch, row, starts[i]) for row in range(seqs[i], seqs[i + 1])]
        assert found == wanted, f"{frame.hex()}\nfound  {found}\nwanted {wanted}"


def reference_row(batch: TickBatch, row: int, frame_start: int = 0) -> reference.Row:
    """A row of the batch in the form of the reference, with the columns that mean something."""
    groups = int(batch.groups[row])
    values = batch.values[row].tolist()
    return reference.Row(
        verdict=int(batch.verdict[row]),
        start=int(batch.start[row]) - frame_start,
        end=int(batch.end[row]) - frame_start,
        mode=int(batch.mode[row]),
        groups=groups,
        values={FIELDS[column]: values[column] for column in _columns_of(groups)},
    )


@cache
def _columns_of(groups: int) -> tuple[int, ...]:
    own = (int(group) for group in COLUMN_GROUPS)
    return tuple(column for column, group in enumerate(own) if group == 0 or groups & group)


def _tally(batch: TickBatch, decoded: int) -> FuzzResult:
    result = FuzzResult(frames=decoded, slots=batch.size)
    verdicts, counts = np.unique(batch.verdict[: batch.size], return_counts=True)
    for verdict, count in zip(verdicts.tolist(), counts.tolist(), strict=True):
        if verdict == Verdict.OK:
            result.good = count
        else:
            name = Verdict(verdict).name if verdict < 0 else f"OUT_OF_BOUNDS {FIELDS[verdict - 1]}"
            result.dead[name] = count
    assert result.good + sum(result.dead.values()) == result.slots
    return result
