"""The compiled loop of lines against the usual way: the same lines, the same summary.

Letters are laid out in memory as librdkafka would have them, so most of it needs no broker.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_letters import mixed_letters, produce

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.testing.fuzzing import random_packet
from kite_dead_letters import bulk_work, opening
from kite_dead_letters.bulk_work import OUT_BYTES, BulkWork, warm_up
from kite_dead_letters.classify import Classifier
from kite_dead_letters.dump.dump import dump
from kite_dead_letters.dump.dump_file import LinePart, PieceFile
from kite_dead_letters.dump.summary import Summary
from kite_dead_letters.form_loops import find
from kite_dead_letters.line_loops import write_lines
from kite_dead_letters.work import DumpOptions, RecordMaker
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.librdkafka import gathering
from kite_kafka_io.librdkafka.consumer_client import Batch
from kite_kafka_io.raw_reader import RawRecord
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import Span, find_ranges
from kite_runtime.code_cache import sources_behind
from kite_runtime.stopping import Stop

NS_PER_MS = 1_000_000
LAST_MS = (2**63 - 1) // NS_PER_MS
TOPIC = "ticks.dlq"
ALL = DumpOptions()


class Memory:
    """A ``BulkReader`` of these records, once; the addresses are of ``_kept``."""

    def __init__(self, records: Sequence[RawRecord]) -> None:
        self._records = records
        self._kept: list[Any] = []
        self.trouble: str | None = None
        self.finished = False
        self.total = len(records)
        self.arrived = 0
        self.asked: set[int] = set()
        """Rows that the loop left to the usual way."""

    def read(self, timeout_s: float) -> Batch:
        rows = np.zeros((len(self._records), gathering.FIELDS), np.int64)
        headers: list[tuple[int, int, int, int]] = []
        topics: dict[str, int] = {}
        for row, raw in zip(rows, self._records, strict=True):
            first = len(headers)
            for name, content in raw.headers:
                headers.append((*self._at(name.encode()), *self._at(content)))
            row[gathering.TOPIC] = topics.setdefault(raw.topic, 1 + len(topics))
            row[gathering.PARTITION], row[gathering.OFFSET] = raw.partition, raw.offset
            row[gathering.TIME_MS] = -1 if raw.ts_ns is None else raw.ts_ns // NS_PER_MS
            row[gathering.KEY], row[gathering.KEY_BYTES] = self._at(raw.key)
            row[gathering.VALUE], row[gathering.VALUE_BYTES] = self._at(raw.value)
            row[gathering.HEADERS], row[gathering.HEADERS_END] = first, len(headers)
        self.finished = True
        self.arrived = len(rows)
        return Batch(rows, np.array(headers, np.int64).reshape(-1, gathering.HEADER_FIELDS))

    def record(self, batch: Batch, row: int) -> RawRecord:
        self.asked.add(row)
        return self._records[row]

    def _at(self, content: bytes | None) -> tuple[int, int]:
        """Exactly these bytes: what is read behind them is somebody else's."""
        if content is None:
            return 0, 0
        array = np.frombuffer(content or b"?", np.uint8)
        self._kept.append(array)
        return array.ctypes.data, len(content)


class Kept:
    """``Lines`` in memory."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, lines: Sequence[LinePart]) -> None:
        self.data += b"".join(lines)

    def sync(self) -> None:
        raise AssertionError


def usually(
    records: Sequence[RawRecord], options: DumpOptions
) -> tuple[list[bytes | None], Summary]:
    maker = RecordMaker(Classifier(), options.reasons, silent=False)
    lines = [maker.line(raw) for raw in records]
    maker.summary.read = len(records)
    maker.summary.lines = sum(line is not None for line in lines)
    return lines, maker.summary


def check(records: Sequence[RawRecord], options: DumpOptions = ALL) -> int:
    """How many of the lines the loop has written itself."""
    lines, summary = usually(records, options)
    memory, out = Memory(records), Kept()
    reader: Any = memory
    work = BulkWork(reader, Classifier(), out, options)
    found = dump(work, Stop(), lambda read: None)
    assert out.data == b"".join(line for line in lines if line is not None)
    assert found.rows() == summary.rows()
    assert replace(found, tallies={}) == replace(summary, tallies={})
    return sum(line is not None and row not in memory.asked for row, line in enumerate(lines))


def letter(number: int, **changed: Any) -> RawRecord:
    source = random.Random(number)
    fields: dict[str, Any] = {
        "raw": random_packet(PacketKind.FULL, source),
        "reason": "SEMANTIC_RANGE",
        "message": f"{number} is less than 315513",
        "contract": "tick.v1",
        "first_failure_ns": 1_795_000_000_000_000_000 + number,
        "unit": "packet",
        "error_path": "/ts_event_ns",
        "feed_session": 2**63 - 1,
        "feed_seq": number + 1,
        **changed,
    }
    made = DeadLetter(**fields)
    headers: Any = made.headers()
    ts_ns = (1_795_000_000_000 + number % 7) * NS_PER_MS
    return RawRecord(TOPIC, number % 3, number, ts_ns, made.key(), made.raw, headers)


def with_header(raw: RawRecord, name: str, content: bytes | None) -> RawRecord:
    headers = [(each, content if each == name else kept) for each, kept in raw.headers]
    return raw._replace(headers=headers)


def packets() -> Iterator[bytes]:
    source = random.Random(11)
    for kind in PacketKind:
        yield from (random_packet(kind, source) for _ in range(20))
        yield bytes(kind)
        yield b"\xff" * kind
        yield b"\x80\0\0\0" * (kind // 4)
        # Each time absent and there, and every segment's scale.
        for segment in range(14):
            packet = bytearray(source.randbytes(kind))
            packet[3] = segment
            for at in (28, 44, 60):
                if segment & (1 << at % 3) and at + 4 <= kind:
                    packet[at : at + 4] = bytes(4)
            yield bytes(packet)


def test_warm_up_leaves_nothing_to_compile() -> None:
    warm_up()
    check([letter(number + 1_000) for number in range(3)])
    loops: list[Any] = [write_lines, find, gathering.gather, gathering.release]
    assert [len(loop.signatures) for loop in loops] == [1] * len(loops)


def test_every_packet() -> None:
    records = [letter(number, raw=packet) for number, packet in enumerate(packets())]
    assert check(records) == len(records) - 3  # numbers of one, two and three digits


@given(st.lists(st.binary(max_size=200), min_size=2, max_size=8), st.sampled_from(PacketKind))
def test_any_bytes(values: list[bytes], kind: PacketKind) -> None:
    values += [(value * kind)[:kind] for value in values if value]
    check([letter(number, raw=value) for number, value in enumerate(values)])
    check([letter(number, raw=value, unit="journal") for number, value in enumerate(values)])


NUMBERS = (
    *(b"0", b"1", b"01", b"", b"-1", b"1.5", b"9" * 18, b"9" * 19, b"9" * 20, b" 1", b"1\0"),
    *(b"9223372036854775807", b"9223372036854775808", b"9223372036854775799", None),
)
NUL = r"holds a NUL, shown as \x00"
TEXTS = (
    *(b"", b"0", b"a 12 b", b'a "12" b', b"back\\slash", b"tab\t", b"\x7f", "é 7".encode()),
    *(b"\xff", b"nul\0", b"x" * 3_000, b"9" * 3_999, b"9" * 4_001, b"x" * 5_000, None),
    *(b"\0" + b"x" * 3_999, "क".encode() * 1_500, "क".encode() * 4_001),
)


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        *(("dlq.feed_seq", NUMBERS), ("dlq.first_failure_ns", NUMBERS)),
        *(("dlq.feed_session", NUMBERS), ("dlq.attempt", NUMBERS)),
        *(("dlq.message", TEXTS), ("dlq.error_path", TEXTS), ("dlq.reason", TEXTS)),
        *(("dlq.contract", TEXTS), ("dlq.unit", TEXTS)),
    ],
)
def test_strange_headers(name: str, contents: tuple[bytes | None, ...]) -> None:
    """Each among good letters, twice: the second meets what the loop has learned of the first."""
    records: list[RawRecord] = []
    for content in (*contents, *contents):
        records.append(letter(len(records)))
        records.append(with_header(letter(len(records)), name, content))
    assert check(records) >= len(contents)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"x" * 4_000, None),
        (b"x" * 4_001, "is cut from 4001 bytes"),
        ("क".encode() * 1_500, None),
        ("क".encode() * 4_001, "is cut from 12003 bytes"),
        ("ééé".encode() + b"\xff", "is not UTF-8"),
        (b"\xff" * 1_000, "is not UTF-8"),
        (b"\xff" * 1_001, "is cut from 1001 bytes"),
        ("\U00010000".encode() * 4_000 + b"\xff", "is cut from 16001 bytes"),
        (b"nul\0", NUL),
        (b"\0" + b"x" * 3_996, NUL),
        (b"\0" + b"x" * 3_997, "is cut from 3998 bytes"),
        (b"x" * 4_000 + b"\0", "is cut from 4001 bytes"),
    ],
)
@pytest.mark.parametrize("name", ["dlq.message", "dlq.error_path"])
def test_what_is_shown_of_a_text_is_all_of_it_or_a_problem(
    name: str, content: bytes, problem: str | None
) -> None:
    records = [with_header(letter(number), name, content) for number in range(2)]
    check(records)
    for line in map(orjson.loads, filter(None, usually(records, ALL)[0])):
        assert line["problems"] == ([] if problem is None else [f"the header {name} {problem}"])
        assert [each for each, _ in line["headers"]] == ([] if problem is None else [name])
        shown = line[name.removeprefix("dlq.")]
        assert shown.endswith("…") == (problem is not None and problem.startswith("is cut"))
        assert problem is not None or shown == content.decode()


def test_headers_missing_doubled_and_of_others() -> None:
    good = [letter(number) for number in range(60)]
    records: list[RawRecord] = []
    for number, raw in enumerate(good):
        headers = list(raw.headers)
        position = number % len(headers)
        changed = (
            headers[:position] + headers[position + 1 :],
            [*headers, headers[position]],
            [*headers, ("dlq.origin_offset", b"5")],
            [*headers, ("other", b"%d" % number)],
            [("", b""), *headers],
            headers[::-1],
            [],
        )[number % 7]
        records += [raw, raw._replace(headers=changed)]
    check(records)


def test_keys_times_and_values() -> None:
    raw = letter(1)
    keys = (None, b"", b"a", b"Z9", b"a b", b'"', b"\xff", "é".encode(), b"k" * 300)
    records = [raw._replace(key=key) for key in keys]
    records += [raw._replace(ts_ns=ts_ns) for ts_ns in (None, 0, NS_PER_MS, LAST_MS * NS_PER_MS)]
    records += [raw._replace(ts_ns=ms * NS_PER_MS) for ms in (LAST_MS + 1, 2**62)]
    records += [raw._replace(value=value) for value in (None, b"", b"1", b"12", b"123", b"1234")]
    records += [raw._replace(topic=topic) for topic in ("a", 'quote"%d', "a")]
    records += [raw._replace(partition=2**31 - 1, offset=2**62)]
    assert check(records) > len(records) // 2


def test_lines_larger_than_the_buffer() -> None:
    large = random.Random(3).randbytes(OUT_BYTES)
    sizes = (10, OUT_BYTES, 20, OUT_BYTES * 3 // 4, OUT_BYTES // 2, OUT_BYTES // 2, 30)
    check([letter(n, raw=large[:size], unit="journal") for n, size in enumerate(sizes * 2)])


def test_more_forms_than_there_is_room_for() -> None:
    numbers = [number % 1_500 for number in range(3_000)]
    records = [letter(n, error_path=f"/{n}", contract="t" * (n % 40)) for n in numbers]
    quick = check(records)
    assert 500 < quick < 1_500


def test_reasons_that_were_not_chosen() -> None:
    codes = ("SEMANTIC_RANGE", "DECODE_TRUNCATED", "JOURNAL_CORRUPT", "NONE_OF_OURS")
    records = [letter(n, reason=codes[n % 4]) for n in range(200)]
    assert check(records, DumpOptions(frozenset(["DECODE_TRUNCATED"]))) > 40
    assert check(records, DumpOptions(frozenset(["UNCLASSIFIED"]))) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("dlq.message", "dlq.feed_seq", "dlq.unit", "dlq.reason", "é", "x")),
            st.none() | st.binary(max_size=12) | st.integers(0, 10**20).map(lambda n: b"%d" % n),
        ),
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150)
def test_any_headers(more: list[tuple[str, bytes | None]], source: random.Random) -> None:
    records: list[RawRecord] = []
    for number in range(4):
        raw = letter(number)
        headers = [*raw.headers, *more]
        if source.random() < 0.7:
            source.shuffle(headers)
        records += [raw, raw._replace(headers=headers), raw._replace(headers=more)]
    check(records * 2)


def test_the_mix_of_the_field_on_kafka(
    kafka_bootstrap: str,
    make_topic: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    topic, kafka = make_topic(2), KafkaSettings(bootstrap=kafka_bootstrap)
    count = produce(kafka_bootstrap, topic, mixed_letters(9, 3_000, large_every=700))
    span, found = Span(), []
    for at_least in (count, count + 1):
        monkeypatch.setattr(opening, "BULK_RECORDS", at_least)
        out = PieceFile(tmp_path / f"{at_least}.jsonl")
        ranges = find_ranges(kafka, [topic], span)
        with opening.open_work(kafka, [topic], span, ranges, out, ALL) as work:
            assert isinstance(work, BulkWork) == (at_least == count)
            summary = dump(work, Stop(), lambda read: None)
        out.close()
        lines = [orjson.loads(line) for line in out.path.read_bytes().splitlines()]
        # Which partition comes first is for Kafka to say; within each the file keeps the order.
        by_partition = [[line for line in lines if line["partition"] == n] for n in range(2)]
        found.append((by_partition, summary.rows(), summary.read, summary.lines, summary.decoded))
    assert found[0] == found[1]
    assert found[0][2:4] == (count, count)


@pytest.mark.parametrize("at_least", [1, 1_000])
def test_records_that_the_times_leave_out_are_no_silence(
    kafka_bootstrap: str,
    make_topic: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    at_least: int,
) -> None:
    """In bulk and record by record."""
    topic, kafka = make_topic(1), KafkaSettings(bootstrap=kafka_bootstrap)
    count = produce(kafka_bootstrap, topic, mixed_letters(4, 300))
    monkeypatch.setattr(opening, "BULK_RECORDS", at_least)
    span = Span(until_ns=1)
    arrived = 0
    with opening.open_work(
        kafka, [topic], span, find_ranges(kafka, [topic], span), None, ALL
    ) as work:
        assert isinstance(work, BulkWork) == (at_least == 1)
        while not work.finished:
            arrived += work.step(0.2)
        assert (arrived, work.summary.read) == (count, 0)


def test_it_says_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    said = Event()

    def tell(text: str) -> None:
        told.append(text)
        said.set()

    monkeypatch.setattr(opening, "PATIENCE_S", 0.01)
    monkeypatch.setattr(bulk_work, "warm_up", lambda: said.wait(60))
    nobody, ranges = KafkaSettings(bootstrap="127.0.0.1:9"), {(TOPIC, 0): (0, 50_000)}
    with opening.open_work(nobody, [TOPIC], Span(), {**ranges}, None, ALL, tell):
        assert told == [opening.PREPARING]


def test_kept_machine_code_depends_on_every_layout_the_loop_reads() -> None:
    behind = sources_behind("kite_dead_letters.line_loops")
    assert {
        "kite_broker_zerodha.packets",
        "kite_runtime.compiled",
        "kite_dead_letters.form_loops",
        "kite_kafka_io.librdkafka.gathering",
        "kite_kafka_io.librdkafka.memory",
    } <= behind.keys()
    assert not {name.partition(".")[0] for name in behind} & {"numpy", "numba", "ctypes"}
