"""What a symbol or a token was on a day, after dumps of every kind, on the real Postgres."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from datetime import date, datetime

import psycopg
import pytest
from masters import Row, at, day, snapshot, table

from kite_bars_store.database import Connection, connect
from kite_bars_store.errors import NotMigrated
from kite_bars_store.instruments import InstrumentStore, Snapshot

A = Row("NIFTY26AUG24350CE", 256)
B = Row("M&M 26AUG-3000CE", 512, name="M&M")


def ranges(store: InstrumentStore, symbol: str) -> list[tuple[int, int, int | None]]:
    """Token, first day and day after the last of each range, days as numbers."""
    found = store.by_symbol(symbol, "NFO")
    return [
        (
            each.instrument_token,
            (each.valid_from - day(0)).days,
            None if each.valid_to is None else (each.valid_to - day(0)).days,
        )
        for each in found
    ]


def token(row: Row, number: int) -> Row:
    return dataclasses.replace(row, token=number)


def expiring(row: Row, number: int) -> Row:
    return dataclasses.replace(row, expiry=day(number))


HISTORIES: dict[str, tuple[list[Snapshot], list[tuple[int, int, int | None]]]] = {
    "one dump": ([snapshot(0, [A])], [(256, 0, None)]),
    "two that agree": ([snapshot(0, [A]), snapshot(1, [A, B])], [(256, 0, None)]),
    "gone": ([snapshot(0, [A, B]), snapshot(3, [B])], [(256, 0, 3)]),
    "gone and back": (
        [snapshot(0, [A]), snapshot(2, []), snapshot(5, [A])],
        [(256, 0, 2), (256, 5, None)],
    ),
    "moved to another token": (
        [snapshot(0, [A]), snapshot(4, [token(A, 768)])],
        [(256, 0, 4), (768, 4, None)],
    ),
    "expired before the next dump": ([snapshot(0, [expiring(A, 3)])], [(256, 0, 4)]),
    "expired, and gone from a later dump": (
        [snapshot(0, [expiring(A, 3)]), snapshot(9, [B])],
        [(256, 0, 4)],
    ),
    "gone before it expired": (
        [snapshot(0, [expiring(A, 3)]), snapshot(2, [B])],
        [(256, 0, 2)],
    ),
    "listed on its last day": ([snapshot(3, [expiring(A, 3)])], [(256, 3, 4)]),
    "listed after its last day": ([snapshot(4, [expiring(A, 3)])], []),
    "expiry put off": (
        [snapshot(0, [expiring(A, 3)]), snapshot(3, [expiring(A, 6)])],
        [(256, 0, 3), (256, 3, 7)],
    ),
    "two dumps on a day, the last counts": (
        [snapshot(1, [A]), snapshot(1, [token(A, 768)])],
        [(768, 1, None)],
    ),
    "two dumps on a day, the second takes back": (
        [snapshot(0, [A]), snapshot(1, [token(A, 768)]), snapshot(1, [A, B])],
        [(256, 0, None)],
    ),
    "older dump that agrees": ([snapshot(5, [A]), snapshot(2, [A])], [(256, 2, None)]),
    "older dump that differs": (
        [snapshot(5, [A]), snapshot(2, [token(A, 768)])],
        [(768, 2, 5), (256, 5, None)],
    ),
    "older dump of a symbol that is gone since": (
        [snapshot(5, [B]), snapshot(2, [A, B])],
        [(256, 2, 5)],
    ),
    "older dump without the symbol, between two": (
        [snapshot(0, [A]), snapshot(6, [A]), snapshot(3, [B])],
        [(256, 0, 3), (256, 6, None)],
    ),
    "two older dumps, newest first": (
        [snapshot(6, [A]), snapshot(3, [token(A, 768)]), snapshot(1, [token(A, 1024)])],
        [(1024, 1, 3), (768, 3, 6), (256, 6, None)],
    ),
    "older dump before two on a day": (
        [snapshot(4, [A]), snapshot(4, [token(A, 768)]), snapshot(2, [token(A, 768)])],
        [(768, 2, None)],
    ),
    "another exchange says nothing of it": (
        [snapshot(0, [A]), snapshot(1, [], ["BFO"])],
        [(256, 0, None)],
    ),
    "a dump of both exchanges": (
        [snapshot(0, [A]), snapshot(1, [Row("X", 1, exchange="BFO")], ["BFO", "NFO"])],
        [(256, 0, 1)],
    ),
}


def record(store: InstrumentStore, dumps: Sequence[Snapshot]) -> None:
    for dump in dumps:
        assert store.record(dump).new


@pytest.mark.parametrize("case", HISTORIES)
def test_a_symbol_holds_from_one_word_to_the_next(store: InstrumentStore, case: str) -> None:
    dumps, expected = HISTORIES[case]
    record(store, dumps)
    assert ranges(store, A.tradingsymbol) == expected
    for number in range(-1, 11):
        assert store.at(day(number)).equals(at(dumps, day(number))), number
    before = [store.by_symbol(row.tradingsymbol) for row in (A, B)]
    store.rebuild()
    assert [store.by_symbol(row.tradingsymbol) for row in (A, B)] == before


def test_a_token_is_what_it_was_on_the_day(store: InstrumentStore) -> None:
    """The token of an expired contract names another one later."""
    later = Row("ACC26DECFUT", A.token, name="ACC", expiry=day(90), strike=None)
    record(store, [snapshot(0, [expiring(A, 3)]), snapshot(30, [later])])
    assert [each.tradingsymbol for each in store.by_token(A.token)] == [
        A.tradingsymbol,
        "ACC26DECFUT",
    ]
    for number, expected in {0: [A.tradingsymbol], 3: [A.tradingsymbol], 4: [], 29: []}.items():
        assert [x.tradingsymbol for x in store.by_token(A.token, day(number))] == expected
    (found,) = store.by_token(A.token, day(40))
    assert (found.tradingsymbol, found.strike, found.name) == ("ACC26DECFUT", None, "ACC")


def test_a_renamed_contract_keeps_its_token(store: InstrumentStore) -> None:
    adjusted = Row("M&M 26AUG-2980.75CE", B.token, name="M&M", strike=298_075)
    record(store, [snapshot(0, [B]), snapshot(2, [adjusted])])
    first, second = store.by_token(B.token)
    assert (first.tradingsymbol, first.valid_to) == (B.tradingsymbol, day(2))
    assert (second.tradingsymbol, second.valid_from) == (adjusted.tradingsymbol, day(2))
    assert str(second.strike_price) == "2980.75"
    assert str(second.tick_price) == "0.05"


@pytest.mark.parametrize(
    "symbol",
    ["M&M", "BAJAJ-AUTO", "NIFTY 50", "A'B", 'A"B', "A,B", "A\\tB", "%s", "é₹", " A ", "\\N", "-1"],
)
def test_any_symbol_comes_back_as_it_went_in(store: InstrumentStore, symbol: str) -> None:
    for name in (symbol, "", None):
        dump = snapshot(0, [Row(symbol, 256, name=name)], source="kite")
        store.record(dump)
        (found,) = store.by_symbol(symbol, as_of=day(0))
        assert (found.tradingsymbol, found.name) == (symbol, name)
        assert store.at(day(0)).equals(dump.rows)


def test_the_same_dump_again_writes_nothing(store: InstrumentStore) -> None:
    first = store.record(snapshot(0, [A, B]))
    again = store.record(dataclasses.replace(snapshot(0, [A, B]), file_name="copy.csv"))
    assert (first.new, first.added, first.observations) == (True, 2, 2)
    assert (again.new, again.batch_id, again.observations) == (False, None, 0)
    assert again.batch == first.batch
    assert len(store.days()) == 1


def test_the_same_bytes_on_another_day_are_a_dump_without_changes(store: InstrumentStore) -> None:
    store.record(snapshot(0, [A, B]))
    other = store.record(snapshot(1, [A, B]))
    assert (other.new, other.observations, other.unchanged) == (True, 0, 2)
    assert [batch.observed_on for batch in store.days()] == [day(0), day(1)]


def test_each_part_of_a_dump_is_recorded_once(store: InstrumentStore) -> None:
    """A dump of two exchanges whose parts are recorded one after the other has one digest."""
    whole = snapshot(0, [A, Row("X", 1, exchange="BFO")], ["NFO", "BFO"])
    one = dataclasses.replace(whole, exchanges=("NFO",), rows=table([A]))
    other = dataclasses.replace(
        whole, exchanges=("BFO",), rows=table([Row("X", 1, exchange="BFO")])
    )
    assert [store.record(each).new for each in (one, other, one, other)] == [
        True,
        True,
        False,
        False,
    ]
    assert store.record(whole).unchanged == 2
    assert not store.record(dataclasses.replace(whole, exchanges=("BFO", "NFO", "NFO"))).new


def test_a_right_dump_counts_again_after_a_wrong_one(store: InstrumentStore) -> None:
    store.record(snapshot(0, [A]))
    store.record(snapshot(0, [token(A, 768)]))
    assert not store.record(snapshot(0, [A])).new
    assert ranges(store, A.tradingsymbol) == [(768, 0, None)]
    assert store.record(snapshot(0, [A]), again=True).changed == 1
    assert ranges(store, A.tradingsymbol) == [(256, 0, None)]


def test_counts_are_by_symbol_against_the_dump_before(store: InstrumentStore) -> None:
    old = [A, B, expiring(Row("E", 1), 2), Row("R", 2), Row("S", 3)]
    store.record(snapshot(0, old))
    new = [token(A, 768), B, Row("S", 3), Row("N", 4)]
    dump = dataclasses.replace(
        snapshot(5, new), rows_refused=7, file_name="nfo.csv.gz", parameters={"by": "hand"}
    )
    done = store.record(dump)
    assert (done.added, done.changed, done.removed, done.expired, done.unchanged) == (1, 1, 1, 1, 2)
    assert done.batch == store.days()[-1]
    assert (done.batch.rows_good, done.batch.rows_refused) == (4, 7)
    assert (done.batch.file_name, done.batch.parameters) == ("nfo.csv.gz", {"by": "hand"})
    assert done.batch.recorded_at.utcoffset() is not None


def test_an_older_dump_restates_only_what_would_else_change(store: InstrumentStore) -> None:
    store.record(snapshot(0, [A, B]))
    store.record(snapshot(6, [A, B]))
    done = store.record(snapshot(3, [token(A, 768), B, Row("N", 4)]))
    assert (done.added, done.changed, done.observations, done.restated) == (1, 1, 4, 2)
    assert ranges(store, "N") == [(4, 3, 6)]


def test_the_count_for_a_guard_leaves_out_what_has_expired(store: InstrumentStore) -> None:
    store.record(snapshot(1, [expiring(A, 3), B, Row("X", 1, exchange="BFO")], ["NFO", "BFO"]))
    counts = {number: store.last_count("NFO", day(number)) for number in (0, 1, 3, 4)}
    assert counts == {0: None, 1: 2, 3: 2, 4: 1}
    assert store.last_count("BFO", day(9)) == 1
    assert store.last_count("MCX", day(9)) is None


def test_what_was_known_at_a_time(store: InstrumentStore) -> None:
    dumps = [snapshot(0, [A]), snapshot(6, [A, B]), snapshot(3, [token(A, 768)])]
    times: list[datetime] = [store.record(dump).batch.recorded_at for dump in dumps]
    assert times == sorted(set(times))
    for count, known in enumerate(times, start=1):
        for number in (0, 3, 5, 6):
            expected = at(dumps[:count], day(number))
            assert store.at(day(number), known_at=known).equals(expected), (count, number)
    assert [x.instrument_token for x in store.by_symbol(A.tradingsymbol, known_at=times[1])] == [
        256
    ]
    assert store.by_token(768, known_at=times[1]) == []
    assert len(store.by_token(768, day(4), known_at=times[2])) == 1
    with pytest.raises(ValueError, match="no time zone"):
        store.at(day(0), known_at=datetime(2026, 8, 3))


def test_sources_and_exchanges_are_apart(connection: Connection, store: InstrumentStore) -> None:
    other = InstrumentStore(connection, source="another")
    store.record(snapshot(0, [A]))
    other.record(snapshot(0, [token(A, 768)], source="another"))
    assert store.by_token(768) == []
    assert [x.instrument_token for x in other.by_symbol(A.tradingsymbol)] == [768]
    assert other.rebuild() == store.rebuild() == 1
    assert store.at(day(0), ["BFO"]).num_rows == 0
    assert store.at(day(0), ["NFO", "BFO"]).num_rows == 1
    with pytest.raises(ValueError, match="a snapshot of another in the history of kite"):
        store.record(snapshot(0, [A], source="another"))


def test_what_kafka_has_not_yet(store: InstrumentStore) -> None:
    first = store.record(snapshot(0, [A, B])).batch
    pending = store.pending(day(0))
    assert (pending.batch_ids, pending.gone) == ((first.batch_id,), ())
    assert pending.rows.equals(table([B, A]))
    store.mark_published(pending.batch_ids, "instruments", 2)
    store.mark_published(first.batch_id, "instruments", 2)
    assert store.unpublished() == []
    second = store.record(snapshot(1, [token(A, 768)])).batch
    third = store.record(snapshot(2, [token(A, 768)])).batch
    pending = store.pending(day(2))
    assert pending.batch_ids == (second.batch_id, third.batch_id)
    assert pending.rows.equals(table([token(A, 768)]))
    assert pending.gone == (("NFO", B.tradingsymbol),)


def test_an_older_dump_does_not_publish_the_past(store: InstrumentStore) -> None:
    store.mark_published(store.record(snapshot(5, [A])).batch.batch_id, "instruments")
    store.record(snapshot(2, [token(A, 768), B]))
    pending = store.pending(day(5))
    assert pending.rows.equals(table([A]))
    assert pending.gone == ()  # B was never published


def test_nothing_is_taken_back_that_was_never_published(store: InstrumentStore) -> None:
    """The first sync may be of an old master, whose contracts have expired."""
    expired = dataclasses.replace(B, expiry=day(3))
    first = store.record(snapshot(0, [A, expired])).batch
    pending = store.pending(day(9))
    assert pending.rows.equals(table([A]))
    assert pending.gone == ()
    store.mark_published(first.batch_id, "instruments")
    store.record(snapshot(9, [A]))
    assert store.pending(day(9)).gone == (("NFO", B.tradingsymbol),)


@pytest.mark.parametrize("name", ["instrument_batch", "instrument_observation"])
@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {}", "UPDATE {} SET observed_on = '2020-01-01'", "TRUNCATE {} CASCADE"],
)
def test_what_was_observed_cannot_be_rewritten(
    store: InstrumentStore, connection: Connection, name: str, statement: str
) -> None:
    store.record(snapshot(0, [A]))
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        connection.execute(statement.format(name).encode())
    assert ranges(store, A.tradingsymbol) == [(256, 0, None)]


def test_the_view_shows_what_holds_today(store: InstrumentStore, connection: Connection) -> None:
    (today,) = connection.execute(
        "SELECT (now() AT TIME ZONE 'Asia/Kolkata')::date"
    ).fetchone() or (date.max,)
    rows = [A, dataclasses.replace(B, expiry=date(2020, 1, 1)), Row("T", 1, expiry=today)]
    store.record(snapshot(0, rows))
    found = connection.execute("SELECT tradingsymbol FROM instrument_current ORDER BY 1").fetchall()
    assert [row[0] for row in found] == ([A.tradingsymbol, "T"] if today >= day(0) else [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content_sha256": b"short"}, "not 32 bytes"),
        ({"exchanges": ()}, "at least one exchange"),
        ({"exchanges": ("BFO",)}, "rows of NFO, which the snapshot does not cover"),
        ({"rows": table([A, A])}, "occurs twice"),
    ],
)
def test_a_snapshot_that_contradicts_itself_is_refused(
    store: InstrumentStore, change: dict[str, object], message: str
) -> None:
    wrong = dataclasses.replace(snapshot(0, [A]), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        store.record(wrong)
    assert store.days() == []


def test_an_empty_history_answers_with_nothing(store: InstrumentStore) -> None:
    store.check()
    assert store.at(day(0)).num_rows == 0
    assert [*store.by_symbol("A"), *store.by_token(1)] == []
    assert [*store.days(), *store.unpublished()] == []
    assert store.rebuild() == 0
    assert store.pending(day(0)).rows.num_rows == 0


def test_missing_tables_are_named_with_the_remedy(fresh_dsn: str) -> None:
    with connect(fresh_dsn, application_name="tests") as connection:
        store = InstrumentStore(connection)
        with pytest.raises(
            NotMigrated, match="at revision none and 0001 is needed.*migrate upgrade"
        ):
            store.check()
        with pytest.raises(NotMigrated, match="instrument_batch.*migrate upgrade"):
            store.days()
        with pytest.raises(NotMigrated, match="migrate upgrade"):
            store.record(Snapshot(day(0), ("NFO",), hashlib.sha256(b"").digest(), table([A])))
