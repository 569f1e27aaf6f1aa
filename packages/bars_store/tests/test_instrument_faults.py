"""Killed backends and writers at the same time: all of a dump or nothing of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from masters import Row, day, snapshot
from store_faults import STAY, TIMEOUT_S, after_recovery, opened, sleeping_backend, state_of

from kite_bars_store.database import Connection
from kite_bars_store.errors import ConnectionLost, TryAgain
from kite_bars_store.instruments import InstrumentStore, Snapshot, recording
from kite_bars_store.instruments.recording import statement
from kite_contracts.migrations import runner
from kite_devstack.databases import database
from kite_devstack.postgres import private_postgres

FIRST = snapshot(0, [Row(f"S{number}", number + 1) for number in range(300)])
SECOND = snapshot(1, [Row(f"S{number}", number + 2) for number in range(100, 400)])
OLDER = snapshot(-1, [Row(f"S{number}", number + 3) for number in range(350)])
HASH = """
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT (v.exchange, v.tradingsymbol, v.valid_from, v.valid_to, v.instrument_token,
                b.content_sha256)::text AS line
        FROM instrument_validity v JOIN instrument_batch b USING (batch_id)
        UNION ALL
        SELECT (o.exchange, o.tradingsymbol, o.observed_on, o.listed, o.instrument_token,
                b.content_sha256)::text
        FROM instrument_observation o JOIN instrument_batch b USING (batch_id)
    ) AS lines
"""
# A backend that comes to this symbol while it writes stays there until it is killed.
AT_S150 = "WHEN (NEW.tradingsymbol = 'S150')"


def state(dsn: str) -> tuple[object, ...]:
    return state_of(dsn, HASH)


def expected_state(server: str, dumps: Sequence[Snapshot]) -> tuple[object, ...]:
    with database(server) as dsn:
        runner.upgrade(dsn)
        with opened(dsn) as connection:
            for dump in dumps:
                InstrumentStore(connection).record(dump)
        return state(dsn)


def kill_at_statement(connection: Connection, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend dies when the statement is about to be sent."""

    def deadly(wanted: str) -> bytes:
        if wanted == name:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        return statement(wanted)

    monkeypatch.setattr(recording, "statement", deadly)


STATEMENTS = [
    "find_batch",
    "read_before",
    "find_changes",
    "append_batch",
    "append_observations",
    "restate",
    "clear_touched",
    "drop_workplace",
]


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_backend_killed_between_statements_leaves_nothing_behind(
    private: str, own_dsn: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with opened(own_dsn) as witness, opened(own_dsn) as connection:
        InstrumentStore(connection).record(FIRST)
        before = state(own_dsn)
        with monkeypatch.context() as patched:
            kill_at_statement(connection, name, patched)
            with pytest.raises(ConnectionLost, match="nothing was written"):
                InstrumentStore(connection).record(OLDER)
        with contextlib.closing(after_recovery(own_dsn, witness)) as after:
            assert state(own_dsn) == before
            assert InstrumentStore(after).record(OLDER).new
    assert state(own_dsn) == expected_state(private, [FIRST, OLDER])


@pytest.mark.parametrize("place", ["instrument_observation", "instrument_validity", "COPY"])
def test_a_backend_killed_while_it_writes_leaves_nothing_behind(
    private: str, own_dsn: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "COPY":
        # The temporary table of the dump gets the trigger as soon as it is there.
        plain = recording.prepare

        def prepare(cursor: object) -> None:
            plain(cursor)  # type: ignore[arg-type]
            cursor.execute(STAY.format(table="instrument_dump", condition=AT_S150).encode())  # type: ignore[attr-defined]

        monkeypatch.setattr(recording, "prepare", prepare)
    with opened(own_dsn) as witness, opened(own_dsn) as connection:
        store = InstrumentStore(connection)
        if place != "COPY":
            connection.execute(STAY.format(table=place, condition=AT_S150).encode())
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(store.record, FIRST)
            os.kill(sleeping_backend(own_dsn), signal.SIGKILL)
            with pytest.raises(ConnectionLost, match="nothing was written"):
                writing.result(TIMEOUT_S)
        monkeypatch.undo()
        with contextlib.closing(after_recovery(own_dsn, witness)) as after:
            after.execute(b"DROP FUNCTION IF EXISTS stay CASCADE")
            store = InstrumentStore(after)
            assert (store.days(), store.at(day(0)).num_rows) == ([], 0)
            assert store.record(FIRST).new
    assert state(own_dsn) == expected_state(private, [FIRST])


def test_the_whole_server_killed_loses_nothing_that_was_committed() -> None:
    with private_postgres() as server:
        dsn = server.dsn
        runner.upgrade(dsn)
        with opened(dsn) as connection:
            store = InstrumentStore(connection)
            store.record(FIRST)
            connection.execute(STAY.format(table="instrument_validity", condition=AT_S150).encode())
            with ThreadPoolExecutor(1) as pool:
                writing = pool.submit(store.record, OLDER)
                sleeping_backend(dsn)
                server.kill()
                with pytest.raises(TryAgain):
                    writing.result(TIMEOUT_S)
        server.start()
        with opened(dsn) as connection:
            connection.execute(b"DROP FUNCTION stay CASCADE")
            store = InstrumentStore(connection)
            assert [batch.observed_on for batch in store.days()] == [day(0)]
            store.record(OLDER)
        assert state(dsn) == expected_state(dsn, [FIRST, OLDER])


def test_writers_at_once_do_not_get_in_each_other_s_way(
    postgres_server: str, migrated_template: str
) -> None:
    """Eight sessions record three dumps, each of them several times."""
    dumps = [FIRST, SECOND, OLDER]
    with database(postgres_server, migrated_template) as dsn:
        barrier = threading.Barrier(8, timeout=TIMEOUT_S)

        def write(number: int) -> list[bool]:
            with opened(dsn) as connection:
                store = InstrumentStore(connection)
                barrier.wait()
                order = dumps[number % 3 :] + dumps[: number % 3]
                return [store.record(dump).new for dump in order]

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(write, range(8)))
        assert sum(map(sum, results)) == len(dumps)
        with opened(dsn) as connection:
            store = InstrumentStore(connection)
            assert len(store.days()) == len(dumps)
            ranges = [store.by_symbol(f"S{number}") for number in range(400)]
            store.rebuild()
            assert [store.by_symbol(f"S{number}") for number in range(400)] == ranges
            assert store.at(day(1)).equals(SECOND.rows.sort_by("tradingsymbol"))


def test_a_reader_is_not_held_up_by_a_writer(store: InstrumentStore, migrated_dsn: str) -> None:
    store.record(FIRST)
    with opened(migrated_dsn) as other, other.transaction():
        InstrumentStore(other).record(dataclasses.replace(SECOND))
        assert store.at(day(1)).num_rows == FIRST.rows.num_rows
    assert store.at(day(1)).num_rows == SECOND.rows.num_rows
