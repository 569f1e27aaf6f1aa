"""Fixtures for tests of other packages; import the ones you use into a ``conftest.py``:

    from kite_devstack.testing import kafka_bootstrap, make_topic, postgres_dsn  # noqa: F401
    from kite_devstack.testing import migrated_dsn, migrated_template, postgres_server  # noqa: F401

All test processes share one stack, which starts with the first of them and ends half a minute
after the last. Tests keep apart by names of their own: `make_topic`, a database a session
(`postgres_dsn`) or a test (`fresh_dsn`, `migrated_dsn`). A fixture that stands on another needs it
imported beside it: `make_topic` on `kafka_bootstrap`, those of Postgres on `postgres_server`, and
`migrated_dsn` on `migrated_template` as well. A test that must stop or kill its server starts one
with `kite_devstack.kafka.private_kafka` or `kite_devstack.postgres.private_postgres`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg.conninfo import conninfo_to_dict

from kite_contracts.migrations import runner
from kite_devstack import stack, topics
from kite_devstack.databases import database, drop, is_left_over, left_over, unique_name
from kite_devstack.errors import FailedError
from kite_devstack.layout import layout_of
from kite_devstack.leases import Lease
from kite_devstack.reporter import ConsoleReporter

_TIMEOUT_S = 30.0
_PAUSE_S = 0.05

MakeTopic = Callable[..., str]


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """``host:port`` of a real Kafka, for the whole session."""
    with Lease(layout_of(os.environ).leases):
        bootstrap = stack.ensure([stack.KAFKA], os.environ, ConsoleReporter()).kafka
        assert bootstrap is not None
        client = topics.admin(bootstrap, os.environ)
        _delete_topics(client, filter(is_left_over, client.list_topics(timeout=_TIMEOUT_S).topics))
        yield bootstrap


@pytest.fixture()
def make_topic(kafka_bootstrap: str) -> Iterator[MakeTopic]:
    """``make_topic(partitions=1, config=None) -> name``: topics that end with the test."""
    client = topics.admin(kafka_bootstrap, os.environ)
    made: list[str] = []

    def make(partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        name = unique_name()
        new = NewTopic(name, partitions, replication_factor=-1, config=dict(config or {}))
        client.create_topics([new])[name].result(timeout=_TIMEOUT_S)
        made.append(name)
        _wait_for_leaders(client, name)
        return name

    yield make
    _delete_topics(client, made)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real Postgres, for the whole session; databases are made from it."""
    with Lease(layout_of(os.environ).leases):
        server = stack.ensure([stack.POSTGRES], os.environ, ConsoleReporter()).postgres
        assert server is not None
        for name in left_over(server):
            drop(server, name)
        yield server


@pytest.fixture(scope="session")
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of this session."""
    with database(postgres_server) as dsn:
        yield dsn


@pytest.fixture()
def fresh_dsn(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of this test."""
    with database(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """The name of a database with all migrations, to copy from. No connection may stay open."""
    with database(postgres_server) as dsn:
        runner.upgrade(dsn)
        yield str(conninfo_to_dict(dsn)["dbname"])


@pytest.fixture()
def migrated_dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """The URL of a database of this test with all tables and no rows; a copy takes 0.1 s."""
    with database(postgres_server, migrated_template) as dsn:
        yield dsn


def _wait_for_leaders(client: AdminClient, name: str) -> None:
    """A topic is created before its partitions have leaders; readers would call it unknown."""
    ends_s = time.monotonic() + _TIMEOUT_S
    while True:
        topic = client.list_topics(name, timeout=_TIMEOUT_S).topics[name]
        leaders = [partition.leader for partition in topic.partitions.values()]
        if topic.error is None and leaders and min(leaders) >= 0:
            return
        if time.monotonic() > ends_s:
            raise FailedError(f"topic {name} has no leaders after {_TIMEOUT_S:.0f} s")
        client.poll(_PAUSE_S)


def _delete_topics(client: AdminClient, names: Iterable[str]) -> None:
    doomed = list(names)
    if not doomed:
        return
    for name, answer in client.delete_topics(doomed).items():
        try:
            answer.result(timeout=_TIMEOUT_S)
        except KafkaException as exc:
            raise FailedError(f"topic {name} was not deleted: {exc}") from exc
