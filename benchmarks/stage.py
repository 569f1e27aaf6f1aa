"""The material and the broker side of the benchmarks: Kite frames, topics, settings."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.measure import NotMeasured
from kite_broker_zerodha.wire import encode_frame
from kite_kafka_io.settings import KafkaSettings
from kite_simulator.market import Market

PARTITIONS = 6
IN_FLIGHT = 20_000
"""Unacknowledged records that every way of producing may have."""
_NSE = 1


def instrument_tokens(count: int) -> list[int]:
    """Tokens of so many shares."""
    return [(1_000 + number) << 8 | _NSE for number in range(count)]


def full_frames(packets: int, count: int, instruments: int = 3_000) -> list[bytes]:
    """``count`` frames of ``packets`` full-mode packets, from the simulator's seeded market."""
    market, tokens = Market(seed=packets), instrument_tokens(instruments)
    market.add(tokens)
    frames, at = [], 0
    for _ in range(count):
        chosen = [tokens[(at + i) % instruments] for i in range(packets)]
        frames.append(encode_frame(market.advance(chosen, at / 18_000)))
        at += packets
    return frames


def kafka_settings(**more: str) -> KafkaSettings:
    """The broker that the environment names, with the bound that all ways share, and ``more``."""
    env = {**os.environ, "KAFKA_MAX_IN_FLIGHT": str(IN_FLIGHT), **more}
    if not env.get("KAFKA_BOOTSTRAP"):
        raise NotMeasured("KAFKA_BOOTSTRAP names no broker; 'make bench' starts one and sets it")
    return KafkaSettings.from_env(env)


@contextmanager
def topic(settings: KafkaSettings, partitions: int = PARTITIONS) -> Iterator[str]:
    """A topic of this run's own."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": settings.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
    try:
        yield name
    finally:
        admin.delete_topics([name])[name].result(30)
