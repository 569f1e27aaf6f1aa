"""Bytes as hex, records as lines, addresses as filters: the pure parts of the page."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from kite_bars_store.failures import GroupPlace, Status
from kite_dead_letters.page.filters import address, filter_of, id_of, place_of, place_text, time_of
from kite_dead_letters.page.rendering import ago, reason_of, utc
from kite_dead_letters.page.views import (
    LINES_MAX,
    PAGE_BYTES,
    TreeLine,
    hex_page,
    pointer,
    readable,
    tree_lines,
)

PLACES = st.builds(
    GroupPlace,
    st.integers(0, 2**63 - 1),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.text("0123456789abcdef", min_size=16, max_size=16),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=3 * PAGE_BYTES))
def test_the_pieces_of_a_value_are_the_value(value: bytes) -> None:
    pieces, start = b"", 0
    while True:
        page = hex_page(value, start)
        pieces += bytes.fromhex("".join(row.left + row.right for row in page.rows))
        assert page.start == start
        if page.after is None:
            break
        assert hex_page(value, page.after).before == page.start
        start = page.after
    assert pieces == value


def test_a_row_shows_where_what_and_the_characters() -> None:
    (row, last) = hex_page(b"\x00ABC\x7f\xff<>" + b"x" * 9, 0).rows
    assert (row.at, row.left, row.right) == (
        "000000",
        "00 41 42 43 7f ff 3c 3e",
        "78 78 78 78 78 78 78 78",
    )
    assert row.text == ".ABC..<>xxxxxxxx"
    assert (last.at, last.left, last.right, last.text) == ("000010", "78", "", "x")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (None, "(null)"),
        (b"", "(empty)"),
        (b"256265", "256265"),
        (b"\xff\x00", "0xff00"),
        (b"a\x00", "0x6100"),
        ("\u202eevil".encode(), "0xe280ae6576696c"),
        (b"line\n\tnext", "line\n\tnext"),
    ],
)
def test_headers_and_keys_are_text_where_they_are_text(content: bytes | None, shown: str) -> None:
    assert readable(content) == shown


def _marked(value: Any, path: str | None) -> list[tuple[str, str]]:
    return [(each.name, each.text) for each in tree_lines(value, path)[0] if each.marked]


def test_the_field_at_fault_is_marked_wherever_it_is() -> None:
    record = {"a": 1, "depth": {"bids": [{"price": 5}, {"price": -5}]}, "x/y~z": 0, "none": {}}
    assert _marked(record, "/a") == [("a", "1")]
    assert _marked(record, "/depth/bids/1/price") == [("price", "-5")]
    assert _marked(record, "/x~1y~0z") == [("x/y~z", "0")]
    assert _marked(record, "/depth/bids") == [("bids", "")]
    assert _marked(record, "/depth/asks") == [("asks", "(not there)")]
    assert _marked(record, "/none/deep/er") == [("deep/er", "(not there)")]
    assert _marked(record, "/bids") == [("bids", "(not there)")]
    assert _marked(record, "") == [("", "")]
    assert _marked(record, None) == []
    assert _marked(record, "no pointer") == []
    lines, more = tree_lines(record, "/depth/bids/1/price")
    assert not more
    assert [each.name for each in lines if each.inside] == ["depth", "bids", "1"]
    assert TreeLine(3, "price", "5", False, False) in lines


@given(JSON, st.none() | st.text())
def test_any_record_has_lines(value: Any, path: str | None) -> None:
    lines, more = tree_lines(value, path)
    assert lines or value in ({}, []) or more is False
    assert len(lines) <= LINES_MAX
    assert sum(each.marked for each in lines) <= 1
    if pointer(path) is None:
        assert not any(each.marked or each.inside for each in lines)


def test_long_and_deep_records_are_cut() -> None:
    assert tree_lines(list(range(10 * LINES_MAX)), None)[1]
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    lines, _ = tree_lines(deep, None)
    assert max(each.depth for each in lines) < 100
    (line,) = tree_lines("x" * 10_000, None)[0]
    assert len(line.text) < 2_100


@given(PLACES)
def test_a_place_in_the_list_survives_the_address(place: GroupPlace) -> None:
    assert place_of(place_text(place)) == place


@given(st.text())
def test_any_text_of_an_address_is_read_or_refused(text: str) -> None:
    for read in (id_of, place_of, time_of):
        with suppress(HTTPException):
            read(text)
    with suppress(HTTPException):
        chosen = filter_of({"text": text, "status": text, "since": text})
        chosen.groups()
        chosen.failures()


def test_the_filter_of_a_form() -> None:
    chosen = filter_of({"reason": " AUTH ", "topic": "", "status": "open", "odd": "1"})
    assert chosen.given == {"reason": "AUTH", "status": "open"}
    assert chosen.failures().status is Status.OPEN
    assert chosen.groups().topic is None
    assert filter_of({"since": "2026-01-31T09:15"}).groups().since == datetime(
        2026, 1, 31, 9, 15, tzinfo=UTC
    )
    assert time_of("2026-01-31T09:15+05:30") == datetime(2026, 1, 31, 3, 45, tzinfo=UTC)
    assert address("/", **chosen.given) == "/?reason=AUTH&status=open"
    assert address("/", after=None, text="a&b") == "/?text=a%26b"


def test_times_are_told_for_people() -> None:
    now = datetime(2026, 1, 31, 9, 15, 30, tzinfo=UTC)
    assert utc(now) == "2026-01-31 09:15:30 UTC"
    told = [ago(now - timedelta(seconds=age), now) for age in (-5, 59, 60, 7200, 200_000)]
    assert told == ["just now", "just now", "1 min ago", "2 h ago", "2 d ago"]
    assert reason_of("AUTH") is not None
    assert reason_of("name") is None
