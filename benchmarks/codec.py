"""Frame bytes to checked, encoded records, without Kafka: the compiled loops and their oracles."""

from __future__ import annotations

import io
from collections.abc import Sequence
from time import thread_time

import fastavro
import numpy as np
from kiteconnect import KiteTicker  # type: ignore[import-untyped]

from benchmarks.measure import Figure, Spread, in_turns, rate, ratios
from benchmarks.stage import full_frames
from kite_broker_zerodha.frames import decode_frames, frame_index
from kite_contracts.bounds import tick_bounds
from kite_contracts.schemas import avro_schema
from kite_contracts.tick_batch import TickBatch
from kite_contracts.tick_rows import tick_record
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.tick_codec import TickEncoder, decode_ticks, encode_ticks

TITLE = "Decode, check and encode, without Kafka, in one thread's processor time"
SIZES = (1, 10, 30, 100, 500)
TICKS = 20_000
SLOW_TICKS = 1_000
REPEATS = 30
BUDGETS = {10: 0.8e6, 30: 1e6, 100: 1e6, 500: 1e6}


class Whole:
    """One frame at a time through both loops, as bytes objects that a producer takes."""

    def __init__(self, frames: Sequence[bytes], packets: int) -> None:
        self._batch, self._bounds = TickBatch(packets), tick_bounds()
        self._encoder = TickEncoder(SingleObjectFraming().prefix("tick", 1))
        self._frames = [
            (np.frombuffer(frame, np.uint8), frame_index([(0, len(frame), 1, 1, number)]))
            for number, frame in enumerate(frames)
        ]

    def decode(self) -> None:
        """Decode and check."""
        for buffer, index in self._frames:
            decode_frames(buffer, index, self._batch, self._bounds)

    def run(self) -> None:
        """Decode, check and encode."""
        batch, encoder, bounds = self._batch, self._encoder, self._bounds
        for buffer, index in self._frames:
            decode_frames(buffer, index, batch, bounds)
            encoder.encode(batch)


def run(rounds: int) -> list[Figure]:
    """All figures of this part."""
    found: list[Figure] = []
    for packets in SIZES:
        found += _of_size(packets, rounds)
    return [*found, *_reading(rounds)]


def _of_size(packets: int, rounds: int) -> list[Figure]:
    frames = full_frames(packets, max(4, TICKS // packets))
    few = frames[: max(1, SLOW_TICKS // packets)]
    whole, ticker = Whole(frames, packets), KiteTicker("key", "token")

    def parse() -> None:
        for frame in few:
            ticker._parse_binary(frame)

    rates = in_turns(
        rounds,
        {
            "all": rate(whole.run, packets * len(frames), thread_time),
            "decode": rate(whole.decode, packets * len(frames), thread_time),
            "kite": rate(parse, packets * len(few), thread_time),
        },
    )
    where = f"{packets} packets a frame"
    return [
        Figure.of(
            f"decode, check and encode, {where}",
            "ticks/s",
            Spread.of(rates["all"]),
            BUDGETS.get(packets),
            at=packets,
        ),
        Figure.of(f"decode and check, {where}", "ticks/s", Spread.of(rates["decode"])),
        Figure.of(
            f"decode and check against KiteTicker's parser, {where}",
            "x",
            ratios(rates["decode"], rates["kite"]),
        ),
    ]


def _reading(rounds: int) -> list[Figure]:
    """Both directions of Avro against fastavro."""
    packets, schema = 300, fastavro.parse_schema(avro_schema("tick", 1))
    batch = TickBatch(packets)
    frame = full_frames(packets, 1)[0]
    index = frame_index([(0, len(frame), 1, 1, 0)])
    decode_frames(np.frombuffer(frame, np.uint8), index, batch, tick_bounds())
    prefix = SingleObjectFraming().prefix("tick", 1)
    records = [tick_record(batch, row) for row in range(packets)]
    values = encode_ticks(batch, prefix)
    bodies = [value[len(prefix) :] for value in values]

    def write() -> None:
        for record in records:
            fastavro.schemaless_writer(io.BytesIO(), schema, record)

    def encode() -> None:
        for _ in range(REPEATS):
            encode_ticks(batch, prefix)

    def decode() -> None:
        for _ in range(REPEATS):
            decode_ticks(values, prefix)

    def read() -> None:
        for body in bodies:
            fastavro.schemaless_reader(io.BytesIO(body), schema, None)

    rates = in_turns(
        rounds,
        {
            "encode": rate(encode, REPEATS * packets, thread_time),
            "write": rate(write, packets, thread_time),
            "decode": rate(decode, REPEATS * packets, thread_time),
            "read": rate(read, packets, thread_time),
        },
    )
    return [
        Figure.of("Avro encode against fastavro", "x", ratios(rates["encode"], rates["write"])),
        Figure.of("Avro decode against fastavro", "x", ratios(rates["decode"], rates["read"])),
    ]
