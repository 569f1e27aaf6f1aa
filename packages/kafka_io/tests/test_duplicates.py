"""The duplicate filter against a row-by-row one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_kafka_io.duplicates import DuplicateFilter

SMALL = st.integers(0, 3)
BATCHES = st.lists(st.lists(st.tuples(SMALL, SMALL, st.integers(0, 8)), max_size=20), max_size=5)


@given(BATCHES)
def test_rows_pass_that_are_above_the_highest_before(
    batches: list[list[tuple[int, int, int]]],
) -> None:
    chosen, highest, dropped = DuplicateFilter(), dict[tuple[int, int], int](), 0
    for rows in batches:
        expected = []
        for partition, session, seq in rows:
            expected.append(seq > highest.get((partition, session), -1))
            highest[partition, session] = max(seq, highest.get((partition, session), -1))
        columns = np.array(rows, np.int64).reshape(-1, 3)
        assert chosen.fresh(columns[:, 0], columns[:, 1], columns[:, 2]).tolist() == expected
        dropped += expected.count(False)
    assert chosen.dropped == dropped


def test_it_forgets_the_session_met_longest_ago() -> None:
    bounded = DuplicateFilter(sessions_max=2)
    one = np.array([1])

    def fresh(session: int) -> bool:
        return bool(bounded.fresh(one, np.array([session]), one)[0])

    assert [fresh(session) for session in (1, 2, 1, 3)] == [True, True, False, True]
    assert not fresh(1)
    assert fresh(2)
    with pytest.raises(ValueError, match="at least 1"):
        DuplicateFilter(0)


def test_a_filter_goes_on_with_what_an_earlier_one_knew() -> None:
    first = DuplicateFilter()
    partition = np.array([0, 0, 1])
    first.fresh(partition, np.array([7, 7, 7]), np.array([1, 5, 3]))
    assert first.known == {(0, 7): 5, (1, 7): 3}
    second = DuplicateFilter(known=first.known)
    fresh = second.fresh(partition, np.array([7, 7, 7]), np.array([5, 6, 3]))
    assert fresh.tolist() == [False, True, False]
    assert first.known == {(0, 7): 5, (1, 7): 3}
