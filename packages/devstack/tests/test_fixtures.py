"""The fixtures that other packages use, on the shared stack."""

from __future__ import annotations

import os

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from kite_contracts.migrations import runner
from kite_devstack import stack, topics
from kite_devstack.databases import database, is_left_over, unique_name
from kite_devstack.testing import MakeTopic


def test_topics_have_names_of_their_own(kafka_bootstrap: str, make_topic: MakeTopic) -> None:
    first, second = make_topic(), make_topic(partitions=3, config={"retention.ms": "60000"})
    assert first != second
    found = topics.read_topics(topics.admin(kafka_bootstrap, os.environ), [first, second])
    assert found[first].partitions == 1
    assert found[second].partitions == 3
    assert found[second].settings["retention.ms"] == "60000"


def test_the_database_is_empty_and_ours(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        [name] = connection.execute("SELECT current_database()").fetchone() or ("",)
        tables = connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchone() is None
    assert name.startswith("test-")
    assert stack.endpoints().postgres is not None


def test_a_test_may_have_an_empty_database_of_its_own(postgres_dsn: str, fresh_dsn: str) -> None:
    assert postgres_dsn != fresh_dsn
    assert runner.current(fresh_dsn) is None


@pytest.mark.parametrize("run", ["first", "second"])
def test_each_test_has_all_tables_and_no_rows_of_another(migrated_dsn: str, run: str) -> None:
    assert runner.current(migrated_dsn) == runner.head()
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute("CREATE TABLE seen (run text)")
        connection.execute("INSERT INTO seen VALUES (%s)", [run])
        assert connection.execute("TABLE seen").fetchall() == [(run,)]


def test_databases_end_with_their_test(postgres_server: str, migrated_template: str) -> None:
    with database(postgres_server, migrated_template) as dsn:
        name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(postgres_server) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        assert found.fetchone() is None


def test_only_names_of_a_day_ago_are_left_over() -> None:
    assert not is_left_over(unique_name())
    assert is_left_over("test-1000000000-0123456789")
    assert not is_left_over("ticks")
    assert not is_left_over("test-results")
