"""Ticks into bars: held against a plain computation in pandas, however the ticks are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bar_records import records
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_contracts.tick_batch import (
    ABSENT,
    FEED_SESSION,
    INSTRUMENT_TOKEN,
    LAST_PRICE,
    OPEN_INTEREST,
    PRICE_SCALE,
    TRADE,
    TS_EVENT_NS,
    TS_RECV_NS,
    Group,
    TickBatch,
)
from kite_contracts.validate import explain
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.framing import SingleObjectFraming
from kite_lake.bars.core import INTERVALS, BarRules, PartitionBars, load
from kite_lake.bars.encoding import BarEncoder
from kite_lake.bars.gaps import gap_of
from kite_lake.bars.loops import OI, OUT_SLOT

S = 1_000_000_000
# 2026-11-18, 10:00 in India.
DAY = 1_794_976_200 * S
RULES = BarRules({"m1": 60 * S}, lateness_ns=2 * S, revise_ns=600 * S)
NAMES = {token: ("NSE", f"S{token}") for token in range(1, 6)}

Row = tuple[int, int, int, int]
"""Token, event time in s since DAY, price, volume_day."""
Bar = dict[str, Any]


def batch(rows: list[Row], session: int = 16) -> TickBatch:
    made = TickBatch(max(1, len(rows)))
    made.size = len(rows)
    made.values[:] = ABSENT
    made.groups[:] = Group.TRADE | Group.OPEN_INTEREST
    for at, (token, second, price, volume) in enumerate(rows):
        row = made.values[at]
        row[INSTRUMENT_TOKEN], row[FEED_SESSION], row[PRICE_SCALE] = token, session, 2
        row[TS_EVENT_NS] = row[TS_RECV_NS] = DAY + second * S
        row[LAST_PRICE], row[TRADE + 2], row[OPEN_INTEREST] = price, volume, price + 7
    return made


def run(rows: list[Row], cuts: list[int], rules: BarRules = RULES, rest: bool = False) -> list[Bar]:
    """Every bar that ticks in pieces give; with ``rest`` the state is stored in between."""
    bars, found = PartitionBars(rules), []
    edges = [0, *sorted(min(each, len(rows)) for each in cuts), len(rows)]
    for begin, end in pairwise(edges):
        if begin < end:
            piece = batch(rows[begin:end])
            found += records(bars, bars.add(piece, np.arange(end - begin)), NAMES)[0]
        if rest:
            bars, known = load(bars.dump({"offset": end}), rules)
            assert known == {"offset": end}
    bars.advance(bars.end_ns())
    return found + records(bars, bars.close(), NAMES)[0]


def last_of(bars: list[Bar]) -> dict[tuple[int, int], Bar]:
    """Of each bar the highest version, which must also be the last."""
    found: dict[tuple[int, int], Bar] = {}
    for bar in bars:
        key = bar["instrument_token"], bar["ts_open_ns"]
        assert bar["version"] == (found[key]["version"] + 1 if key in found else 1)
        found[key] = bar
    return found


def plain(rows: list[Row]) -> dict[tuple[int, int], Bar]:
    frame = pd.DataFrame(rows, columns=["token", "second", "price", "volume"])
    frame["arrival"] = range(len(frame))
    by_token = frame.groupby("token")
    in_order = frame["second"] >= by_token["second"].cummax()
    ordered = frame[in_order]
    moved = ordered.groupby("token")["volume"].diff()
    frame["moved"] = moved.clip(lower=0).reindex(frame.index).fillna(0)
    frame["flawed"] = False
    frame.loc[moved[moved < 0].index, "flawed"] = True
    first = by_token.head(1)
    frame.loc[first.index[first["volume"] > 0], "flawed"] = True
    frame["minute"] = frame["second"] // 60
    found = {}
    for key, group in frame.groupby(["token", "minute"]):
        token, minute = (int(str(each)) for each in key)
        ordered = group.sort_values(["second", "arrival"])
        ties = ordered[ordered["second"] == ordered["second"].iloc[0]]
        opens = ties.sort_values("arrival")["price"].iloc[0]
        found[token, DAY + minute * 60 * S] = {
            "open": opens,
            "high": group["price"].max(),
            "low": group["price"].min(),
            "close": ordered["price"].iloc[-1],
            "volume": group["moved"].sum(),
            "oi": ordered["price"].iloc[-1] + 7,
            "ticks": len(group),
            "complete": not group["flawed"].any(),
        }
    return found


ROWS = st.lists(
    st.tuples(
        st.integers(1, 5), st.integers(0, 500), st.integers(-50, 5_000), st.integers(0, 1_000)
    ),
    max_size=60,
)
CUTS = st.lists(st.integers(0, 60), max_size=5)


@settings(deadline=None, max_examples=150)
@given(ROWS, CUTS)
def test_the_loop_agrees_with_a_plain_computation(rows: list[Row], cuts: list[int]) -> None:
    found = last_of(run(rows, cuts))
    expected = plain(rows) if rows else {}
    assert found.keys() == expected.keys()
    for key, bar in expected.items():
        assert {name: found[key][name] for name in bar} == bar


@settings(deadline=None, max_examples=60)
@given(ROWS, CUTS, st.sampled_from([0, 5, 90]))
def test_neither_cuts_nor_a_stored_state_change_a_bar(
    rows: list[Row], cuts: list[int], revise_s: int
) -> None:
    rules = BarRules({"s5": 5 * S, "m1": 60 * S}, revise_ns=revise_s * S)

    def words(bars: list[Bar]) -> list[str]:
        return sorted(map(repr, bars))

    whole = words(run(rows, [], rules))
    assert words(run(rows, cuts, rules)) == whole
    assert words(run(rows, cuts, rules, rest=True)) == whole


@settings(deadline=None, max_examples=60)
@given(ROWS, st.sampled_from(list(INTERVALS)), st.sets(st.integers(1, 5)))
def test_the_bytes_are_those_of_the_reference(
    rows: list[Row], interval: str, named: set[int]
) -> None:
    bars = PartitionBars(BarRules({interval: INTERVALS[interval]}))
    found = [bars.add(batch(rows), np.arange(len(rows)))] if rows else []
    bars.advance(bars.end_ns())
    every = np.concatenate([*found, bars.close()])
    if len(every):
        every[0, OUT_SLOT + OI] = ABSENT
    names = {token: ("NSE", f"S{token}" * 30) for token in named}
    encoded, unnamed, left_out = BarEncoder(interval, SingleObjectFraming()).encode(
        every, bars.tokens, names
    )
    expected, without = records(bars, every, names)
    subject, version = ("second_bar", 1) if interval.startswith("s") else ("bar", 2)
    stops = encoded.ends.tolist()
    data = encoded.data.tobytes()
    assert [data[begin:end] for begin, end in pairwise([0, *stops])] == [
        AvroCodec().encode(subject, record, version) for record in expected
    ]
    assert encoded.tokens.tolist() == [record["instrument_token"] for record in expected]
    assert (unnamed, left_out) == (set(without), len(without))


def test_each_bar_keeps_the_contract() -> None:
    for bar in run([(1, 0, 100, 5), (1, 70, -3, 9)], []):
        assert explain("bar", 2, bar) is None
    for bar in run([(1, 0, 100, 5), (1, 70, -3, 9)], [], BarRules({"s1": S})):
        assert explain("second_bar", 1, bar) is None


@pytest.mark.parametrize(
    ("rows", "volumes", "complete"),
    [
        # A late start of the feed: what was traded before its first tick is in no bar.
        ([(1, 0, 100, 500), (1, 10, 100, 520)], [20], [False]),
        ([(1, 0, 100, 0), (1, 10, 100, 20)], [20], [True]),
        # The counter falls: nothing can be said of the trades in between.
        ([(1, 0, 100, 0), (1, 10, 100, 90), (1, 70, 100, 40), (1, 80, 100, 45)], [90, 5], [1, 0]),
        # A new day: the packet that Kite repeats on connecting, then the day's own counter.
        (
            [(1, 0, 100, 0), (1, 10, 100, 90), (1, 86_400, 100, 90), (1, 86_410, 101, 30)],
            [90, 30],
            [True, True],
        ),
    ],
)
def test_volume(rows: list[Row], volumes: list[int], complete: list[bool]) -> None:
    bars = sorted(last_of(run(rows, [])).values(), key=lambda bar: bar["ts_open_ns"])
    assert [bar["volume"] for bar in bars] == volumes
    assert [bar["complete"] for bar in bars] == complete


def test_a_tick_after_the_last_moment_is_counted_and_changes_nothing() -> None:
    rules = BarRules({"m1": 60 * S}, lateness_ns=2 * S, revise_ns=10 * S)
    bars = PartitionBars(rules)
    rows = [(1, 0, 100, 0), (1, 62, 101, 1), (1, 30, 500, 1), (1, 72, 102, 2), (1, 31, 900, 2)]
    found = records(bars, bars.add(batch(rows), np.arange(5)), NAMES)[0]
    assert [(bar["version"], bar["high"]) for bar in found] == [(1, 100), (2, 500)]
    assert bars.late == 1


def test_a_shard_that_lags_holds_bars_back_until_it_is_idle() -> None:
    bars = PartitionBars(RULES)
    both = batch([(1, 0, 100, 0), (2, 0, 100, 0), (1, 64, 101, 0), (1, 66, 101, 0)])
    both.values[1, FEED_SESSION] = 17
    both.values[:3, TS_RECV_NS] = DAY
    assert len(bars.add(both, np.arange(3))) == 0
    assert len(bars.add(both, np.arange(3, 4))) == 2


def test_a_faulty_exchange_time_does_not_close_the_day() -> None:
    bars = PartitionBars(RULES)
    rows = batch([(1, 0, 100, 0), (1, 1, 101, 0)])
    rows.values[1, TS_EVENT_NS] += 7_200 * S
    assert len(bars.add(rows, np.arange(2))) == 0
    assert bars.latest_ns == DAY + S


def test_a_bar_in_a_gap_says_so_at_once_or_by_a_revision() -> None:
    def gap(**other: object) -> dict[str, object]:
        event = {"type": "GAP_CLOSED", "shard": 0, "tokens": [1], "gap_id": "g", "ts_ns": DAY}
        return {**event, "from_ns": DAY + 10 * S, "to_ns": DAY + 50 * S, **other}

    found = gap_of(gap())
    assert found is not None
    assert gap_of(gap(type="CONNECTED")) is None
    bars = PartitionBars(RULES)
    final = bars.add(batch([(1, 0, 100, 0), (2, 0, 100, 0), (1, 70, 101, 0)]), np.arange(3))
    assert [bar["complete"] for bar in records(bars, final, NAMES)[0]] == [True, True]
    revised = records(bars, bars.revise(found[1]), NAMES)[0]
    assert [(b["instrument_token"], b["version"], b["complete"]) for b in revised] == [
        (1, 2, False)
    ]
    assert len(bars.revise(found[1])) == 0
    whole = gap_of(gap(tokens=[], from_ns=DAY + 65 * S, to_ns=DAY + 66 * S))
    assert whole is not None
    bars.advance(bars.end_ns())
    closed = bars.close()
    bars.mark(closed, [whole[1]])
    assert [bar["complete"] for bar in records(bars, closed, NAMES)[0]] == [False]
