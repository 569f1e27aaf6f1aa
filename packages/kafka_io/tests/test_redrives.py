"""The filter of redriven records."""

from __future__ import annotations

import pytest

from kite_kafka_io.redrives import REDRIVE_ID, RedriveFilter


def test_a_redrive_passes_once_and_other_records_always() -> None:
    chosen = RedriveFilter()
    one = [("x", b"1"), (REDRIVE_ID, b"a"), (REDRIVE_ID, b"b")]
    other = [(REDRIVE_ID, b"b")]
    assert [chosen.is_fresh(each) for each in (one, one, other, one, [], [])] == [
        True,
        False,
        True,
        False,
        True,
        True,
    ]
    assert chosen.dropped == 2


def test_a_header_without_a_value_is_no_id() -> None:
    chosen = RedriveFilter()
    assert chosen.is_fresh([(REDRIVE_ID, None)])
    assert chosen.is_fresh([(REDRIVE_ID, None)])


def test_it_keeps_so_many_ids_and_no_more() -> None:
    chosen = RedriveFilter(ids_max=2)
    for name in (b"a", b"b", b"c"):
        assert chosen.is_fresh([(REDRIVE_ID, name)])
    assert not chosen.is_fresh([(REDRIVE_ID, b"b")])
    assert chosen.is_fresh([(REDRIVE_ID, b"a")])
    with pytest.raises(ValueError, match="at least 1, not 0"):
        RedriveFilter(0)
