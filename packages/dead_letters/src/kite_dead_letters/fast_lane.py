"""The lines of dead letters that are in order, in a third of the time (pure).

Nearly all letters of a topic are ours, have the headers that they should have, and differ from the
one before in a few numbers and their bytes. Their line is a template with these filled in. Any
other record is left to ``Classifier`` and ``LineMaker``; a test holds both ways to the same lines.
"""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass
from typing import Final

import orjson

from kite_broker_zerodha.packet_records import packet_json
from kite_broker_zerodha.packets import PacketKind
from kite_dead_letters.classify import PIECES, Classifier, Known
from kite_dead_letters.dump.summary import Summary, Tally
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.records import Dialect
from kite_kafka_io.raw_reader import RawRecord

_LONG_MAX: Final = b"%d" % (2**63 - 1)
_LONG_DIGITS: Final = len(_LONG_MAX)
_ONE: Final = b"1"
_LENGTHS: Final = frozenset(PacketKind)
_NULL: Final = b"null"


@dataclass(slots=True)
class Lane:
    """What the letters of one failure in one topic share. ``content`` is the last message, and
    ``message`` and ``mark`` are its JSON and its fingerprint. ``template`` has ``%`` fields for
    what differs, ``packet`` for a packet's JSON."""

    topic: str
    tally: Tally
    template: bytes
    packet: bytes | None
    session: int
    content: bytes | None = None
    message: bytes = b""
    mark: bytes = b""


class FastLane:
    """Makes lines and counts them in ``summary``; ``reasons`` are the codes chosen, or none."""

    def __init__(
        self, classifier: Classifier, maker: LineMaker, summary: Summary, reasons: frozenset[str]
    ) -> None:
        self._classifier = classifier
        self._maker = maker
        self._summary = summary
        self._reasons = reasons
        self.last: Lane | None = None
        """The lane of the last line."""

    def line(self, raw: RawRecord) -> bytes | None:
        """The line of a letter that is in order and was counted; None for any other record."""
        topic, partition, offset, ts_ns, key, value, headers, problems = raw
        kind, known, contents = self._classifier.recognise(headers)
        lane: Lane | None = known.lanes.get(topic)
        if lane is None and topic not in known.lanes:
            lane = known.lanes[topic] = self._open(known, topic)
        seq, first = contents[kind.seq_at], contents[kind.first_at]
        content = contents[kind.message_at]
        if (
            lane is None
            or problems
            or value is None
            or ts_ns is None
            or content is None
            or contents[kind.offset_at] is not None
            or not (seq is None or _is_number(seq))
            or not (first is not None and _is_number(first))
        ):
            return None
        if content != lane.content and not self._say(lane, known, content):
            return None
        if key is None:
            shown_key = _NULL
        elif key.isalnum():
            shown_key = b'"%b"' % key
        else:
            return None
        decoded = _NULL
        if lane.packet is not None and len(value) in _LENGTHS:
            decoded = lane.packet % packet_json(
                value,
                feed_session=lane.session,
                feed_seq=int(seq or 0),
                ts_recv_ns=int(first),
            )
        lane.tally.add_one(ts_ns)
        self.last = lane
        line: bytes = lane.template % (
            partition,
            offset,
            ts_ns,
            lane.message,
            lane.mark,
            _NULL if seq is None else seq,
            first,
            shown_key,
            b2a_base64(value, newline=False),
            decoded,
        )
        return line

    def _open(self, known: Known, topic: str) -> Lane | None:
        """The lane of such letters; None where they have none, or are not chosen."""
        failure = known.failure
        if failure.dialect is not Dialect.KITE or known.by_bytes:
            return None
        if failure.problems or failure.unsaid or failure.unit not in ("packet", *PIECES):
            return None
        if self._reasons and failure.reason not in self._reasons:
            return None
        packet = None
        if failure.unit == "packet":
            contract = orjson.dumps(failure.contract).replace(b"%", b"%%")
            packet = b'{"form":"packet","contract":' + contract + b',"records":[%b]}'
        return Lane(
            topic,
            self._summary.tally(topic, failure.reason),
            _template(topic, self._maker.fields(failure)),
            packet,
            failure.feed_session or 0,
        )

    def _say(self, lane: Lane, known: Known, content: bytes) -> bool:
        """Take over a new message; False for one that ``LineMaker`` must tell."""
        self._classifier.say(known, content, lane.topic)
        if not known.plain:
            return False
        lane.content, lane.message = content, orjson.dumps(known.message)
        lane.mark = known.mark.encode()
        return True


def _is_number(content: bytes) -> bool:
    """Whether the header's digits are a JSON number as they are, and fit 64 bits."""
    return (
        content.isdigit()
        and content >= _ONE
        and (len(content) < _LONG_DIGITS or (len(content) == _LONG_DIGITS and content <= _LONG_MAX))
    )


def _template(topic: str, fields: bytes) -> bytes:
    """A line with ``%`` fields for what differs, in the order in which ``line`` fills them."""
    head = b'{"topic":' + orjson.dumps(topic)
    return (
        head.replace(b"%", b"%%")
        + b',"partition":%d,"offset":%d,"ts_ns":%d,'
        + fields.replace(b"%", b"%%")
        + b',"message":%b,"fingerprint":"%b","origin_offset":null,"feed_seq":%b,'
        b'"first_failure_ns":%b,"problems":[],"key":%b,"headers":[],"value":"%b","decoded":%b}\n'
    )
