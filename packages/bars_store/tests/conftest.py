"""Databases on the real Postgres, and a store of instruments in one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import hypothesis
import pytest

from bars_store.database import Connection, connect
from bars_store.instruments import InstrumentStore
from devstack.testing import (  # noqa: F401
    fresh_dsn,
    migrated_dsn,
    migrated_template,
    postgres_server,
)

# An example is many round trips; a time limit would only measure the machine.
hypothesis.settings.register_profile("bars_store", deadline=None)
hypothesis.settings.load_profile("bars_store")


@pytest.fixture()
def connection(migrated_dsn: str) -> Iterator[Connection]:  # noqa: F811
    with contextlib.closing(connect(migrated_dsn, application_name="tests")) as opened:
        yield opened


@pytest.fixture()
def store(connection: Connection) -> InstrumentStore:
    return InstrumentStore(connection)
