"""Reads a run's topics back for the ledger: exactly what was written since a mark."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from kite_kafka_io.consumer import RecordReader, TickReader
from kite_kafka_io.errors import MalformedRecord
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import end_offsets
from kite_live_feed.proof.readback import ReadBack
from kite_live_feed.topics import Topics

log = structlog.get_logger()


@dataclass(frozen=True)
class Mark:
    """Where the topics ended when a run began: topic → partition → offset."""

    offsets: dict[str, dict[int, int]]


def mark_topics(settings: KafkaSettings, names: tuple[str, ...]) -> Mark:
    """Remember where the topics end now. Raises BrokerUnreachable and UnknownTopic."""
    return Mark({name: end_offsets(settings, name) for name in names})


def read_back(
    settings: KafkaSettings,
    framing: Framing,
    topics: Topics,
    mark: Mark,
    sessions: dict[int, int],
    feed: str,
) -> ReadBack:
    """Read ticks, dead letters and events since ``mark``, through the duplicate filter.

    ``sessions``: feed_session → packets numbered; only these and only events of ``feed`` count.
    Dead letters that somebody else wrote meanwhile are passed over and told of.
    """
    back = ReadBack(sessions)
    with TickReader(
        settings,
        topics.ticks,
        from_offsets=mark.offsets[topics.ticks],
        until_end=True,
        framing=framing,
    ) as ticks:
        for columns in ticks:
            back.add_ticks(
                columns.column("instrument_token"),
                columns.column("feed_session"),
                columns.column("feed_seq"),
            )
        if ticks.duplicates is not None:
            back.repeats_dropped = ticks.duplicates.dropped
    _read_dead_letters(settings, topics.dead, mark, back)
    with RecordReader(
        settings,
        [topics.events],
        from_offsets=mark.offsets[topics.events],
        until_end=True,
        framing=framing,
    ) as events:
        for record in events:
            event = record.decode().record
            if event["feed"] == feed:
                back.events[event["type"]] += 1
    return back


def _read_dead_letters(settings: KafkaSettings, topic: str, mark: Mark, back: ReadBack) -> None:
    foreign = 0
    with RecordReader(
        settings, [topic], from_offsets=mark.offsets[topic], until_end=True
    ) as records:
        for record in records:
            try:
                letter = record.dead_letter()
            except MalformedRecord:
                foreign += 1  # had it been one of ours, its packet would now count as lost
                continue
            if letter.feed_session is not None and letter.feed_seq is not None:
                back.add_dead_letter(letter.feed_session, letter.feed_seq, letter.reason)
    if foreign:
        log.warning(
            "dead letters without our headers came meanwhile and were passed over",
            topic=topic,
            count=foreign,
        )
