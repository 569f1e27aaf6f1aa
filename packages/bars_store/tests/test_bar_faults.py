"""Killed backends and processes, and merges at once: all of a chunk or nothing of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bar_samples import SBIN, TCS, calendar, rising, rules, source, when
from store_faults import STAY, TIMEOUT_S, after_recovery, opened, sleeping_backend, state_of

from kite_bars_store.bars import BarStore, SourceBars, loading, projecting, writing
from kite_bars_store.database import Connection
from kite_bars_store.errors import CommitUnknown, ConnectionLost, TryAgain
from kite_contracts.migrations import runner
from kite_devstack.databases import database
from kite_devstack.postgres import private_postgres

FIRST = [source("kite", rising(200)), source("vendor", rising(190, start=10_005))]
CHANGED = {n: (*bar[:4], bar[4] + n % 2) for n, bar in rising(250).items()}
SECOND = [source("kite", CHANGED), source("vendor", rising(220))]
# Everything but the numbers of batches and times of recording, which a repeated merge has anew.
HASH = """
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT (tradingsymbol, ts_open, open, high, low, close, volume, oi, flags, verdict, differs,
                from_other, session_minute)::text AS line
        FROM bars_1m JOIN bar_instrument USING (instrument_id)
        UNION ALL
        SELECT (tradingsymbol, ts_open, source, open, high, low, close, volume, oi,
                rank() OVER (
                    PARTITION BY instrument_id, ts_open, source_id ORDER BY batch_id
                ))::text
        FROM bar_observation JOIN bar_instrument USING (instrument_id)
        JOIN bar_source USING (source_id)
        UNION ALL
        SELECT (source, month, rows_good, added, revised, unchanged)::text
        FROM bar_batch JOIN bar_source USING (source_id)
    ) AS lines
"""
STAY_AT_COMMIT = """
    CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
    CREATE CONSTRAINT TRIGGER stay AFTER INSERT ON bar_batch DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION stay()
"""
PLACES = {
    "COPY of observations": STAY.format(
        table="bar_observation_2026_06", condition="WHEN (NEW.close > 10030)"
    ),
    "COPY of golden bars": STAY.format(
        table="bars_1m_2026_06", condition="WHEN (NEW.session_minute > 205)"
    ),
    "batch": STAY.format(table="bar_batch", condition=""),
    "COMMIT": STAY_AT_COMMIT,
}


def merge(connection: Connection, sources: Sequence[SourceBars]) -> int:
    result = BarStore(connection, rules(), calendar()).merge(sources)
    return result.appended + result.golden.written


def state(dsn: str) -> tuple[object, ...]:
    return state_of(dsn, HASH)


@pytest.fixture(scope="module")
def expected(private: str) -> tuple[object, ...]:
    """The state after both merges without a fault."""
    with database(private) as dsn:
        runner.upgrade(dsn)
        with opened(dsn) as connection:
            merge(connection, FIRST)
            merge(connection, SECOND)
        return state(dsn)


@pytest.mark.parametrize("place", PLACES)
def test_a_backend_killed_while_it_writes_leaves_nothing_behind(
    own_dsn: str, expected: tuple[object, ...], place: str
) -> None:
    with opened(own_dsn) as witness, opened(own_dsn) as connection:
        merge(connection, FIRST)
        before = state(own_dsn)
        connection.execute(PLACES[place].encode())
        with ThreadPoolExecutor(1) as pool:
            writing_now = pool.submit(merge, connection, SECOND)
            os.kill(sleeping_backend(own_dsn), signal.SIGKILL)
            lost = CommitUnknown if place == "COMMIT" else ConnectionLost
            with pytest.raises(lost):
                writing_now.result(TIMEOUT_S)
        with contextlib.closing(after_recovery(own_dsn, witness)) as after:
            after.execute(b"DROP FUNCTION stay CASCADE")
            assert state(own_dsn) == before
            assert merge(after, SECOND) > 0
            assert merge(after, SECOND) == 0
    assert state(own_dsn) == expected


# Before anything is written, between observations and batches, between golden bars.
STATEMENTS = ["read_observations", "append_batch", "upsert_golden"]


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_backend_killed_between_statements_leaves_nothing_behind(
    own_dsn: str, expected: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with opened(own_dsn) as witness, opened(own_dsn) as connection:
        merge(connection, FIRST)
        before = state(own_dsn)
        with monkeypatch.context() as patched:
            kill_at(connection, name, patched)
            with pytest.raises(ConnectionLost, match="nothing was written"):
                merge(connection, SECOND)
        with contextlib.closing(after_recovery(own_dsn, witness)) as after:
            assert state(own_dsn) == before
            merge(after, SECOND)
    assert state(own_dsn) == expected


def kill_at(connection: Connection, name: str, patched: pytest.MonkeyPatch) -> None:
    """The backend dies when the statement is about to be sent."""
    for module in (writing, projecting, loading):
        patched.setattr(module, "statement", deadly(connection, name, module.statement))


def deadly(connection: Connection, name: str, plain: Callable[..., bytes]) -> Callable[..., bytes]:
    def statement(wanted: str, *more: int) -> bytes:
        if wanted == name:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        return plain(wanted, *more)

    return statement


MERGE = """
import contextlib, sys
from test_bar_faults import SECOND, merge
from kite_bars_store.database import connect
with contextlib.closing(connect(sys.argv[1], application_name="killed")) as connection:
    merge(connection, SECOND)
"""


def test_a_killed_process_leaves_nothing_behind(own_dsn: str, expected: tuple[object, ...]) -> None:
    with opened(own_dsn) as connection:
        merge(connection, FIRST)
        before = state(own_dsn)
        connection.execute(PLACES["COPY of golden bars"].encode())
        path = os.pathsep.join([str(Path(__file__).parent), *map(os.path.abspath, sys.path)])
        environ = {**os.environ, "PYTHONPATH": path}
        process = subprocess.Popen([sys.executable, "-c", MERGE, own_dsn], env=environ)
        try:
            backend = sleeping_backend(own_dsn)
        finally:
            process.kill()
            process.wait(TIMEOUT_S)
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
        connection.execute(b"DROP FUNCTION stay CASCADE")
        assert state(own_dsn) == before
        merge(connection, SECOND)
    assert state(own_dsn) == expected


def test_the_whole_server_killed_loses_nothing_that_was_committed(
    expected: tuple[object, ...],
) -> None:
    with private_postgres() as server:
        dsn = server.dsn
        runner.upgrade(dsn)
        with opened(dsn) as connection:
            merge(connection, FIRST)
            before = state(dsn)
            connection.execute(PLACES["COPY of golden bars"].encode())
            with ThreadPoolExecutor(1) as pool:
                writing_now = pool.submit(merge, connection, SECOND)
                sleeping_backend(dsn)
                server.kill()
                with pytest.raises(TryAgain):
                    writing_now.result(TIMEOUT_S)
        server.start()
        with opened(dsn) as connection:
            connection.execute(b"DROP FUNCTION stay CASCADE")
            assert state(dsn) == before
            merge(connection, SECOND)
        assert state(dsn) == expected


def test_merges_of_one_month_at_once(postgres_server: str, migrated_template: str) -> None:
    """Six sessions merge the same and other bars, in different orders, none before the others."""
    calls = [FIRST, SECOND[:1], [source("vendor", rising(100), TCS)], SECOND]
    with database(postgres_server, migrated_template) as dsn:
        barrier = threading.Barrier(6, timeout=TIMEOUT_S)

        def write(number: int) -> None:
            with opened(dsn) as connection:
                barrier.wait()
                for turn in range(len(calls)):
                    merge(connection, calls[(number + turn) % len(calls)])

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        with opened(dsn) as connection:
            merge(connection, SECOND)
            store = BarStore(connection, rules(), calendar())
            assert store.rebuild().written == 0
            names = [SBIN.name, TCS.name]
            table = store.read_bars(names, when(0), when(375))
            times = connection.execute(
                "SELECT count(*) FROM bar_batch b JOIN bar_batch l ON l.batch_id > b.batch_id"
                " AND l.recorded_at <= b.recorded_at"
            ).fetchone()
        closes = [CHANGED[n][3] for n in range(250)] + [bar[3] for bar in rising(100).values()]
        assert sorted(table["close"].to_pylist()) == sorted(closes)
        assert times == (0,)


def test_a_reader_is_not_held_up_by_a_writer(connection: Connection, migrated_dsn: str) -> None:
    merge(connection, FIRST)
    store = BarStore(connection, rules(), calendar())
    with opened(migrated_dsn) as other, other.transaction():
        merge(other, SECOND)
        assert store.read_bars([SBIN.name], when(0), when(375)).num_rows == 200
    assert store.read_bars([SBIN.name], when(0), when(375)).num_rows == 250
