"""Whether the topic of ticks still has the partitions that this run began with.

A key's partition follows from their number. A topic that was deleted and came back with another
number, or got more of them, has the ticks of an instrument in two places: readers must know.
"""

from __future__ import annotations

from collections.abc import Callable

from kite_kafka_io.errors import NotAllowed, UnknownTopic
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import check_topics


class PartitionWatch:
    """``known`` is their number at the start; None: the first one that is seen. ``changed`` is told
    of each change in a sentence; ``problem`` lasts until the number is the known one again."""

    def __init__(
        self, kafka: KafkaSettings, topic: str, known: int | None, changed: Callable[[str], object]
    ) -> None:
        self.problem: str | None = None
        self._kafka = kafka
        self._topic = topic
        self._known = known
        self._seen = known
        self._changed = changed

    def look(self) -> int | str:
        """The number now, or why there is none; a call that takes its time, for another thread.

        Raises BrokerUnreachable.
        """
        try:
            return check_topics(self._kafka, [self._topic])[self._topic]
        except (UnknownTopic, NotAllowed) as error:
            return str(error)

    def judge(self, found: int | str) -> None:
        """Compare what ``look`` has found."""
        if isinstance(found, str):
            self.problem = found
            return
        if self._known is None:
            self._known = self._seen = found
        if found == self._known:
            self.problem = None
        else:
            self.problem = (
                f"topic {self._topic} had {self._known} partitions when this bridge started and "
                f"has {found}: instruments are in other partitions than before; recreate it with "
                f"{self._known}, or restart the bridge when its readers are prepared"
            )
        if found != self._seen:
            self._changed(f"topic {self._topic} had {self._seen} partitions and has {found}")
            self._seen = found
