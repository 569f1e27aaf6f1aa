"""A private Kafka and a private Postgres, and what tests may do to them."""

from __future__ import annotations

import socket
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.cimpl import NewTopic

from kite_devstack import topics
from kite_devstack.errors import FailedError, StartError
from kite_devstack.kafka import KafkaServer
from kite_devstack.leases import Lease
from kite_devstack.postgres import PostgresServer

COUNT = 500


def test_acknowledged_records_survive_a_killed_broker(folder: Path, jars: Path) -> None:
    with KafkaServer(folder, jars=jars) as server:
        client = topics.admin(server.bootstrap, {})
        client.create_topics([NewTopic("t", 1, -1)])["t"].result(20)
        producer = Producer({"bootstrap.servers": server.bootstrap, "acks": "all"})
        for number in range(COUNT):
            producer.produce("t", str(number).encode())
        assert producer.flush(20) == 0
        first, pid = server.bootstrap, server.pid
        server.suspend()
        producer.produce("t", b"unanswered")
        assert producer.flush(0.5) == 1, "a suspended broker acknowledges nothing"
        server.resume()
        assert producer.flush(20) == 0
        server.kill()
        assert server.endpoint is None
        assert server.start() == first, "clients find it at the same port"
        assert server.pid != pid
        assert len(read_all(server.bootstrap, COUNT + 1)) == COUNT + 1
    assert not server.running


def read_all(bootstrap: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["t"])
    messages = consumer.consume(count, timeout=20)
    consumer.close()
    return [message.value() for message in messages]


def test_a_taken_port_is_one_sentence(folder: Path, jars: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = KafkaServer(folder, port, jars=jars)
        with pytest.raises(FailedError, match=f"port {port} or {port + 1} is taken"):
            server.start()
    assert not server.running


def test_a_free_port_is_taken_where_the_usual_one_is_not_free(folder: Path, jars: Path) -> None:
    server = KafkaServer(folder, jars=jars)
    server.files.data.mkdir(parents=True)
    usual = server.choose_port()
    assert server.choose_port() == usual
    with socket.create_server(("127.0.0.1", usual + 1)):
        assert server.choose_port() not in (usual, 0)


def test_a_broker_that_cannot_start_is_quoted(folder: Path, jars: Path) -> None:
    server = KafkaServer(folder, jars=jars, properties={"num.io.threads": "none"})
    with pytest.raises(StartError, match=r"num\.io\.threads"):
        server.start()
    assert not server.running


def test_java_that_cannot_start_is_quoted(
    folder: Path, jars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kite_devstack.kafka._HEAP", ("-Xmx1m", "-Xms2m"))
    server = KafkaServer(folder, jars=jars)
    server.files.data.mkdir(parents=True)
    (server.files.data / "meta.properties").touch()
    with Lease(folder / "leases"), pytest.raises(StartError, match="heap size"):
        server.start()


def test_committed_rows_survive_a_killed_postgres(folder: Path) -> None:
    with PostgresServer(folder) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE t (n int)")
            connection.execute("INSERT INTO t SELECT generate_series(1, 1000)")
        open_session = psycopg.connect(server.dsn)
        open_session.execute("INSERT INTO t VALUES (0)")
        server.kill()
        assert server.endpoint is None
        with pytest.raises(psycopg.OperationalError):
            open_session.execute("SELECT 1")
        server.start()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    assert not server.running


def test_data_of_another_postgres_is_refused(folder: Path) -> None:
    server = PostgresServer(folder)
    server.files.data.mkdir(parents=True)
    (server.files.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(FailedError, match=r"is of Postgres 16, this is 18: 'down --purge'"):
        server.start()
