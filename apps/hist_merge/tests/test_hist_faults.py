"""Runs of `daily` that are killed, stopped and doubled: what is left is whole, and the next run
comes to what one clean run comes to. On a Postgres of their own, which is killed, too."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict
from vendor_made_up import kite_text, vendor_text

from kite_bars_store.database import Connection, connect
from kite_contracts.migrations import runner
from kite_devstack.databases import database
from kite_devstack.postgres import PostgresServer, private_postgres
from kite_runtime.clock import IST
from kite_runtime.testing import PATIENCE_S, CommandLine, Finished, Place, Running

FEBRUARY: Final = datetime(2024, 2, 1, 9, 15, tzinfo=IST)
TOKENS: Final = """\
instrument_token,mode,exchange,tradingsymbol
779521,full,NSE,SBIN
408065,full,NSE,INFY
"""
CALL: Final = ("daily", "--from", "20240102", "--to", "20240201", "--vendor", "feeds", "--no-kite")
MINUTES: Final = 375
# Numbers of batches and times of recording aside, which a run that went wrong used up.
STATE: Final = """
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT (tradingsymbol, ts_open, open, high, low, close, volume, oi, flags, verdict, differs,
                from_other, session_minute)::text AS line
        FROM bars_1m JOIN bar_instrument USING (instrument_id)
        UNION ALL
        SELECT (tradingsymbol, ts_open, source, open, high, low, close, volume, oi)::text
        FROM bar_observation JOIN bar_instrument USING (instrument_id)
        JOIN bar_source USING (source_id)
    ) AS lines
"""
# A backend that comes to this bar waits there for the gate to open.
GATE: Final = """
    CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4242); RETURN NEW; END $$;
    CREATE TRIGGER gate BEFORE INSERT ON {table}
    FOR EACH ROW WHEN (NEW.ts_open = '{time}') EXECUTE FUNCTION gate()
"""
TABLES: Final = ("bar_observation", "bars_1m")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with private_postgres() as own:
        yield own


@pytest.fixture(scope="module")
def template(server: PostgresServer) -> Iterator[str]:
    with database(server.dsn) as dsn:
        runner.upgrade(dsn)
        yield str(conninfo_to_dict(dsn)["dbname"])


@pytest.fixture()
def feeds(tmp_path: Path, calls: CommandLine, server: PostgresServer, template: str) -> Any:
    """A place with two months of a vendor and one day of Kite, and a database for them."""
    with database(server.dsn, template) as dsn:
        state = {"HIST_MERGE_STATE_DIR": str(tmp_path / "state"), "POSTGRES_DSN": dsn}
        yield filled(Place(tmp_path, calls, state))


@pytest.fixture(scope="module")
def clean(
    tmp_path_factory: pytest.TempPathFactory,
    calls: CommandLine,
    server: PostgresServer,
    template: str,
) -> Any:
    """The state that one run comes to when nothing goes wrong."""
    with database(server.dsn, template) as dsn:
        folder = tmp_path_factory.mktemp("clean")
        state = {"HIST_MERGE_STATE_DIR": str(folder / "state"), "POSTGRES_DSN": dsn}
        place = filled(Place(folder, calls, state))
        assert place(*CALL).code == 3, "Kite and the vendor differ here and there"
        return state_of(place)


def filled(place: Place) -> Place:
    place.write("configs/tokens.csv", TOKENS)
    for name in ("SBIN", "INFY"):
        both = vendor_text(name) + vendor_text(name, first=FEBRUARY)
        place.write(f"feeds/{name}.txt", both)
    place.write("feeds/kite_SBIN_2024-01-02.csv", kite_text(higher=100))
    return place


def opened(place: Place) -> Any:
    return closing(connect(place.env["POSTGRES_DSN"], application_name="tests"))


def state_of(place: Place, query: str = STATE) -> Any:
    with opened(place) as connection:
        return connection.execute(query.encode()).fetchone()


def months(place: Place) -> dict[int, int]:
    """Golden bars by month."""
    query = b"SELECT extract(month FROM ts_open)::int, count(*) FROM bars_1m GROUP BY 1"
    with opened(place) as connection:
        return dict(connection.execute(query).fetchall())


@contextmanager
def gate(place: Place, table: str, first: datetime) -> Iterator[Callable[[], None]]:
    """Runs stay in the midst of COPY until the gate is opened by a call or the end of the block."""
    time_of = first.replace(hour=12)
    with opened(place) as connection:
        connection.execute(GATE.format(table=table, time=time_of.isoformat()).encode())
        connection.execute(b"SELECT pg_advisory_lock(4242)")
        try:
            yield lambda: release(connection)
        finally:
            with suppress(OperationalError):  # a killed server has no gate any more
                release(connection)


def release(connection: Connection) -> None:
    connection.execute(b"SELECT pg_advisory_unlock_all()")


def waiting(place: Place) -> int:
    """How many runs wait for a lock."""
    query = b"""
        SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'hist_merge' AND wait_event_type = 'Lock'
          AND datname = current_database()
    """
    with opened(place) as connection:
        (count,) = connection.execute(query).fetchone()
    return int(count)


def started(place: Place, count: int = 1) -> list[Running]:
    """So many runs, each of which has come to the gate or waits for one that has."""
    runs = [place.start(*CALL) for _ in range(count)]
    runs[-1].until(lambda: waiting(place) == count, "a run at the gate")
    return runs


def left(place: Place) -> None:
    """Wait until no backend of a run is at work."""
    ends_s, pause = time.monotonic() + PATIENCE_S, threading.Event()
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hist_merge'"
    while state_of(place, query) != (0,):
        assert time.monotonic() < ends_s, "a backend of a run that is gone is still at work"
        pause.wait(0.02)


def goes_on(place: Place, clean: Any) -> Finished:
    """The same call again completes the work, and once more writes nothing at all."""
    finished = place(*CALL, "--json")
    assert finished.code == 3
    assert state_of(place) == clean
    rows = "SELECT md5(string_agg(r, '' ORDER BY r)) FROM (SELECT (b.xmin, b.*)::text r FROM {} b)"
    before = [state_of(place, rows.format(table)) for table in TABLES]
    (told,) = place(*CALL, "--json").json()
    assert (told["added"], told["revised"]) == (0, 0)
    assert set(told["golden"].values()) == {0}
    assert [state_of(place, rows.format(table)) for table in TABLES] == before
    return finished


@pytest.mark.parametrize("table", TABLES)
def test_a_killed_run_leaves_whole_windows_and_the_next_one_the_rest(
    feeds: Place, clean: Any, table: str
) -> None:
    with gate(feeds, table, FEBRUARY):
        (run,) = started(feeds)
        os.kill(run.pid, signal.SIGKILL)
        assert run.finish().code == -signal.SIGKILL
    left(feeds)
    assert months(feeds) == {1: 2 * MINUTES}
    goes_on(feeds, clean)


def test_ctrl_c_ends_after_the_window_and_the_next_run_goes_on(feeds: Place, clean: Any) -> None:
    with gate(feeds, "bars_1m", FEBRUARY.replace(month=1, day=2)) as open_gate:
        (run,) = started(feeds)
        os.kill(run.pid, signal.SIGINT)
        run.until(lambda: "stopping after this window" in run.stderr, "the word on stopping")
        open_gate()
        stopped = run.finish()
    assert stopped.code == 130, stopped.stderr
    assert "the same command goes on from here" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert months(feeds) == {1: 2 * MINUTES}
    goes_on(feeds, clean)


def test_ctrl_c_twice_ends_at_once_and_leaves_no_part_of_a_window(feeds: Place, clean: Any) -> None:
    with gate(feeds, "bars_1m", FEBRUARY):
        (run,) = started(feeds)
        os.kill(run.pid, signal.SIGINT)
        run.until(lambda: "once more stops at once" in run.stderr, "the word on stopping")
        os.kill(run.pid, signal.SIGINT)
        stopped = run.finish()
    assert stopped.code == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    left(feeds)
    assert months(feeds) == {1: 2 * MINUTES}
    goes_on(feeds, clean)


def test_runs_of_the_same_months_at_once_wait_for_each_other(feeds: Place, clean: Any) -> None:
    """No deadlock, no violated key, and together no row more than one alone."""
    with gate(feeds, "bar_observation", FEBRUARY.replace(month=1, day=2)) as open_gate:
        runs = started(feeds, 3)
        open_gate()
        ended = [run.finish() for run in runs]
    assert [each.code for each in ended] == [3, 3, 3], [each.stderr for each in ended]
    assert state_of(feeds) == clean
    goes_on(feeds, clean)


def test_a_killed_postgres_is_one_sentence_and_75(
    feeds: Place, clean: Any, server: PostgresServer
) -> None:
    try:
        with gate(feeds, "bars_1m", FEBRUARY):
            (run,) = started(feeds)
            server.kill()
            ended = run.finish()
        away = feeds(*CALL)
    finally:
        server.start()
    assert ended.code == 75, ended.stderr
    assert "nothing was written" in ended.sentence
    assert "1 of 4 windows were merged before this; the same command goes on" in ended.stderr
    assert (away.code, "Postgres" in away.sentence) == (75, True)
    assert months(feeds) == {1: 2 * MINUTES}
    goes_on(feeds, clean)
