"""JSON that is nested deeply: one letter of it never ends the work on the others."""

from __future__ import annotations

import orjson
import pytest

from kite_dead_letters.classify import Classifier
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.json_text import DEPTH_MAX, parse_json
from kite_kafka_io.raw_reader import RawRecord


def nested(depth: int, shape: str) -> bytes:
    opening, closing = {"lists": ("[", "]"), "objects": ('{"a":', "}")}[shape]
    return (opening * depth + ("" if shape == "lists" else "1") + closing * depth).encode()


@pytest.mark.parametrize("shape", ["lists", "objects"])
def test_the_limit_is_exact(shape: str) -> None:
    parse_json(nested(DEPTH_MAX, shape))
    with pytest.raises(ValueError, match=f"deeper than {DEPTH_MAX} levels"):
        parse_json(nested(DEPTH_MAX + 1, shape))
    assert len(parse_json(b"[" + b"[1]," * 500 + b"[]]")) == 501  # wide is not deep


@pytest.mark.parametrize("shape", ["lists", "objects"])
@pytest.mark.parametrize("depth", [DEPTH_MAX, DEPTH_MAX + 1, 253, 600, 1_024, 1_025, 50_000])
def test_a_letter_of_any_depth_has_its_line(depth: int, shape: str) -> None:
    value = nested(depth, shape)
    classifier = Classifier()
    found = classifier.classify(RawRecord("x.dlq", 0, 1, 2_000_000, b"k", value, []))
    decoded = orjson.loads(LineMaker(classifier).line(found))["decoded"]
    assert decoded["form"] == ("json" if depth <= DEPTH_MAX else "text")
