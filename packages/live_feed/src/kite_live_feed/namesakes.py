"""Whether another bridge publishes under the same feed's name, as its events show.

Two bridges of one name on one host meet at the lock of their journal. On two hosts, or with two
journals, nothing keeps them apart, and readers have every tick twice.
"""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from typing import Any, Final

import structlog

from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.errors import MalformedRecord, ReadError, UnknownTopic
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import end_offsets

FORGET_NS: Final = 600 * 1_000_000_000
"""After this time without an event a bridge that was killed is forgotten."""

log = structlog.get_logger()


class Namesakes:
    """Sees what comes into ``topic`` from now on. ``own`` has the feed sessions of this run; events
    before ``since_ns`` are of earlier ones."""

    def __init__(
        self, kafka: KafkaSettings, topic: str, feed: str, own: Container[int], since_ns: int
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._feed = feed
        self._own = own
        self._since_ns = since_ns
        self._offsets: dict[int, int] | None = None
        self._seen: dict[int, int] = {}
        """Feed session of another bridge → when its last event was."""
        self._may_read = True

    def problem(self, now_ns: int) -> str | None:
        """A sentence while another bridge has this name."""
        if not any(now_ns - at_ns < FORGET_NS for at_ns in self._seen.values()):
            return None
        return (
            f"another bridge publishes as {self._feed}: readers have each tick twice; stop one, or "
            "give it a name of its own with WS_BRIDGE_NAME"
        )

    def look(self, framing: Framing) -> None:
        """Read the new events; a call that takes its time, for another thread.

        Raises BrokerUnreachable. A user who may not read events sees none.
        """
        if not self._may_read:
            return
        try:
            self._read(framing)
        except (ReadError, UnknownTopic) as error:
            self._may_read = False
            log.info("another bridge of this name would not be noticed", reason=str(error))

    def _read(self, framing: Framing) -> None:
        ends = end_offsets(self._kafka, self._topic)
        begin, self._offsets = self._offsets, ends
        if begin is None or begin == ends:
            return
        with RecordReader(
            self._kafka, [self._topic], from_offsets=begin, until_end=True, framing=framing
        ) as records:
            for record in records:
                with suppress(MalformedRecord):
                    self._note(record.decode().record)

    def _note(self, event: dict[str, Any]) -> None:
        session, at_ns = event["feed_session"], event["ts_ns"]
        is_ours = event["feed"] != self._feed or session is None or session in self._own
        if is_ours or at_ns < self._since_ns:
            return
        if event["type"] in ("DISCONNECTED", "GAP_OPENED"):
            self._seen.pop(session, None)
            return
        if session not in self._seen:
            log.error("another bridge publishes under this name", feed=self._feed, session=session)
        self._seen[session] = at_ns
