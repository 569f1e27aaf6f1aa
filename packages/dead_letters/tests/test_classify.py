"""Every dead letter gets the reason intended for it, and no headers or bytes make triage fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_letters import MAKERS, Mixed, mixed_letters

from kite_contracts.reasons import ReasonCode
from kite_dead_letters import classify
from kite_dead_letters.classify import Classifier
from kite_dead_letters.dialects import FIELDS, layout_of
from kite_dead_letters.json_lines import LineMaker, text_or_base64, to_json
from kite_dead_letters.records import ClassifiedRecord, Dialect, ReasonSource
from kite_kafka_io.raw_reader import RawRecord

COUNT = len(MAKERS) * 60
_NAMES = sorted(name for known in FIELDS.values() for name in known)
_CONTENTS = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.integers(-1, 2**65).map(lambda number: b"%d" % number),
    st.sampled_from([str(code).encode() for code in ReasonCode]),
    st.text(max_size=20).map(lambda text: text.encode()),
)
HEADERS = st.lists(
    st.tuples(st.one_of(st.sampled_from(_NAMES), st.text(max_size=8)), _CONTENTS), max_size=12
)
VALUES = st.one_of(st.none(), st.binary(max_size=200), st.sampled_from([b"\xc3\x01", b"\x00" * 9]))


def raw(letter: Mixed, offset: int = 0, topic: str = "ticks.dlq") -> RawRecord:
    return RawRecord(topic, 0, offset, 5_000_000, letter.key, letter.value, letter.headers)


@pytest.mark.parametrize("seed", [1, 2])
def test_each_kind_gets_the_reason_intended(seed: int) -> None:
    classifier = Classifier()
    wrong: Counter[tuple[str, ...]] = Counter()
    for letter in mixed_letters(seed, COUNT, large_every=97):
        topic = "test.dlq" if letter.kind in ("headless", "garbage", "empty") else "ticks.dlq"
        found = classifier.classify(raw(letter, topic=topic))
        if found.failure.reason != letter.intended:
            wrong[letter.kind, str(letter.intended), found.failure.reason, found.message] += 1
    assert not wrong


@given(headers=HEADERS, value=VALUES)
def test_no_headers_or_bytes_make_it_fail(
    headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    classifier = Classifier()
    record = RawRecord("ticks.dlq", 3, 9, None, b"\xff", value, headers)
    found = classifier.classify(record)
    assert ReasonCode(found.failure.reason)
    assert len(found.fingerprint) == 16
    assert found.raw.value is value
    assert found.raw.headers is headers
    line = orjson.loads(LineMaker(classifier).line(found))
    assert (line["reason"], line["fingerprint"]) == (found.failure.reason, found.fingerprint)
    assert (line["message"], line["problems"]) == (found.message, list(found.problems))


def without_memory(record: RawRecord) -> ClassifiedRecord:
    """What is read of a record when nothing is remembered."""
    for memory in (layout_of, classify._remembered, classify._digest, classify.origin_name):
        memory.cache_clear()
    return Classifier().classify(record)


@given(st.lists(st.tuples(HEADERS, VALUES), max_size=8), st.integers(0, 2))
def test_what_is_remembered_is_what_is_read_without_a_memory(
    pairs: list[tuple[list[tuple[str, bytes | None]], bytes | None]], again: int
) -> None:
    classifier = Classifier()
    records = [RawRecord("a.dlq", 0, 0, 1, None, value, headers) for headers, value in pairs]
    remembered = [classifier.classify(record) for record in records * (1 + again)]
    assert remembered == [without_memory(record) for record in records] * (1 + again)


def plain_line(record: ClassifiedRecord, classifier: Classifier) -> dict[str, Any]:
    """The document of a line, field by field."""
    raw, decoded = record.raw, classifier.decoded(record)
    if decoded is not None and record.failure.unit == "packet":
        decoded = replace(decoded, contract=record.failure.contract)  # its header's wins
    headers = [raw.headers[position] for position in record.failure.other_headers]
    document = {
        **{name: getattr(raw, name) for name in ("topic", "partition", "offset", "ts_ns")},
        **{name: getattr(record.failure, name) for name in FAILURE_FIELDS},
        **{name: getattr(record, name) for name in RECORD_FIELDS},
        "key": text_or_base64(raw.key),
        "headers": [[name, text_or_base64(content)] for name, content in headers],
        "value": raw.value,
        "decoded": None
        if decoded is None
        else {name: getattr(decoded, name) for name in ("form", "contract", "records")},
    }
    found: dict[str, Any] = orjson.loads(orjson.dumps(document, to_json))
    return found


FAILURE_FIELDS = (
    *("reason", "reason_source", "error_path", "dialect", "exception", "component"),
    *("origin_topic", "origin_partition", "feed_session", "contract", "unit", "attempt"),
)
RECORD_FIELDS = (
    *("message", "fingerprint", "origin_offset", "feed_seq", "first_failure_ns", "problems"),
)


def check_lines(records: Sequence[RawRecord]) -> None:
    """The lines of a classifier that remembers are plain JSON of one that does not."""
    classifier = Classifier()
    maker = LineMaker(classifier)
    for record, line in [(each, maker.line(classifier.classify(each))) for each in records]:
        assert line.count(b"\n") == 1
        found = orjson.loads(line)
        wanted = plain_line(without_memory(record), Classifier())
        assert (found, list(found)) == (wanted, list(wanted))


def test_lines_are_plain_json_of_what_was_found() -> None:
    for topic in ("ticks.dlq", "100%d.dlq"):
        letters = mixed_letters(3, COUNT)
        check_lines([raw(letter, number, topic) for number, letter in enumerate(letters)])


_OURS = st.fixed_dictionaries(
    {
        "dlq.reason": st.sampled_from([b"TOO_LARGE", b"SEMANTIC_RANGE", b"UNCLASSIFIED", b"X"]),
        "dlq.message": st.one_of(st.text(max_size=9).map(str.encode), st.binary(max_size=9)),
        "dlq.unit": st.sampled_from([b"packet", b"frame-tail", b"record", b"50%"]),
        "dlq.contract": st.sampled_from([b"tick.v1", b"%d", b"\xff"]),
    },
    optional={
        "dlq.feed_seq": st.sampled_from([b"0", b"7", b"007", b"-1", b"9" * 19, b"\xd9\xa3", None]),
        "dlq.first_failure_ns": st.sampled_from([b"1", b"0", b"", b"9223372036854775807"]),
        "dlq.origin_offset": st.sampled_from([b"1", b"x"]),
        "dlq.feed_session": st.sampled_from([b"5", b"%"]),
        "other": _CONTENTS,
    },
)


@given(st.lists(st.tuples(_OURS, st.binary(max_size=200), st.binary(max_size=3)), max_size=6))
def test_lines_are_plain_json_for_any_letters(
    letters: list[tuple[dict[str, bytes | None], bytes, bytes]],
) -> None:
    check_lines(
        [
            RawRecord("t.dlq", 1, 2, 3_000_000, key, value, list(headers.items()))
            for headers, value, key in letters * 2
        ]
    )


NUL = r"holds a NUL, shown as \x00"


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
    letter = next(each for each in mixed_letters(1, COUNT) if each.kind == "ours")
    headers = [*((each, kept) for each, kept in letter.headers if each != name), (name, content)]
    record = raw(letter)._replace(headers=headers)
    classifier = Classifier()
    maker = LineMaker(classifier)
    for _ in range(2):  # the second is remembered
        line = orjson.loads(maker.line(classifier.classify(record)))
        assert line["problems"] == ([] if problem is None else [f"the header {name} {problem}"])
        assert [each for each, _ in line["headers"]] == ([] if problem is None else [name])
        shown = line[name.removeprefix("dlq.")]
        assert shown.endswith("…") == (problem is not None and problem.startswith("is cut"))
        assert problem is not None or shown == content.decode()


def test_a_code_that_came_later_is_unclassified_and_told() -> None:
    letter = next(each for each in mixed_letters(1, COUNT) if each.kind == "unknown-code")
    found = Classifier().classify(raw(letter))
    assert (found.failure.reason, found.failure.reason_source) == (
        ReasonCode.UNCLASSIFIED,
        ReasonSource.NONE,
    )
    assert "INVENTED_LATER" in found.problems[0]
    assert found.failure.dialect is Dialect.KITE
    assert orjson.loads(LineMaker(Classifier()).line(found))["headers"] == [
        ["dlq.reason", "INVENTED_LATER"]
    ]


def test_the_first_of_two_headers_counts() -> None:
    letter = next(each for each in mixed_letters(1, COUNT) if each.kind == "doubled")
    found = Classifier().classify(raw(letter))
    assert found.failure.attempt == 1
    assert found.problems == tuple(
        f"the header dlq.{name} is there again; the first one counts"
        for name in ("reason", "attempt", "message")
    )


def test_spring_numbers_are_binary() -> None:
    number = MAKERS.index(next(each for each in MAKERS if each.__name__ == "_spring"))
    letter = list(mixed_letters(1, number + 1))[number]
    found = Classifier().classify(raw(letter))
    assert (found.failure.origin_topic, found.failure.origin_partition) == ("ticks", number % 6)
    assert (found.origin_offset, found.failure.attempt) == (number, 3)
    assert found.failure.exception == "org.springframework.dao.DuplicateKeyException"
    assert found.failure.component == "billing"


def test_a_null_value_of_another_tool_is_no_fault_of_its_own() -> None:
    letter = next(
        each for each in mixed_letters(1, COUNT) if each.kind == "connect" and each.value is None
    )
    found = Classifier().classify(raw(letter))
    assert found.failure.reason == ReasonCode.UNCLASSIFIED
    assert found.message.startswith("Failed to deserialize")


def test_good_bytes_are_told_to_be_good() -> None:
    letter = next(
        each
        for each in mixed_letters(1, COUNT)
        if each.kind == "headless" and each.intended == ReasonCode.UNCLASSIFIED
    )
    found = Classifier().classify(raw(letter))
    assert (found.failure.contract, found.failure.reason_source) == ("tick.v1", ReasonSource.NONE)
    assert found.message == "a good tick.v1 by today's contracts"
