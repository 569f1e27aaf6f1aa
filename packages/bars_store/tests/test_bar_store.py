"""Bars on the real Postgres: what is appended, what becomes golden, what was known when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from bar_samples import DAY, SBIN, TCS, Bar, at, calendar, rising, rules, source, when

from kite_bars_store.bars import (
    BAR_SCHEMA,
    DERIVED_SCHEMA,
    BarColumns,
    BarStore,
    Flag,
    Gap,
    GapLedger,
    Refusal,
    SourceBars,
    Verdict,
)
from kite_bars_store.database import Connection
from kite_bars_store.errors import RulesFaulty
from kite_contracts.sessions.model import midnight_ns

DAY_END = when(2_000)
NEXT_DAY = DAY + timedelta(1)
NEXT_MONTH = date(2026, 7, 1)


@pytest.fixture()
def bars(connection: Connection) -> BarStore:
    return BarStore(connection, rules(), calendar())


def prices(table: pa.Table, name: str = "close") -> list[int]:
    return list(table[name].to_pylist())


def state(connection: Connection) -> dict[str, object]:
    """Every row of truth and projection; xmin tells of a row that was written again."""
    tables = ("bar_batch", "bar_observation", "bars_1m", "bars_1d", "bar_revision")
    return {
        name: connection.execute(
            f"SELECT t.*, t.tableoid, t.xmin::text FROM {name} t ORDER BY 1, 2".encode()
        ).fetchall()
        for name in tables
    }


def test_a_first_merge(bars: BarStore) -> None:
    bars.check()
    result = bars.merge([source("kite", rising(10)), source("vendor", rising(8))])
    assert [(each.source, each.added, each.revised) for each in result.batches] == [
        ("kite", 10, 0),
        ("vendor", 8, 0),
    ]
    assert result.golden.inserted == 10
    assert result.golden.verdicts == {Verdict.AGREED: 8, Verdict.BROKER_ONLY: 2}
    table = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert table.schema == BAR_SCHEMA
    assert prices(table) == [bar[3] for bar in rising(10).values()]
    assert table["verdict"].to_pylist() == ["AGREED"] * 8 + ["BROKER_ONLY"] * 2
    assert table["ts_open"].to_pylist()[0].to_pydatetime() == when(0)
    assert table["oi"].null_count == 10


def test_the_same_again_writes_nothing(bars: BarStore, connection: Connection) -> None:
    sources = [source("kite", rising(10)), source("vendor", rising(8))]
    bars.merge(sources)
    before = state(connection)
    again = bars.merge(sources)
    assert state(connection) == before
    assert (again.appended, again.unchanged, again.golden.written) == (0, 18, 0)
    assert [each.batch_id for each in again.batches] == [None, None]


def test_what_is_confirmed_is_counted_and_not_kept_again(
    bars: BarStore, connection: Connection
) -> None:
    bars.merge([source("kite", rising(10))])
    before = state(connection)
    overlapping = source("kite", rising(5))
    result = bars.merge([overlapping])
    assert (result.appended, result.unchanged) == (0, 5)
    after = state(connection)
    assert len(after.pop("bar_batch")) == len(before.pop("bar_batch")) + 1  # type: ignore[arg-type]
    assert after == before
    assert [each.batch_id for each in bars.merge([overlapping]).batches] == [None]


def test_a_revised_bar_and_back(bars: BarStore, connection: Connection) -> None:
    first = rising(10)
    revised = {**first, 4: (*first[4][:4], 7_777)}
    bars.merge([source("kite", first)])
    result = bars.merge([source("kite", revised)])
    assert (result.batches[0].revised, result.batches[0].unchanged) == (1, 9)
    assert (result.golden.inserted, result.golden.updated) == (0, 1)
    back = bars.merge([source("kite", first)])
    assert (back.batches[0].revised, back.golden.updated) == (1, 1)
    story = bars.story("NSE:SBIN", when(4))
    assert story is not None
    assert story.golden is not None
    assert [each.volume for each in story.observations] == [first[4][4], 7_777, first[4][4]]
    assert story.golden.batch_id == story.observations[-1].batch_id
    assert bars.story("NSE:NOBODY", when(4)) is None


def with_oi(bars: dict[int, Bar], oi: int) -> dict[int, Bar]:
    return {minute: (*bar, oi + minute) for minute, bar in bars.items()}


def test_a_file_that_carries_no_open_interest_takes_none_back(bars: BarStore) -> None:
    plain = rising(10)
    bars.merge([source("kite", with_oi(plain, 500))])
    again = bars.merge([source("kite", plain)])
    assert (again.appended, again.unchanged, again.golden.written) == (0, 10, 0)
    # a price that it restates does not take it back either
    restated = {**plain, 3: (*plain[3][:3], plain[3][3] - 5, plain[3][4])}
    assert bars.merge([source("kite", restated)]).appended == 1
    table = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert table["oi"].to_pylist() == [500 + minute for minute in range(10)]
    assert prices(table)[3] == restated[3][3]
    # one that it does carry counts, a later minute without any stays without
    more = rising(11)
    bars.merge([source("kite", {**with_oi(more, 700), 10: more[10]})])
    table = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert table["oi"].to_pylist() == [*(700 + minute for minute in range(10)), None]


def test_days_are_not_made_of_minutes(bars: BarStore) -> None:
    day = BarColumns.of([(0, midnight_ns(DAY), 10_000, 10_100, 9_900, 10_050, 123_456)])
    bars.merge([SourceBars("kite", "d1", [SBIN], day), source("vendor", rising(5))])
    table = bars.read_bars(["NSE:SBIN"], when(-600), DAY_END, "d1")
    assert (prices(table), prices(table, "volume")) == ([10_050], [123_456])
    assert bars.read_bars(["NSE:SBIN"], when(0), DAY_END).num_rows == 5


def test_longer_bars_begin_at_the_opening_and_are_those_of_the_views(
    bars: BarStore, connection: Connection
) -> None:
    day = rising(130)
    del day[61], day[62]
    for instrument in (SBIN, TCS):
        for each in (DAY, NEXT_DAY, NEXT_MONTH):
            bars.merge([source("kite", day, instrument, each)])
    names = ["NSE:SBIN", "NSE:TCS"]
    for interval, minutes, view in (("m5", 5, "5m"), ("m15", 15, "15m"), ("h1", 60, "60m")):
        table = bars.read_bars(names, when(0), when(2_000, NEXT_MONTH), interval)
        assert table.schema == DERIVED_SCHEMA
        rows = connection.execute(
            f"""
            SELECT tradingsymbol, ts_open, open, high, low, close, volume, minutes
            FROM bars_{view} JOIN bar_instrument USING (instrument_id) ORDER BY 1, 2
            """.encode()
        ).fetchall()
        columns = "tradingsymbol ts_open open high low close volume minutes".split()
        found = [tuple(row[name] for name in columns) for row in table.to_pylist()]
        assert found == [(row[0], row[1], *row[2:]) for row in rows]
        of_day = [bar for minute, bar in day.items() if minute < minutes]
        assert found[0][2:] == (
            of_day[0][0],
            max(bar[1] for bar in of_day),
            min(bar[2] for bar in of_day),
            of_day[-1][3],
            sum(bar[4] for bar in of_day),
            minutes,
        )
    second = bars.read_bars(["NSE:SBIN"], when(60), when(61), "h1")
    assert prices(second, "minutes") == [58]


def test_bars_outside_the_session_stay_observations(bars: BarStore) -> None:
    result = bars.merge([source("kite", {-20: (1, 1, 1, 1, 5), 0: (1, 1, 1, 1, 5)})])
    assert (result.appended, result.golden.inserted, result.golden.outside) == (2, 1, 1)
    story = bars.story("NSE:SBIN", when(-20))
    assert story is not None
    assert (len(story.observations), story.golden) == (1, None)


def test_bad_bars_are_named_and_the_good_ones_go_in(bars: BarStore) -> None:
    good: Bar = (0, at(0), 10, 12, 9, 11, 5)
    rows = [
        good,
        (0, at(1), 10, 9, 12, 11, 5),
        (0, at(2), 10, 12, 9, 11, -5),
        (7, at(3), 10, 12, 9, 11, 5),
        (0, at(4) + 1, 10, 12, 9, 11, 5),
        (0, at(5), 10, 12, 9, 11, 5),
        (0, at(5), 10, 12, 9, 11, 6),
        good,
    ]
    result = bars.merge([SourceBars("kite", "m1", [SBIN], BarColumns.of(rows))])
    assert [(each.row, each.reason) for each in result.refused] == [
        (1, Refusal.OHLC_CONTRADICTS),
        (2, Refusal.NEGATIVE_VOLUME),
        (3, Refusal.UNKNOWN_INSTRUMENT),
        (4, Refusal.TIME_NOT_ALIGNED),
        (5, Refusal.DUPLICATE_DIFFERS),
        (6, Refusal.DUPLICATE_DIFFERS),
    ]
    assert (result.appended, result.repeated) == (1, 1)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_bar_without_open_interest_does_not_contradict_one_with(
    bars: BarStore, backwards: bool
) -> None:
    """As in two files of one call, of which one carries the column."""
    said: list[tuple[int, ...]] = [
        *((0, at(0), 100, 105, 95, 100, 10), (0, at(0), 100, 105, 95, 100, 10, 700)),
        # another close is another bar
        *((0, at(1), 100, 105, 95, 100, 10, 800), (0, at(1), 100, 105, 95, 105, 10)),
        # two open interests, and none
        *((0, at(2), 100, 105, 95, 100, 10, 900), (0, at(2), 100, 105, 95, 100, 10, 901)),
        (0, at(2), 100, 105, 95, 100, 10),
    ]
    columns = BarColumns.of(said[::-1] if backwards else said)
    result = bars.merge([SourceBars("kite", "m1", [SBIN], columns)])
    assert [each.reason for each in result.refused] == [Refusal.DUPLICATE_DIFFERS] * 5
    assert (result.appended, result.repeated) == (1, 1)
    assert bars.read_bars(["NSE:SBIN"], when(0), DAY_END)["oi"].to_pylist() == [700]


def test_nothing_at_all_is_merged_too(bars: BarStore, connection: Connection) -> None:
    before = state(connection)
    result = bars.merge([source("kite", {})])
    assert (result.batches, result.golden.written) == ((), 0)
    assert bars.merge([]).appended == 0
    assert state(connection) == before
    assert bars.read_bars(["NSE:SBIN"], when(0), DAY_END).num_rows == 0
    assert bars.read_bars([], when(0), DAY_END, "h1").schema == DERIVED_SCHEMA


@pytest.mark.parametrize("interval", ["m1", "m15"])
def test_as_of_shows_each_state_in_turn(
    bars: BarStore, connection: Connection, interval: str
) -> None:
    past = date(2024, 1, 3)
    first = rising(30)
    revised = {**first, 4: (*first[4][:4], 7_777)}
    expected, times = [], [datetime(2025, 1, 1, tzinfo=UTC)]
    span = (["NSE:SBIN"], when(0, past), when(375, past), interval)
    expected.append(bars.read_bars(*span))
    for name, said in (("vendor", first), ("kite", first), ("kite", revised)):
        bars.merge([source(name, said, day=past)])
        expected.append(bars.read_bars(*span))
        found = connection.execute("SELECT max(recorded_at) FROM bar_batch").fetchone()
        assert found is not None
        times.append(found[0])
    assert not expected[2].equals(expected[3])
    for time, table in zip(times, expected, strict=True):
        assert bars.read_bars(*span, as_of=time).equals(table)
    for time, table in zip(times[1:], expected, strict=False):
        assert bars.read_bars(*span, as_of=time - timedelta(microseconds=1)).equals(table)


def test_as_of_never_shows_a_bar_that_ends_later(bars: BarStore, connection: Connection) -> None:
    """A bar of the future, which a wrong clock or a simulation may bring, is not read."""
    future = date(2098, 3, 3)
    bars.merge([source("kite", rising(30), day=future)])
    span = (["NSE:SBIN"], when(0, future), when(375, future))
    assert bars.read_bars(*span, as_of=datetime.now(UTC) + timedelta(1)).num_rows == 0
    assert bars.read_bars(*span, as_of=when(10, future)).num_rows == 10
    assert bars.read_bars(*span, "m15", as_of=when(29, future)).num_rows == 1
    with pytest.raises(ValueError, match="no time zone"):
        bars.read_bars(*span, as_of=datetime(2026, 1, 1))


def restated(bars: dict[int, Bar], factor: Decimal) -> dict[int, Bar]:
    return {
        minute: (*(int(price * factor) for price in bar[:4]), bar[4] * 2)
        for minute, bar in bars.items()
    }


def test_a_revision_by_a_ratio_waits_for_a_decision(bars: BarStore) -> None:
    first, more = rising(40), rising(45)
    bars.merge([source("kite", first)])
    halved = restated(more, Decimal("0.5"))
    result = bars.merge([source("kite", halved)])
    assert (result.batches[0].revised, result.batches[0].revisions) == (40, 1)
    (revision,) = bars.revisions()
    assert (round(revision.ratio, 3), revision.bars) == (Decimal("0.500"), 40)
    assert (revision.first_open, revision.last_open) == (when(0), when(39))
    table = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert prices(table)[:40] == [bar[3] for bar in first.values()]
    flags = table["flags"].to_pylist()
    assert flags[:40] == [int(Flag.REVISION_RATIO)] * 40
    # What the source had not said before is new, at the new level: it shows as a jump.
    assert flags[40] & Flag.JUMP
    assert bars.merge([source("kite", halved)]).golden.written == 0

    # What the source says of the stretch later is at the new level, too, and waits as well.
    once_more = {**halved, 7: (*halved[7][:4], 9_999)}
    assert bars.merge([source("kite", once_more)]).batches[0].revised == 1
    table = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert prices(table)[7] == first[7][3]

    known = revision.recorded_at
    bars.decide(revision.batch_id, "NSE:SBIN", accept=True, who="asha", note="bonus 1:1")
    accepted = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert prices(accepted) == [bar[3] for bar in halved.values()]
    assert set(accepted["flags"].to_pylist()) <= {0, int(Flag.OFF_TICK)}
    assert bars.revisions() == []
    assert bars.revisions(undecided=False)[0].who == "asha"
    at_that_time = bars.read_bars(["NSE:SBIN"], when(0), DAY_END, as_of=max(known, DAY_END))
    assert at_that_time.num_rows == 45

    bars.decide(revision.batch_id, "NSE:SBIN", accept=False, who="asha")
    rejected = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert prices(rejected)[:40] == [bar[3] for bar in first.values()]
    assert rejected["flags"].to_pylist()[:40] == [0] * 40
    assert bars.rebuild().written == 0


def test_corrections_are_no_revision_by_a_ratio(bars: BarStore) -> None:
    first = rising(40)
    bars.merge([source("kite", first)])
    moved = {n: (*(p + 5 * (n % 3) for p in bar[:4]), bar[4]) for n, bar in first.items()}
    assert bars.merge([source("kite", moved)]).batches[0].revisions == 0
    few = dict(list(restated(moved, Decimal("0.5")).items())[:5])
    assert bars.merge([source("kite", few)]).batches[0].revisions == 0
    assert bars.revisions() == []


def test_other_rules_make_the_month_anew(bars: BarStore, connection: Connection) -> None:
    first = source("kite", rising(10)), source("vendor", rising(10, start=10_020))
    bars.merge(first)
    other = BarStore(connection, replace(rules(), sources=("vendor", "kite", "live")), calendar())
    result = other.merge([source("vendor", rising(3), TCS)])
    assert (result.golden.updated, result.golden.inserted) == (10, 3)
    verdict = other.read_bars(["NSE:SBIN"], when(0), DAY_END)["verdict"].to_pylist()
    assert verdict == ["CONFLICT_VENDOR_WON"] * 10
    assert other.rebuild().written == 0
    again = bars.merge(first)
    assert (again.appended, again.golden.updated) == (0, 10)


def test_a_dropped_projection_comes_back_with_the_next_merge(
    bars: BarStore, connection: Connection
) -> None:
    sources = [source("kite", rising(10)), source("vendor", rising(8))]
    bars.merge(sources)
    before = bars.read_bars(["NSE:SBIN"], when(0), DAY_END)
    assert bars.drop_projection() == 10
    assert bars.read_bars(["NSE:SBIN"], when(0), DAY_END).num_rows == 0
    result = bars.merge(sources)
    assert (result.appended, result.golden.inserted) == (0, 10)
    assert bars.read_bars(["NSE:SBIN"], when(0), DAY_END).equals(before)
    connection.execute("UPDATE bars_1m SET close = close + 5 WHERE volume > 103")
    connection.execute("DELETE FROM bars_1m WHERE volume = 100")
    assert bars.rebuild("m1", DAY).written > 0
    assert bars.read_bars(["NSE:SBIN"], when(0), DAY_END).equals(before)
    assert bars.rebuild("d1").written == bars.rebuild("m1", NEXT_MONTH).written == 0


def test_a_batch_says_where_it_comes_from(bars: BarStore, connection: Connection) -> None:
    more: dict[str, Any] = {
        "file_name": "x.csv",
        "file_sha256": bytes(32),
        "parameters": {"days": 1},
    }
    bars.merge([source("vendor", rising(5), rows_refused=2, **more)])
    row = connection.execute(
        """
        SELECT file_name, file_sha256, parameters, rows_refused, rows_good, rules_sha256,
               first_open, last_open, (SELECT rules->'sources' FROM bar_rules)
        FROM bar_batch
        """
    ).fetchone()
    order = list(rules().sources)
    expected = ("x.csv", bytes(32), {"days": 1}, 2, 5, rules().sha256, when(0), when(4), order)
    assert row == expected


def test_chunks_and_months_are_transactions_of_their_own(
    connection: Connection, bars: BarStore
) -> None:
    small = BarStore(connection, rules(), calendar(), rows_max=15)
    both = BarColumns.of(
        [
            (number, at(minute, day), *bar)
            for day in (NEXT_MONTH, DAY)
            for number in (1, 0)
            for minute, bar in rising(10).items()
        ]
    )
    call = [SourceBars("kite", "m1", [SBIN, TCS], both)]
    result = small.merge(call)
    assert [(each.month.month, each.added) for each in result.batches] == [
        (6, 10),
        (6, 10),
        (7, 10),
        (7, 10),
    ]
    assert [each.batch_id for each in small.merge(call).batches] == [None] * 4
    assert bars.merge(call).appended == 0
    names = ["NSE:TCS", "NSE:SBIN"]
    assert bars.read_bars(names, when(0), when(10, NEXT_MONTH)).num_rows == 40


def test_partitions_refuse_changes_as_the_table_does(
    bars: BarStore, connection: Connection
) -> None:
    bars.merge([source("kite", rising(3))])
    for change in ("DELETE FROM", "TRUNCATE"):
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            connection.execute(f"{change} bar_observation_2026_06".encode())


def test_the_tables_know_the_same_verdicts(connection: Connection) -> None:
    rows = connection.execute("SELECT verdict, name FROM bar_verdict ORDER BY 1").fetchall()
    assert rows == [(int(each), each.name) for each in Verdict]


def test_people_read_decimal_prices_and_words(bars: BarStore, connection: Connection) -> None:
    bars.merge([source("kite", {0: (10_005, 10_050, 9_950, 10_020, 7)})])
    row = connection.execute(
        "SELECT tradingsymbol, open, close, verdict FROM bars_named"
    ).fetchone()
    assert row == ("SBIN", Decimal("100.05"), Decimal("100.20"), "BROKER_ONLY")


def test_a_source_without_a_rule_is_refused_before_anything_is_written(
    bars: BarStore, connection: Connection
) -> None:
    with pytest.raises(RulesFaulty, match="no source 'other'"):
        bars.merge([source("other", rising(3))])
    assert connection.execute("SELECT count(*) FROM bar_instrument").fetchone() == (0,)
    with pytest.raises(ValueError, match="twice"):
        bars.merge([source("kite", rising(3)), source("kite", rising(3))])
    with pytest.raises(ValueError, match="m5"):
        bars.merge([replace(source("kite", rising(3)), interval="m5")])


def test_gaps_are_noted_once_and_open_until_healed(connection: Connection) -> None:
    ledger = GapLedger(connection)
    opened = Gap("g1", "opened", "kite", 0, (256265,), when(3), None, "silence", when(4))
    assert (ledger.record(opened), ledger.record(opened)) == (True, False)
    assert ledger.unhealed() == [opened]
    closed = replace(opened, state="closed", to_ts=when(9), happened_at=when(9))
    ledger.record(closed)
    assert ledger.unhealed() == [closed]
    with pytest.raises(ValueError, match="has an end"):
        ledger.record(replace(opened, state="healed"))
    ledger.record(replace(closed, state="healed"), batch_ids=[1])
    assert ledger.unhealed() == []
