"""The shared stack with the real Kafka and the real Postgres, used by many processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer

from kite_contracts.migrations import runner
from kite_contracts.topics import load_topics
from kite_devstack import leases, stack, topics
from kite_devstack.kafka import KafkaServer
from kite_devstack.layout import layout_of
from kite_devstack.postgres import PostgresServer

TEST_RUN = """
import os, sys, time
from kite_devstack import stack
from kite_devstack.layout import layout_of
from kite_devstack.leases import Lease
from kite_devstack.reporter import Reporter
lease = Lease(layout_of(os.environ).leases)
print(stack.ensure(stack.SERVICES, os.environ, Reporter()).kafka, flush=True)
time.sleep(600)
"""


MIGRATIONS = runner.migrations()
Devstack = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture()
def environ(own_stack: dict[str, str]) -> dict[str, str]:
    """The environment of the stack that these tests share; it may be up or down."""
    return own_stack


@pytest.fixture()
def stopped(own_stack: dict[str, str]) -> dict[str, str]:
    """The same, surely down."""
    stack.down(own_stack)
    return own_stack


@pytest.fixture()
def devstack(run_devstack: Devstack) -> Devstack:
    """``devstack(environ, *arguments)``."""
    return lambda environ, *arguments: run_devstack(environ, Path("/"), *arguments)


def exported(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_many_processes_get_one_stack_with_its_topics(
    stopped: dict[str, str], devstack: Devstack
) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: devstack(stopped, "up"), range(3)))
    found = [exported(run) for run in runs]
    assert found[0] == found[1] == found[2]
    said = "".join(run.stderr for run in runs)
    assert said.count("starting Kafka on") == 1
    assert said.count("starting Postgres") == 1
    bootstrap = found[0]["KAFKA_BOOTSTRAP"]
    specs = load_topics()
    states = topics.read_topics(topics.admin(bootstrap, {}), [spec.name for spec in specs])
    assert {name: state.partitions for name, state in states.items()} == {
        spec.name: spec.partitions for spec in specs
    }
    assert all(change.action is topics.Action.KEEP for change in topics.plan(specs, states))
    with psycopg.connect(found[0]["POSTGRES_DSN"]) as connection:
        row = connection.execute("SHOW server_version_num").fetchone()
    assert row is not None
    assert row[0].startswith("18")
    assert runner.current(found[0]["POSTGRES_DSN"]) == runner.head()
    assert sum(f"applying {step.name}" in run.stderr for run in runs for step in MIGRATIONS) == len(
        MIGRATIONS
    )
    status = devstack(stopped, "status").stdout
    assert status.count("up, pid") == 2
    assert f"export KAFKA_BOOTSTRAP={bootstrap}\n" in devstack(stopped, "env").stdout


def test_topics_are_altered_and_partitions_left_alone(
    environ: dict[str, str], devstack: Devstack
) -> None:
    bootstrap = exported(devstack(environ, "up", "kafka"))["KAFKA_BOOTSTRAP"]
    changed = environ | {"TOPIC_BARS_RETENTION_MS": "1234567"}
    shown = devstack(changed | {"TOPICS_DRY_RUN": "1"}, "up")
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == "keep   ticks"
    assert "alter  bars: retention.ms 2592000000 -> 1234567" in lines
    client = topics.admin(bootstrap, {})
    assert topics.read_topics(client, ["bars"])["bars"].settings["retention.ms"] == "2592000000"
    done = devstack(changed, "topics")
    assert done.returncode == 0
    assert "alter  bars" in done.stderr
    assert topics.read_topics(client, ["bars"])["bars"].settings["retention.ms"] == "1234567"
    assert devstack(environ, "topics").returncode == 0


def test_an_interrupted_test_run_leaves_no_process(stopped: dict[str, str]) -> None:
    layout = layout_of(stopped)
    run = subprocess.Popen(
        [sys.executable, "-c", TEST_RUN],
        env=stopped | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    try:
        assert run.stdout is not None
        assert run.stdout.readline().startswith(b"127.0.0.1:")
        servers = stack.servers(layout, stopped).values()
        assert all(server.running for server in servers)
    finally:
        run.kill()
        run.communicate()
    for server in servers:
        leases.wait_unlocked(server.files.lock)
    assert stack.endpoints(stopped) == stack.Endpoints(None, None)
    assert list(layout.leases.iterdir()) == []


def test_data_stays_over_down_and_goes_with_purge(
    environ: dict[str, str], devstack: Devstack
) -> None:
    first = exported(devstack(environ, "up"))
    producer = Producer({"bootstrap.servers": first["KAFKA_BOOTSTRAP"], "acks": "all"})
    producer.produce("feed.events", b"kept")
    assert producer.flush(20) == 0
    with psycopg.connect(first["POSTGRES_DSN"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    assert devstack(environ, "down").stdout == "stopped: kafka, postgres\n"
    again = exported(devstack(environ, "up"))
    assert again == first, "the port and the socket stay the same"
    assert read_one(again["KAFKA_BOOTSTRAP"]) == b"kept"
    with psycopg.connect(again["POSTGRES_DSN"]) as connection:
        connection.execute("TABLE kept")
    assert devstack(environ, "down", "--purge").returncode == 0
    layout = layout_of(environ)
    assert not layout.service("kafka").folder.exists()
    assert not layout.service("postgres").folder.exists()
    assert layout.jars.exists()


def read_one(bootstrap: str) -> bytes | None:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["feed.events"])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    return message.value()


def test_only_what_is_named_starts(stopped: dict[str, str], devstack: Devstack) -> None:
    assert list(exported(devstack(stopped, "up", "postgres"))) == ["POSTGRES_DSN"]
    assert not KafkaServer(layout_of(stopped)).running
    assert PostgresServer(layout_of(stopped)).running


def test_the_environment_replaces_a_server(
    stopped: dict[str, str], devstack: Devstack, fresh_dsn: str
) -> None:
    given = stopped | {"POSTGRES_DSN": fresh_dsn}
    done = devstack(given, "up", "postgres")
    assert exported(done) == {"POSTGRES_DSN": fresh_dsn}
    assert "starting" not in done.stderr
    assert "yours, by POSTGRES_DSN" in devstack(given, "status").stdout
    assert not PostgresServer(layout_of(stopped)).running
