"""Gaps as the feed's events tell of them, into the ledger of gaps in Postgres."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kite_bars_store.bars import Gap
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import MalformedRecord, UnknownSchema
from kite_kafka_io.raw_reader import RawReader, RawRecord
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import TryAgainLater

GROUP: Final = "hist_merge.heal"
SILENCE_S: Final = 30.0

_STATES: Final = {"GAP_OPENED": "opened", "GAP_CLOSED": "closed"}
_READ_S: Final = 0.1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class EventCounts:
    """Of the records that were new to the group."""

    records: int = 0
    gaps: int = 0
    """Openings and closings that the ledger did not have."""
    unreadable: int = 0


def collect_gaps(
    kafka: KafkaSettings,
    topic: str,
    record: Callable[[Gap], bool],
    *,
    keep: bool = True,
) -> EventCounts:
    """Hand every gap of the topic that the group has not seen yet to ``record``.

    What was handed over is committed for the group, unless ``keep`` is False. ``record`` says
    whether the gap was new; an event may come twice. Raises BrokerUnreachable, UnknownTopic,
    ReadError, RegistryError and TryAgainLater.
    """
    codec, counts = AvroCodec(open_framing(kafka)), EventCounts()
    with RawReader(kafka, [topic], group=GROUP) as reader:
        for raw in _records(reader, kafka, topic):
            counts.records += 1
            try:
                decoded = codec.decode(raw.value or b"")
            except (MalformedRecord, UnknownSchema):
                counts.unreadable += 1
                continue
            gap = gap_of(decoded.record) if decoded.subject == "feed_event" else None
            if gap is not None:
                counts.gaps += record(gap)
        if keep and counts.records:
            reader.commit()
    return counts


def gap_of(event: Mapping[str, Any]) -> Gap | None:
    """The gap that an event opens or closes; None for other events, and for one without an id."""
    state = _STATES.get(event["type"])
    if state is None or not event["gap_id"] or event["from_ns"] is None:
        return None
    end_ns = event["to_ns"] if state == "closed" else None
    if state == "closed" and (end_ns is None or end_ns < event["from_ns"]):
        return None
    return Gap(
        event["gap_id"],
        state,
        event["feed"],
        event["shard"],
        tuple(event["tokens"]),
        _time(event["from_ns"]),
        None if end_ns is None else _time(end_ns),
        event["cause"] or "",
        _time(event["ts_ns"]),
    )


def _records(reader: RawReader, kafka: KafkaSettings, topic: str) -> Iterator[RawRecord]:
    heard_s = time.monotonic()
    while not reader.finished:
        batch = reader.read(_READ_S)
        if batch:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > SILENCE_S:
            trouble = f" ({reader.trouble})" if reader.trouble else ""
            raise TryAgainLater(
                f"Kafka at {kafka.bootstrap} has sent nothing of {topic} for {SILENCE_S:.0f} s"
                f"{trouble}: run the same command again later"
            )
        yield from batch


def _time(ts_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts_ns // 1000)
