"""Which part of some topics to read: partitions, from where, to where, by offset or by time."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from kite_kafka_io.client import NO_GROUP, make_client
from kite_kafka_io.errors import UnknownTopic
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import (
    Place,
    Ranges,
    committed_offsets,
    explain,
    partitions_of,
    seconds_left,
    watermarks,
)

_TIMEOUT_S: Final = 15.0
_WILDCARDS: Final = frozenset("*?[")
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A part of each topic. None is no limit; ``until_*`` are exclusive; times are epoch ns.

    ``from_ns`` and ``until_ns`` are held against the records' own time stamps, which need not rise.
    Kafka keeps whole milliseconds.
    """

    partitions: frozenset[int] | None = None
    from_offset: int | None = None
    from_ns: int | None = None
    until_offset: int | None = None
    until_ns: int | None = None

    def takes(self, ts_ns: int | None) -> bool:
        """Whether a record of this time is in the span; one without a time always is."""
        if ts_ns is None:
            return True
        low, high = self.from_ns, self.until_ns
        return (low is None or ts_ns >= low) and (high is None or ts_ns < high)


def match_topics(settings: KafkaSettings, patterns: Sequence[str]) -> list[str]:
    """The topics that these names and shell patterns (``*.dlq``) mean, sorted, each once.

    Kafka's own topics (``__*``) are left out. Raises UnknownTopic for a name that is not there and
    when nothing matches, and BrokerUnreachable.
    """
    with _asking(settings) as consumer:
        known = sorted(consumer.list_topics(timeout=_TIMEOUT_S).topics)
    found: set[str] = set()
    for pattern in patterns:
        if pattern in known:
            found.add(pattern)
        elif _WILDCARDS.isdisjoint(pattern):
            raise explain(None, settings.bootstrap, pattern)
        else:
            names = fnmatch.filter(known, pattern)
            found.update(name for name in names if not name.startswith("__"))
    if not found:
        raise UnknownTopic(f"no topic at {settings.bootstrap} matches {', '.join(patterns)}")
    return sorted(found)


def find_ranges(
    settings: KafkaSettings,
    topics: Sequence[str],
    span: Span,
    *,
    group: str | None = None,
    follow: bool = False,
    timeout_s: float = _TIMEOUT_S,
) -> Ranges:
    """First offset and end (exclusive) of each partition in the span, as things are now.

    With ``follow`` the ends are None. What a ``group`` has committed is where it goes on; the span
    says where it begins. ``timeout_s`` is how long all of it may take. Raises BrokerUnreachable and
    UnknownTopic.
    """
    ends_s = time.monotonic() + timeout_s
    with _asking(settings, group) as consumer:
        places = _places(consumer, settings, topics, ends_s)
        if span.partitions is not None:
            places = [place for place in places if place[1] in span.partitions]
        committed = _committed(consumer, group, places, ends_s)
        return {
            place: _range(consumer, place, span, committed.get(place), settings, follow, ends_s)
            for place in places
        }


class Extent(NamedTuple):
    """A partition as it is now: its first offset, the one after its last, and the group's."""

    low: int
    high: int
    committed: int | None


def find_extents(
    settings: KafkaSettings, topics: Sequence[str], group: str, timeout_s: float = _TIMEOUT_S
) -> dict[Place, Extent]:
    """What Kafka holds of each partition, and where the group goes on; None: it was never there.

    Raises BrokerUnreachable and UnknownTopic.
    """
    ends_s = time.monotonic() + timeout_s
    with _asking(settings, group) as consumer:
        places = _places(consumer, settings, topics, ends_s)
        committed = _committed(consumer, group, places, ends_s)
        return {
            place: Extent(
                *watermarks(consumer, TopicPartition(*place), settings, ends_s),
                committed.get(place),
            )
            for place in places
        }


@contextmanager
def _asking(settings: KafkaSettings, group: str | None = None) -> Iterator[Consumer]:
    own = {"group.id": group or NO_GROUP, "enable.auto.commit": False}
    consumer = make_client(Consumer, settings.client_config(own))
    try:
        yield consumer
    except KafkaException as exc:
        raise explain(exc.args[0], settings.bootstrap, group=group) from exc
    finally:
        consumer.close()


def _places(
    consumer: Consumer, settings: KafkaSettings, topics: Sequence[str], ends_s: float
) -> list[Place]:
    return [
        place
        for topic in topics
        for place in partitions_of(consumer, topic, settings, seconds_left(ends_s))
    ]


def _committed(
    consumer: Consumer, group: str | None, places: list[Place], ends_s: float
) -> dict[Place, int]:
    return {} if group is None else committed_offsets(consumer, places, seconds_left(ends_s))


def _range(
    consumer: Consumer,
    place: Place,
    span: Span,
    committed: int | None,
    settings: KafkaSettings,
    follow: bool,
    ends_s: float,
) -> tuple[int, int | None]:
    low, high = watermarks(consumer, TopicPartition(*place), settings, ends_s)
    first = low
    if committed is not None:
        first = max(low, committed)
    elif span.from_offset is not None:
        first = min(max(low, span.from_offset), high)
    elif span.from_ns is not None:
        first = _offset_at(consumer, place, span.from_ns, high, ends_s)
    if follow:
        return first, None
    # By time nothing is cut off at the end: a later record may have an earlier time.
    return first, high if span.until_offset is None else min(span.until_offset, high)


def _offset_at(consumer: Consumer, place: Place, from_ns: int, high: int, ends_s: float) -> int:
    """The first record that is not older; the end where there is none."""
    from_ms = -(-from_ns // _NS_PER_MS)
    asked = TopicPartition(*place, max(0, from_ms))
    found = consumer.offsets_for_times([asked], timeout=seconds_left(ends_s))[0].offset
    return found if 0 <= found < high else high
