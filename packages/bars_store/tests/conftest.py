"""Databases on the real Postgres, a server of a module's own, and a store of instruments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import hypothesis
import pytest

from kite_bars_store.database import Connection, connect
from kite_bars_store.instruments import InstrumentStore
from kite_contracts.migrations import runner
from kite_contracts.sessions import SessionCalendar
from kite_devstack.databases import database
from kite_devstack.postgres import private_postgres
from kite_devstack.testing import (  # noqa: F401
    fresh_dsn,
    migrated_dsn,
    migrated_template,
    postgres_server,
)

# An example is many round trips; a time limit would only measure the machine.
hypothesis.settings.register_profile("bars_store", deadline=None)
hypothesis.settings.load_profile("bars_store")


@pytest.fixture(scope="session")
def calendar() -> SessionCalendar:
    """The packaged session calendar, loaded once."""
    return SessionCalendar.load()


@pytest.fixture()
def connection(migrated_dsn: str) -> Iterator[Connection]:  # noqa: F811
    with contextlib.closing(connect(migrated_dsn, application_name="tests")) as opened:
        yield opened


@pytest.fixture()
def store(connection: Connection) -> InstrumentStore:
    return InstrumentStore(connection)


@pytest.fixture(scope="module")
def private() -> Iterator[str]:
    """A server of this module alone, because a killed backend takes all sessions with it."""
    with private_postgres() as server:
        yield server.dsn


@pytest.fixture()
def own_dsn(private: str) -> Iterator[str]:
    """A migrated database on it."""
    with database(private) as dsn:
        runner.upgrade(dsn)
        yield dsn
