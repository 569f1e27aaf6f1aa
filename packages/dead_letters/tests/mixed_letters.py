"""Dead letters of every kind that the field knows, seeded, each with the reason that triage must
give it: ours, Connect's, Spring's, Kafka Streams', share groups', garbage, and broken ones.

Used by the tests of classification and by the proofs with a million records.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from confluent_kafka import Producer

from kite_broker_zerodha.packet_records import packet_record
from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.testing.fuzzing import random_packet
from kite_contracts.reasons import ReasonCode
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.dead_letters import DeadLetter

Header = tuple[str, bytes | None]

NOW_NS: Final = 1_795_000_000_123_456_789
SESSION: Final = 1_795_000_000_123_456_784
LARGE_BYTES: Final = 900_000
_GARBAGE_LENGTHS: Final = (1, 3, 50, 77, 150, 1000)


@dataclass(frozen=True)
class Mixed:
    """A dead letter as it is produced; ``intended`` is the code that triage must give it."""

    kind: str
    value: bytes | None
    headers: list[Header]
    intended: ReasonCode
    key: bytes | None = None


def mixed_letters(seed: int, count: int, *, large_every: int = 0) -> Iterator[Mixed]:
    """``count`` dead letters, all kinds in turn; the same for the same seed.

    With ``large_every`` each so-manieth one has 900 kB.
    """
    source = random.Random(seed)
    for number in range(count):
        if large_every and number % large_every == large_every - 1:
            yield _large(source, number)
        else:
            yield MAKERS[number % len(MAKERS)](source, number)


def produce(bootstrap: str, topic: str, letters: Iterator[Mixed] | Sequence[Mixed]) -> int:
    """Write the letters and wait for the broker; how many there were."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 65_536,
        }
    )
    count = 0
    for letter in letters:
        while True:
            try:
                producer.produce(topic, letter.value, letter.key, headers=list(letter.headers))
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
        if count % 1000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0
    producer.close()
    return count


def _letter(source: random.Random, number: int) -> tuple[DeadLetter, ReasonCode]:
    full = random_packet(PacketKind.FULL, source)
    letters: tuple[tuple[ReasonCode, str, bytes, str, str | None], ...] = (
        (ReasonCode.DECODE_TRUNCATED, "frame-tail", b"\x00\xb8" + full[:99], "ends inside", None),
        (ReasonCode.DECODE_UNKNOWN_PACKET, "packet", source.randbytes(13), "13 bytes", None),
        (ReasonCode.DECODE_TRAILING_BYTES, "frame-tail", b"\x00\x01abc", "3 bytes follow", None),
        (
            ReasonCode.SEMANTIC_RANGE,
            "packet",
            full[:60] + b"\x00\x00\x00\x05" + full[64:],
            f"{5_000_000_000 + number} is less than the minimum of 315513000000000000",
            "/ts_event_ns",
        ),
        (ReasonCode.JOURNAL_CORRUPT, "journal", source.randbytes(40), "checksum fails", None),
    )
    reason, unit, raw, message, path = letters[number % len(letters)]
    letter = DeadLetter(
        raw=raw,
        reason=str(reason),
        message=message,
        contract="tick.v1",
        first_failure_ns=NOW_NS + number,
        unit=unit,
        error_path=path,
        feed_session=SESSION,
        feed_seq=number,
    )
    return letter, reason


def _headers(letter: DeadLetter) -> list[Header]:
    return [
        (name, text.encode() if isinstance(text, str) else text) for name, text in letter.headers()
    ]


def _ours(source: random.Random, number: int) -> Mixed:
    letter, reason = _letter(source, number // len(MAKERS))
    return Mixed("ours", letter.raw, _headers(letter), reason, letter.key())


def _any_code(source: random.Random, number: int) -> Mixed:
    """Every code, as any stage may write it, over a good record."""
    code = list(ReasonCode)[1:][number // len(MAKERS) % (len(ReasonCode) - 1)]
    letter = DeadLetter(
        raw=tick_value(source),
        reason=str(code),
        message=f"line {number}: refused",
        contract="tick.v1",
        first_failure_ns=NOW_NS,
        unit="record",
        attempt=2,
        origin_topic="ticks",
        origin_partition=number % 6,
        origin_offset=number,
    )
    return Mixed("any-code", letter.raw, _headers(letter), code)


def _without_reason(source: random.Random, number: int) -> Mixed:
    """Ours, but for the header that says why: the bytes must."""
    letter, reason = _letter(source, number // len(MAKERS))
    headers = [each for each in _headers(letter) if each[0] != "dlq.reason"]
    return Mixed("without-reason", letter.raw, headers, reason)


def _doubled(source: random.Random, number: int) -> Mixed:
    letter, reason = _letter(source, number // len(MAKERS))
    again: list[Header] = [("dlq.reason", b"AUTH"), ("dlq.attempt", b"7"), ("dlq.message", b"x")]
    return Mixed("doubled", letter.raw, [*_headers(letter), *again], reason)


def _not_utf8(source: random.Random, number: int) -> Mixed:
    letter, reason = _letter(source, number // len(MAKERS))
    bad: dict[str, bytes | None] = {
        "dlq.message": b"\xff\xfe\x00 caf\xe9",
        "dlq.attempt": b"\xd9\xa3",
        "dlq.feed_seq": None,
    }
    headers = [(name, bad.get(name, text)) for name, text in _headers(letter)]
    return Mixed("not-utf8", letter.raw, headers, reason)


def _unknown_code(source: random.Random, number: int) -> Mixed:
    """A code that came later than this reader, over bytes that are good."""
    letter, _ = _letter(source, 3)
    headers = [
        (name, b"INVENTED_LATER" if name == "dlq.reason" else text)
        for name, text in _headers(letter)
    ]
    return Mixed("unknown-code", random_packet(PacketKind.QUOTE, source), headers, _NONE)


def _connect(source: random.Random, number: int) -> Mixed:
    cases = (
        ("org.apache.kafka.connect.errors.DataException", tick_value(source), _NONE),
        ("org.apache.kafka.common.errors.RecordTooLargeException", b"x" * 50, _TOO_LARGE),
        ("org.apache.kafka.connect.errors.DataException", tick_value(source)[:-9], _INVALID),
        ("org.apache.kafka.common.errors.SerializationException", _UNKNOWN_SCHEMA, _UNKNOWN_ID),
        ("org.apache.kafka.connect.errors.DataException", None, _NONE),
    )
    exception, value, intended = cases[number // len(MAKERS) % len(cases)]
    texts = {
        "topic": "ticks",
        "partition": str(number % 6),
        "offset": str(number),
        "connector.name": "archive-sink",
        "task.id": "0",
        "stage": "VALUE_CONVERTER",
        "class.name": "io.confluent.connect.avro.AvroConverter",
        "exception.class.name": exception,
        "exception.message": f"Failed to deserialize data for topic ticks at offset {number}",
        "exception.stacktrace": "java.lang.Exception\n" + "\tat a.b.C.d(C.java:1)\n" * 30,
    }
    headers: list[Header] = [
        (f"__connect.errors.{name}", text.encode()) for name, text in texts.items()
    ]
    return Mixed("connect", value, headers, intended, b"1")


def _spring(source: random.Random, number: int) -> Mixed:
    cases: tuple[tuple[str, bytes, ReasonCode], ...] = (
        ("org.springframework.dao.DuplicateKeyException", tick_value(source), _PERMANENT),
        ("com.example.Unheard", b'{"instrument_token": 1}', _INVALID),
        ("java.net.ConnectException", tick_value(source), _TRANSIENT),
    )
    cause, value, intended = cases[number // len(MAKERS) % len(cases)]
    headers: list[Header] = [
        ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailed"),
        ("kafka_dlt-exception-cause-fqcn", cause.encode()),
        ("kafka_dlt-exception-message", b"Listener failed"),
        ("kafka_dlt-original-topic", b"ticks"),
        ("kafka_dlt-original-partition", (number % 6).to_bytes(4, "big")),
        ("kafka_dlt-original-offset", number.to_bytes(8, "big")),
        ("kafka_dlt-original-timestamp", (NOW_NS // 10**6).to_bytes(8, "big")),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", b"billing"),
        ("kafka_deliveryAttempt", (3).to_bytes(4, "big")),
    ]
    return Mixed("spring", value, headers, intended)


def _streams(source: random.Random, number: int) -> Mixed:
    headers: list[Header] = [
        ("__streams.errors.exception", b"org.apache.kafka.common.errors.TimeoutException"),
        ("__streams.errors.message", b"Expiring 1 record(s) for bars-0:120001 ms has passed"),
        ("__streams.errors.stacktrace", b"..."),
        ("__streams.errors.topic", b"bars"),
        ("__streams.errors.partition", b"2"),
        ("__streams.errors.offset", b"%d" % number),
    ]
    return Mixed("streams", bar_value(100), headers, _TRANSIENT)


def _share_group(source: random.Random, number: int) -> Mixed:
    headers: list[Header] = [
        ("__dlq.errors.topic", b"bars"),
        ("__dlq.errors.partition", b"1"),
        ("__dlq.errors.offset", b"%d" % number),
        ("__dlq.errors.group", b"share-1"),
        ("__dlq.errors.delivery.count", b"5"),
        ("__dlq.errors.message", b"delivery count limit exceeded"),
    ]
    return Mixed("share-group", bar_value(-5), headers, ReasonCode.SEMANTIC_RANGE)


def _garbage(source: random.Random, number: int) -> Mixed:
    size = _GARBAGE_LENGTHS[number // len(MAKERS) % len(_GARBAGE_LENGTHS)]
    return Mixed("garbage", b"\x7f" + source.randbytes(size), [], _NONE)


def _empty(source: random.Random, number: int) -> Mixed:
    value = None if number // len(MAKERS) % 2 else b""
    return Mixed("empty", value, [], ReasonCode.DECODE_TRUNCATED)


def _headless(source: random.Random, number: int) -> Mixed:
    """Records of released contracts, the oldest versions too, that lost all headers."""
    cases: tuple[tuple[bytes, ReasonCode], ...] = (
        (tick_value(source), _NONE),
        (event_value(1), _NONE),
        (_UNKNOWN_SCHEMA, _UNKNOWN_ID),
        (bar_value(-5), ReasonCode.SEMANTIC_RANGE),
        (tick_value(source) + b"\x00", _INVALID),
        (random_packet(PacketKind.LTP, source), _NONE),
    )
    value, intended = cases[number // len(MAKERS) % len(cases)]
    if len(value) == PacketKind.LTP:
        # A segment that exists, and no bytes that Avro begins with.
        value = b"\x01" + value[1:3] + b"\x02" + value[4:]
    return Mixed("headless", value, [("traceparent", b"00-1-2-01")], intended)


def _large(source: random.Random, number: int) -> Mixed:
    raw = b"\x7f" + source.randbytes(LARGE_BYTES - 1)
    if number % 2:
        return Mixed("large", raw, [], _NONE)
    letter = DeadLetter(
        raw=raw,
        reason=str(_TOO_LARGE),
        message=f"the first {LARGE_BYTES} of {LARGE_BYTES + number} bytes",
        contract="tick.v1",
        first_failure_ns=NOW_NS,
        unit="record",
    )
    return Mixed("large", raw, _headers(letter), _TOO_LARGE)


@cache
def _codec() -> AvroCodec:
    return AvroCodec()


def tick_value(source: random.Random) -> bytes:
    """A good tick as Kafka holds it."""
    record = packet_record(
        random_packet(PacketKind.QUOTE, source), feed_session=SESSION, ts_recv_ns=NOW_NS
    )
    assert record is not None
    return _codec().encode("tick", record, 1)


def bar_value(volume: int) -> bytes:
    """A bar; a negative volume breaks the contract."""
    bar: dict[str, Any] = {
        "instrument_token": 408065,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "interval": "m1",
        "ts_open_ns": NOW_NS // 60_000_000_000 * 60_000_000_000,
        "price_scale": 2,
        **dict.fromkeys(("open", "high", "low", "close"), 150_000),
        "volume": volume,
        "oi": None,
        "source": "tests",
        "is_final": True,
    }
    return _codec().encode("bar", bar, 1)


def event_value(version: int) -> bytes:
    """A feed event as a writer of this contract version writes it."""
    event: dict[str, Any] = {
        "feed": "kite",
        "type": "CONNECTED",
        "ts_ns": NOW_NS,
        "shard": 0,
        "tokens": [],
        **dict.fromkeys(("feed_session", "from_ns", "to_ns", "cause", "detail", "count", "gap_id")),
    }
    return _codec().encode("feed_event", event, version)


_NONE: Final = ReasonCode.UNCLASSIFIED
_TOO_LARGE: Final = ReasonCode.TOO_LARGE
_INVALID: Final = ReasonCode.SCHEMA_INVALID
_UNKNOWN_ID: Final = ReasonCode.SCHEMA_UNKNOWN_ID
_PERMANENT: Final = ReasonCode.SINK_PERMANENT
_TRANSIENT: Final = ReasonCode.SINK_TRANSIENT
_UNKNOWN_SCHEMA: Final = b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08rest"

MAKERS: Final[tuple[Callable[[random.Random, int], Mixed], ...]] = (
    _ours,
    _any_code,
    _without_reason,
    _doubled,
    _not_utf8,
    _unknown_code,
    _connect,
    _spring,
    _streams,
    _share_group,
    _garbage,
    _empty,
    _headless,
)
"""One maker a kind; each is called indefinitelyy len(MAKERS)th record."""
