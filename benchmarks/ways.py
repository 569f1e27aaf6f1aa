"""The ways from a frame to an acknowledged record that are compared with the bridge's.

``Plain``    what a user writes: KiteTicker's parser, jsonschema, fastavro, ``produce``
``Quick``    the same with the quickest libraries: struct, jsonschema-rs, fastavro, ``produce``
``Ready``    no work at all: the bytes were made beforehand; ``produce_batch``, or ``produce``

All write the same contract to the same topic with the same settings, count each acknowledgement
in a callback, and hold at most ``IN_FLIGHT`` unacknowledged records.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import fastavro
import jsonschema_rs
import numpy as np
from confluent_kafka import KafkaError, Message, Producer
from jsonschema import Draft202012Validator
from kiteconnect import KiteTicker  # type: ignore[import-untyped]

from benchmarks.measure import NotMeasured
from benchmarks.stage import IN_FLIGHT
from kite_broker_zerodha.frames import decode_frames, frame_index
from kite_contracts.bounds import tick_bounds
from kite_contracts.schemas import avro_schema, json_schema
from kite_contracts.tick_batch import TickBatch
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.producer import producer_config
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.tick_codec import encode_ticks

Record = dict[str, Any]
SESSION = 1_767_584_700_000_000_000
_NS = 1_000_000_000
LINGER_MS = 1
"""What suits these ways best; the bridge gathers its ticks itself."""


class Way(Protocol):
    """One way to move frames into Kafka."""

    def run(self, frames: Sequence[bytes]) -> None:
        """Publish these frames and return when the last record is acknowledged."""

    def close(self) -> None:
        """Leave Kafka."""


class _Producing:
    """A producer and the least that a callback must do."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        config = {**producer_config(settings), "linger.ms": LINGER_MS, "log_level": 0}
        self._producer = Producer(config)
        self._topic = topic
        self._outstanding = 0
        self._producer.list_topics(topic, timeout=30)

    def _report(self, error: KafkaError | None, message: Message) -> None:
        self._outstanding -= 1
        if error is not None:
            raise NotMeasured(f"Kafka refuses a record of the benchmark: {error.str()}")

    def _room(self) -> None:
        self._producer.poll(0)
        while self._outstanding > IN_FLIGHT:
            self._producer.poll(0.001)

    def _finish(self) -> None:
        while self._outstanding:
            self._producer.poll(0.01)

    def close(self) -> None:
        self._producer.flush(30)


class _Recording(_Producing):
    """Frames become records, one after the other; ``records`` and ``check`` differ."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, topic)
        self._schema: Any = fastavro.parse_schema(avro_schema("tick", 1))
        self._prefix = SingleObjectFraming().prefix("tick", 1)
        self._seq = 0

    def records(self, frame: bytes, ts_recv_ns: int) -> list[Record]:
        raise NotImplementedError

    def check(self, record: Record) -> None:
        raise NotImplementedError

    def run(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            for record in self.records(frame, time.time_ns()):
                self.check(record)
                out = io.BytesIO()
                out.write(self._prefix)
                fastavro.schemaless_writer(out, self._schema, record)
                self._outstanding += 1
                key = b"%d" % record["instrument_token"]
                self._producer.produce(self._topic, out.getvalue(), key, on_delivery=self._report)
            self._room()
        self._finish()

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq - 1


class Plain(_Recording):
    """KiteTicker's parser, jsonschema, fastavro."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, topic)
        self._ticker = KiteTicker("key", "token")
        self._validator = Draft202012Validator(json_schema("tick", 1))

    def records(self, frame: bytes, ts_recv_ns: int) -> list[Record]:
        return [
            {
                "instrument_token": tick["instrument_token"],
                "mode": tick["mode"],
                "ts_recv_ns": ts_recv_ns,
                "ts_event_ns": _ns(tick["exchange_timestamp"]),
                "feed_session": SESSION,
                "feed_seq": self._next_seq(),
                "price_scale": 2,
                "last_price": _price(tick["last_price"]),
                "ohlc": {name: _price(value) for name, value in tick["ohlc"].items()},
                "trade": {
                    "last_quantity": tick["last_traded_quantity"],
                    "average_price": _price(tick["average_traded_price"]),
                    "volume_day": tick["volume_traded"],
                    "total_buy_quantity": tick["total_buy_quantity"],
                    "total_sell_quantity": tick["total_sell_quantity"],
                    "last_trade_time_ns": _ns(tick["last_trade_time"]),
                },
                "open_interest": {
                    "oi": tick["oi"],
                    "day_high": tick["oi_day_high"],
                    "day_low": tick["oi_day_low"],
                },
                "index_change": None,
                "depth": {
                    name: [{**level, "price": _price(level["price"])} for level in levels]
                    for name, levels in (
                        ("bids", tick["depth"]["buy"]),
                        ("asks", tick["depth"]["sell"]),
                    )
                },
            }
            for tick in self._ticker._parse_binary(frame)
        ]

    def check(self, record: Record) -> None:
        self._validator.validate(record)


def _price(rupees: float) -> int:
    return round(rupees * 100)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * _NS


class Quick(_Recording):
    """struct, jsonschema-rs, fastavro. Full packets of shares only, which is what it is given."""

    _PACKET = struct.Struct(">IiIiIIIiiiiIIIII" + "IiH2x" * 10)

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, topic)
        self._validator = jsonschema_rs.Draft202012Validator(json_schema("tick", 1))

    def records(self, frame: bytes, ts_recv_ns: int) -> list[Record]:
        size, unpack = self._PACKET.size + 2, self._PACKET.unpack_from
        return [self._record(unpack(frame, at), ts_recv_ns) for at in range(4, len(frame), size)]

    def _record(self, n: tuple[int, ...], ts_recv_ns: int) -> Record:
        levels = [
            {"quantity": n[i], "price": n[i + 1], "orders": n[i + 2]} for i in range(16, 46, 3)
        ]
        return {
            "instrument_token": n[0], "mode": "full", "ts_recv_ns": ts_recv_ns,
            "ts_event_ns": n[15] * _NS, "feed_session": SESSION, "feed_seq": self._next_seq(),
            "price_scale": 2, "last_price": n[1],
            "ohlc": {"open": n[7], "high": n[8], "low": n[9], "close": n[10]},
            "trade": {
                "last_quantity": n[2], "average_price": n[3], "volume_day": n[4],
                "total_buy_quantity": n[5], "total_sell_quantity": n[6],
                "last_trade_time_ns": n[11] * _NS,
            },
            "open_interest": {"oi": n[12], "day_high": n[13], "day_low": n[14]},
            "index_change": None,
            "depth": {"bids": levels[:5], "asks": levels[5:]},
        }  # fmt: skip

    def check(self, record: Record) -> None:
        self._validator.validate(record)


class Ready(_Producing):
    """The bytes of each frame's records, made beforehand: the limit of confluent-kafka."""

    def __init__(self, settings: KafkaSettings, topic: str, *, batched: bool = True) -> None:
        super().__init__(settings, topic)
        self._batched = batched
        self._made: dict[bytes, tuple[list[bytes], list[bytes]]] = {}

    def prepare(self, frames: Sequence[bytes]) -> None:
        """Make the bytes; not part of what is measured."""
        prefix = SingleObjectFraming().prefix("tick", 1)
        for frame in frames:
            self._made[frame] = ready_made(frame, prefix)

    def run(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            values, keys = self._made[frame]
            if self._batched:
                messages: list[dict[str, object]] = [
                    {"value": value, "key": key} for value, key in zip(values, keys, strict=True)
                ]
                self._outstanding += self._producer.produce_batch(
                    self._topic, messages, on_delivery=self._report
                )
            else:
                self._outstanding += len(values)
                for value, key in zip(values, keys, strict=True):
                    self._producer.produce(self._topic, value, key, on_delivery=self._report)
            self._room()
        self._finish()


def ready_made(frame: bytes, prefix: bytes) -> tuple[list[bytes], list[bytes]]:
    """Values and keys of the frame's records. Raises NotMeasured if one is no good tick."""
    buffer = np.frombuffer(frame, np.uint8)
    batch = TickBatch(max(1, len(frame) // 8))
    decode_frames(buffer, frame_index([(0, len(frame), SESSION, SESSION, 0)]), batch, tick_bounds())
    if batch.verdict[: batch.size].any():
        raise NotMeasured("the benchmark's packets are no good ticks")
    keys = [b"%d" % token for token in batch.column("instrument_token").tolist()]
    return encode_ticks(batch, prefix), keys
