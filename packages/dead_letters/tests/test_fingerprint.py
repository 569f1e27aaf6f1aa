"""Fingerprints: what varies from record to record does not count, everything else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_dead_letters.classify import DIGITS_ALIKE, fingerprint, normalise, origin_name

SAME = [
    ("5 is less than the minimum of 315513000", "77 is less than the minimum of 1"),
    ("Expiring 1 record(s) for bars-0:120001 ms", "Expiring 12 record(s) for bars-3:9 ms"),
    ("at 2026-11-23T09:15:00.123Z", "at 2025-01-02 10:00:00+05:30"),
    ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-0000-4000-8000-00000000000a"),
    ("begins with c3 01 e8 11 d6", "begins with 00 ff 0a 0b"),
    ("object at 0x7f9f4da5ea00", "object at 0x1"),
    ("hash deadbeef01", "hash 0123456789abcdef"),
    ("'INFY' is not one of the symbols", "'TCS' is not one of the symbols"),
    ('no column "volume"', 'no column "oi"'),
    ("value -1.5e10", "value 7"),
]
OTHER = [
    ("the frame ends inside this packet", "bytes follow the last packet"),
    ("isn't known, and can't be", "isn't there, and can't be"),
    ("5 is less than", "5 is more than"),
    ("deadbeef is a word", "feedface is a word"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_what_varies_does_not_count(one: str, two: str) -> None:
    assert normalise(one) == normalise(two) != ""


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_what_tells_causes_apart_counts(one: str, two: str) -> None:
    assert normalise(one) != normalise(two)


@given(st.text(alphabet="ab01x'\" -:.e/c3", max_size=40))
def test_which_digits_there_are_makes_no_difference(text: str) -> None:
    alike = text.encode().translate(DIGITS_ALIKE).decode()
    assert normalise(alike) == normalise(text)


def test_every_part_counts() -> None:
    parts = ("TOO_LARGE", "ticks", "too large", "/depth/bids/3/price", "a.B")
    whole = fingerprint(*parts)
    assert whole == fingerprint("TOO_LARGE", "ticks", "too large", "/depth/bids/0/price", "a.B")
    assert len(whole) == 16
    others = {
        fingerprint(*(*parts[:place], "other", *parts[place + 1 :])) for place in range(len(parts))
    }
    assert len(others | {whole}) == 6


@pytest.mark.parametrize(
    ("origin", "topic", "name"),
    [
        ("bars", "x.dlq", "bars"),
        (None, "ticks.dlq", "ticks"),
        (None, "ticks.quarantine", "ticks"),
        (None, "orders_dlq", "orders"),
        (None, "orders-dlt", "orders"),
        (None, "orders.DLT", "orders"),
        (None, "orders-retry-2", "orders"),
        (None, ".dlq", ".dlq"),
        ("", "ticks.dlq", "ticks"),
    ],
)
def test_where_a_letter_comes_from(origin: str | None, topic: str, name: str) -> None:
    assert origin_name(origin, topic) == name
