"""Lists of dead letters page by page: nothing twice, nothing left out."""

from __future__ import annotations

import pytest
from letters import letter

from kite_bars_store.database import Connection
from kite_bars_store.failures import (
    Decision,
    FailureStore,
    Group,
    GroupFilter,
    GroupPlace,
    Selection,
)


@pytest.fixture()
def failures(connection: Connection) -> FailureStore:
    return FailureStore(connection)


def test_groups_page_by_page_are_the_groups_at_once(failures: FailureStore) -> None:
    # Equal counts and equal times, so that each part of the order decides somewhere.
    failures.record(
        letter(number, fingerprint=f"{number % 7:016x}", ts_ns=number % 3 * 10**18)
        for number in range(20)
    )
    failures.decide(Selection(fingerprint=f"{5:016x}"), Decision.RESOLVE, "asha")
    pages: list[Group] = []
    place: GroupPlace | None = None
    while page := failures.groups(after=place, limit=2):
        pages += page
        place = page[-1].place
    assert pages == failures.groups()
    assert len(pages) == 7


def test_groups_are_found_by_a_part_of_their_message(failures: FailureStore) -> None:
    failures.record(
        [
            letter(0, fingerprint="a" * 16, message="100% of Ünknown"),
            letter(1, fingerprint="b" * 16, message="1000 of known"),
        ]
    )

    def found(text: str) -> list[str]:
        return [group.fingerprint[0] for group in failures.groups(GroupFilter(text=text))]

    assert sorted(found("OF")) == ["a", "b"]
    assert found("0% o") == ["a"], "no pattern"
    assert found("ünk") == ["a"]
    assert found("nobody\0") == []


def test_the_latest_come_first_and_page_by_page_are_all(failures: FailureStore) -> None:
    failures.record(
        letter(number, reason="AUTH" if number % 2 else "TOO_LARGE") for number in range(9)
    )
    chosen = Selection(reasons=("TOO_LARGE",))
    first = failures.latest(chosen, limit=3)
    rest = failures.latest(chosen, before=first[-1].failure_id, limit=3)
    assert [each.offset for each in (*first, *rest)] == [8, 6, 4, 2, 0]
    assert [*first, *rest] == failures.summaries(chosen)[::-1]
