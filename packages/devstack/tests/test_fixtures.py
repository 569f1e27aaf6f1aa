"""The fixtures that other packages use, on the shared stack."""

from __future__ import annotations

import os

import psycopg

from devstack import stack, topics
from devstack.testing import MakeTopic, is_left_over, unique_name


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


def test_only_names_of_a_day_ago_are_left_over() -> None:
    assert not is_left_over(unique_name())
    assert is_left_over("test-1000000000-0123456789")
    assert not is_left_over("ticks")
    assert not is_left_over("test-results")
