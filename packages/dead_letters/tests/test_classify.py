"""Every dead letter gets the reason intended for it, and no headers or bytes make triage fail."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_letters import MAKERS, Mixed, mixed_letters

from kite_contracts.reasons import ReasonCode
from kite_dead_letters.classify import Classifier
from kite_dead_letters.dialects import FIELDS
from kite_dead_letters.dump.summary import Summary
from kite_dead_letters.fast_lane import FastLane
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.records import Dialect, ReasonSource
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
        if found.reason != letter.intended:
            wrong[letter.kind, str(letter.intended), found.reason, found.message] += 1
    assert not wrong


@given(headers=HEADERS, value=VALUES)
def test_no_headers_or_bytes_make_it_fail(
    headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    classifier = Classifier()
    record = RawRecord("ticks.dlq", 3, 9, None, b"\xff", value, headers)
    found = classifier.classify(record)
    assert ReasonCode(found.reason)
    assert len(found.fingerprint) == 16
    assert found.value is value
    assert found.headers is headers
    line = orjson.loads(LineMaker(classifier).line(found))
    assert (line["reason"], line["fingerprint"]) == (found.reason, found.fingerprint)
    assert (line["message"], line["problems"]) == (found.message, list(found.problems))


@given(st.lists(st.tuples(HEADERS, VALUES), max_size=8), st.integers(0, 2))
def test_what_is_remembered_is_what_is_read_anew(
    pairs: list[tuple[list[tuple[str, bytes | None]], bytes | None]], again: int
) -> None:
    remembering = Classifier()
    for headers, value in pairs * (1 + again):
        record = RawRecord("a.dlq", 0, 0, 1, None, value, headers)
        assert remembering.classify(record) == Classifier().classify(record)


class Both:
    """The two ways to a line, side by side."""

    def __init__(self) -> None:
        self.classifier, self.summary = Classifier(), Summary()
        self.maker = LineMaker(self.classifier)
        self.lane = FastLane(self.classifier, self.maker, self.summary, frozenset())
        self.quick = 0

    def check(self, record: RawRecord) -> None:
        counted = self.summary.count
        line = self.lane.line(record)
        if line is None:
            assert self.summary.count == counted
            return
        self.quick += 1
        classifier = Classifier()
        found = classifier.classify(record)
        assert orjson.loads(line) == orjson.loads(LineMaker(classifier).line(found))
        assert self.summary.count == counted + 1
        assert line.count(b"\n") == 1


def test_the_fast_lane_makes_the_same_lines() -> None:
    both = Both()
    for topic in ("ticks.dlq", "100%d.dlq"):
        for number, letter in enumerate(mixed_letters(3, COUNT)):
            both.check(raw(letter, number, topic))
    # Those that the bridge writes, but for the first, whose number is 0.
    assert both.quick == 2 * COUNT // len(MAKERS) - 2


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
def test_the_fast_lane_makes_the_same_lines_of_any_letters(
    letters: list[tuple[dict[str, bytes | None], bytes, bytes]],
) -> None:
    both = Both()
    for headers, value, key in letters * 2:
        both.check(RawRecord("t.dlq", 1, 2, 3_000_000, key, value, list(headers.items())))


def test_a_code_that_came_later_is_unclassified_and_told() -> None:
    letter = next(each for each in mixed_letters(1, COUNT) if each.kind == "unknown-code")
    found = Classifier().classify(raw(letter))
    assert (found.reason, found.reason_source) == (ReasonCode.UNCLASSIFIED, ReasonSource.NONE)
    assert "INVENTED_LATER" in found.problems[0]
    assert found.dialect is Dialect.KITE
    assert orjson.loads(LineMaker(Classifier()).line(found))["headers"] == [
        ["dlq.reason", "INVENTED_LATER"]
    ]


def test_the_first_of_two_headers_counts() -> None:
    letter = next(each for each in mixed_letters(1, COUNT) if each.kind == "doubled")
    found = Classifier().classify(raw(letter))
    assert found.attempt == 1
    assert found.problems == tuple(
        f"the header dlq.{name} is there again; the first one counts"
        for name in ("reason", "attempt", "message")
    )


def test_spring_numbers_are_binary() -> None:
    number = MAKERS.index(next(each for each in MAKERS if each.__name__ == "_spring"))
    letter = list(mixed_letters(1, number + 1))[number]
    found = Classifier().classify(raw(letter))
    assert (found.origin_topic, found.origin_partition) == ("ticks", number % 6)
    assert (found.origin_offset, found.attempt) == (number, 3)
    assert found.exception == "org.springframework.dao.DuplicateKeyException"
    assert found.component == "billing"


def test_a_null_value_of_another_tool_is_no_fault_of_its_own() -> None:
    letter = next(
        each for each in mixed_letters(1, COUNT) if each.kind == "connect" and each.value is None
    )
    found = Classifier().classify(raw(letter))
    assert found.reason == ReasonCode.UNCLASSIFIED
    assert found.message.startswith("Failed to deserialize")


def test_good_bytes_are_told_to_be_good() -> None:
    letter = next(
        each
        for each in mixed_letters(1, COUNT)
        if each.kind == "headless" and each.intended == ReasonCode.UNCLASSIFIED
    )
    found = Classifier().classify(raw(letter))
    assert (found.contract, found.reason_source) == ("tick.v1", ReasonSource.NONE)
    assert found.message == "a good tick.v1 by today's contracts"
