"""Letters as the named frameworks write them, from their documented headers: what triage makes of
each, and what a redrive leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from kite_contracts.reasons import ReasonCode as R
from kite_contracts.topics import load_topics
from kite_dead_letters.classify import Classifier
from kite_dead_letters.dialect_files import read_table
from kite_dead_letters.dialects import TABLE, cause_of
from kite_dead_letters.records import ClassifiedRecord
from kite_dead_letters.redrive import Planner, Targets
from kite_kafka_io.raw_reader import RawRecord
from kite_runtime.errors import ConfigurationError

ORDERS = "orders"
VALUE = b"{}"


def i4(number: int) -> bytes:
    return number.to_bytes(4, "big")


def i8(number: int) -> bytes:
    return number.to_bytes(8, "big")


def prefixed(prefix: str, **headers: bytes) -> list[tuple[str, bytes]]:
    return [(prefix + name.replace("_", "-"), content) for name, content in headers.items()]


LISTENER = b"org.springframework.kafka.listener.ListenerExecutionFailedException"
SERIALIZATION = b"org.apache.kafka.common.errors.SerializationException"
SPRING_ORIGIN = {
    "original_topic": b"orders",
    "original_partition": i4(3),
    "original_offset": i8(77),
    "original_timestamp": i8(1_764_000_000_000),
    "original_timestamp_type": b"CreateTime",
    "original_consumer_group": b"billing",
}
RETRY = [("retry_topic-attempts", i4(number)) for number in (2, 3, 4)]
STACK = b"""org.apache.kafka.common.errors.SerializationException: Error deserializing
\tat org.apache.kafka.clients.consumer.internals.Fetcher.parseRecord(Fetcher.java:1)
Caused by: java.lang.IllegalStateException: pool
\tat a.B.c(B.java:2)
Caused by: java.net.SocketTimeoutException: Read timed out
\tat java.net.Socket.read(Socket.java:3)
"""
CONNECT_ORIGIN = [
    ("__connect.errors.topic", b"orders"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"77"),
    ("__connect.errors.connector.name", b"billing"),
    ("__connect.errors.task.id", b"0"),
    ("__connect.errors.stage", b"TASK_PUT"),
]


class Case(NamedTuple):
    """``origin`` is topic, partition and offset."""

    name: str
    headers: Sequence[tuple[str, bytes]]
    dialect: str
    reason: str
    exception: str | None
    attempt: int = 1
    origin: tuple[str | None, int | None, int | None] = ("orders", 3, 77)
    component: str | None = None
    message: str = "no"
    kept: tuple[str, ...] = ()


def connect(exception: bytes, **more: bytes) -> list[tuple[str, bytes]]:
    given = {"class_name": exception, "message": b"no", **more}
    headers = [(f"__connect.errors.exception.{k.replace('_', '.')}", v) for k, v in given.items()]
    return [*CONNECT_ORIGIN, *headers]


CASES = [
    Case("Spring, a dead-letter topic", [
        *prefixed("kafka_dlt-", exception_fqcn=LISTENER, exception_message=b"no",
                  exception_cause_fqcn=b"org.springframework.dao.DuplicateKeyException",
                  exception_stacktrace=b"x", **SPRING_ORIGIN), ("kafka_deliveryAttempt", i4(3))],
        "spring", R.SINK_PERMANENT, "org.springframework.dao.DuplicateKeyException", 3,
        component="billing"),
    Case("Spring, @RetryableTopic", [
        *prefixed("kafka_", exception_fqcn=LISTENER, exception_message=b"no",
                  exception_cause_fqcn=b"java.net.SocketTimeoutException", **SPRING_ORIGIN), *RETRY,
        ("retry_topic-original-timestamp", i8(1)), ("retry_topic-backoff-timestamp", i8(2)),
        ("tenant", b"7")],
        "spring", R.SINK_TRANSIENT, "java.net.SocketTimeoutException", 4, component="billing",
        kept=("tenant",)),
    Case("Spring, attempts of one byte",
        [*prefixed("kafka_", exception_fqcn=b"a.SQLTransientException", exception_message=b"no",
                   **SPRING_ORIGIN), ("retry_topic-attempts", b"\x05")],
        "spring", R.SINK_TRANSIENT, "a.SQLTransientException", 5, component="billing"),
    Case("Spring, the attempts alone", [("retry_topic-attempts", i4(6))],
        "spring", R.UNCLASSIFIED, None, 6, (None, None, None), message=""),
    Case("Spring, a key that cannot be read",
        prefixed("kafka_dlt-",
                 key_exception_fqcn=b"org.apache.kafka.common.errors.TimeoutException",
                 key_exception_message=b"no", key_exception_stacktrace=b"x", **SPRING_ORIGIN),
        "spring", R.SINK_TRANSIENT, "org.apache.kafka.common.errors.TimeoutException",
        component="billing"),
    Case("Spring, a wrapper whose stack has the cause",
        prefixed("kafka_dlt-", exception_fqcn=SERIALIZATION, exception_message=b"no",
                 exception_stacktrace=STACK, **SPRING_ORIGIN),
        "spring", R.SINK_TRANSIENT, "java.net.SocketTimeoutException", component="billing"),
    Case("Connect, the Elasticsearch sink",
        connect(b"org.apache.kafka.connect.errors.ConnectException", stacktrace=STACK),
        "connect", R.SINK_TRANSIENT, "java.net.SocketTimeoutException", component="billing"),
    Case("Connect, the JDBC sink",
        connect(b"java.sql.SQLIntegrityConstraintViolationException"),
        "connect", R.SINK_PERMANENT, "java.sql.SQLIntegrityConstraintViolationException",
        component="billing"),
    Case("Connect, Debezium's sink without rights",
        connect(b"org.apache.kafka.common.errors.TopicAuthorizationException"),
        "connect", R.AUTH, "org.apache.kafka.common.errors.TopicAuthorizationException",
        component="billing"),
    Case("Connect, a record too large",
        connect(b"org.apache.kafka.common.errors.RecordTooLargeException"),
        "connect", R.TOO_LARGE, "org.apache.kafka.common.errors.RecordTooLargeException",
        component="billing"),
    Case("Connect, a converter that cannot read",
        connect(b"org.apache.kafka.connect.errors.DataException", stacktrace=b"DataException: no"),
        "connect", R.UNCLASSIFIED, "org.apache.kafka.connect.errors.DataException",
        component="billing"),
    Case("Kafka Streams", [
        ("__streams.errors.exception", b"org.apache.kafka.common.errors.NetworkException"),
        ("__streams.errors.message", b"no"), ("__streams.errors.stacktrace", b"x"),
        ("__streams.errors.topic", b"orders"), ("__streams.errors.partition", b"3"),
        ("__streams.errors.offset", b"77")],
        "streams", R.SINK_TRANSIENT, "org.apache.kafka.common.errors.NetworkException"),
    Case("Kafka Streams, a deserializer with a cause", [
        ("__streams.errors.exception", SERIALIZATION), ("__streams.errors.stacktrace", STACK),
        ("__streams.errors.message", b"no"), ("__streams.errors.topic", b"orders"),
        ("__streams.errors.partition", b"3"), ("__streams.errors.offset", b"77")],
        "streams", R.SINK_TRANSIENT, "java.net.SocketTimeoutException"),
    Case("a share group", [
        ("__dlq.errors.topic", b"orders"), ("__dlq.errors.partition", b"3"),
        ("__dlq.errors.offset", b"77"), ("__dlq.errors.group", b"billing"),
        ("__dlq.errors.delivery.count", b"5"), ("__dlq.errors.message", b"no")],
        "share-group", R.UNCLASSIFIED, None, 5, component="billing"),
    Case("Spring Cloud Stream", prefixed("x-",
        exception_fqcn=b"org.springframework.dao.DataIntegrityViolationException",
        exception_message=b"no", exception_stacktrace=b"x", original_topic=b"orders",
        original_partition=i4(3), original_offset=i8(77), original_timestamp=i8(1),
        original_timestamp_type=b"CreateTime"),
        "spring-cloud-stream", R.SINK_PERMANENT,
        "org.springframework.dao.DataIntegrityViolationException"),
    Case("Spring Cloud Stream, the cause in the stack", prefixed("x-", exception_fqcn=LISTENER,
        exception_message=b"no", exception_stacktrace=STACK, original_topic=b"orders",
        original_partition=i4(3), original_offset=i8(77)),
        "spring-cloud-stream", R.SINK_TRANSIENT, "java.net.SocketTimeoutException"),
    Case("a service in Go or Python with its names", [
        ("x-original-topic", b"orders"), ("x-original-partition", b"3"),
        ("x-original-offset", b"77"), ("x-exception-message", b"no"), ("traceparent", b"00-1")],
        "spring-cloud-stream", R.UNCLASSIFIED, None, kept=("traceparent",)),
    Case("Quarkus", prefixed("dead-letter-", reason=b"no", topic=b"orders", partition=b"3",
        offset=b"77", exception_class_name=b"java.net.SocketTimeoutException"),
        "smallrye", R.SINK_TRANSIENT, "java.net.SocketTimeoutException"),
    Case("Quarkus, with a cause", prefixed("dead-letter-", reason=b"no", cause=b"refused",
        topic=b"orders", partition=b"3", offset=b"77",
        exception_class_name=b"java.lang.RuntimeException",
        cause_class_name=b"java.net.ConnectException"),
        "smallrye", R.SINK_TRANSIENT, "java.net.ConnectException"),
    Case("Quarkus, numbers as Java's integers", prefixed("dead-letter-", reason=b"no",
        topic=b"orders", partition=i4(3), offset=i8(77)),
        "smallrye", R.UNCLASSIFIED, None),
    Case("Watermill", [
        ("reason_poisoned", b"no"), ("topic_poisoned", b"orders"),
        ("handler_poisoned", b"billing"), ("subscriber_poisoned", b"kafka.Subscriber")],
        "watermill", R.UNCLASSIFIED, None, origin=("orders", None, None), component="billing"),
    Case("MassTransit's Kafka rider", prefixed("MT-", Reason=b"fault", Fault_Message=b"no",
        Fault_ExceptionType=b"System.Net.Sockets.SocketException", Fault_RetryCount=b"3",
        Fault_StackTrace=b"at Billing.Consume()", Fault_ConsumerType=b"billing",
        Fault_Timestamp=b"2026-11-30T09:15:00Z"),
        "masstransit", R.UNCLASSIFIED, "System.Net.Sockets.SocketException",
        origin=(None, None, None), component="billing"),
    Case("NServiceBus", [
        ("NServiceBus.ExceptionInfo.ExceptionType", b"System.TimeoutException"),
        ("NServiceBus.ExceptionInfo.Message", b"no"), ("NServiceBus.FailedQ", b"orders"),
        ("NServiceBus.ExceptionInfo.StackTrace", b"at A.B()"),
        ("NServiceBus.TimeOfFailure", b"2026-11-30 09:15:00:000000 Z")],
        "nservicebus", R.SINK_TRANSIENT, "System.TimeoutException", origin=("orders", None, None)),
    Case("ours, after Spring's retries", [
        ("dlq.reason", b"SEMANTIC_RANGE"), ("dlq.message", b"no"), ("dlq.attempt", b"2"),
        ("dlq.origin_topic", b"orders"), ("dlq.origin_partition", b"3"),
        ("dlq.origin_offset", b"77"), *RETRY],
        "kite", R.SEMANTIC_RANGE, None, 2),
    Case("nobody we know", [("app", b"1")], "none", R.UNCLASSIFIED, None,
         origin=(None, None, None), message="", kept=("app",)),
]  # fmt: skip


def classified(headers: Sequence[tuple[str, bytes]], **table: object) -> ClassifiedRecord:
    record = RawRecord("orders.dlq", 0, 5, 1_764_000_000_000_000_000, b"k", VALUE, list(headers))
    return Classifier(**table).classify(record)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_letter_as_a_framework_writes_it(case: Case) -> None:
    found = classified(case.headers)
    failure = found.failure
    assert (failure.dialect, failure.exception) == (case.dialect, case.exception)
    assert (failure.attempt, failure.component) == (case.attempt, case.component)
    assert (failure.origin_topic, failure.origin_partition, found.origin_offset) == case.origin
    if case.message:
        assert found.message == case.message
    assert failure.reason == case.reason
    assert not found.problems


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_redrive_leaves_out_what_would_end_the_retries_of_its_consumer(case: Case) -> None:
    left = [name for name, _ in case.headers if not goes(name)]
    assert left == list(case.kept)


def goes(name: str) -> bool:
    return Planner(Targets(load_topics())).leaves_out(name.encode())


def test_there_are_25() -> None:
    assert len(CASES) == 25
    assert {case.dialect for case in CASES} == {*TABLE.fields, "none"}


def test_the_first_cause_with_one_meaning_counts() -> None:
    assert cause_of(STACK) == ("java.net.SocketTimeoutException", R.SINK_TRANSIENT)
    assert cause_of(STACK.replace(b"java.net.", b"x.Other$")) == (
        "x.Other$SocketTimeoutException", R.SINK_TRANSIENT,
    )  # fmt: skip
    assert cause_of(b"Caused by: a.Unknown\n  Caused by: \xff") is None
    assert cause_of(None) is None


OWN = """
[gateway]
"x-gw-topic" = { field = "origin_topic" }
"x-gw-partition" = { field = "origin_partition" }
"x-gw-offset" = { field = "origin_offset", as = "binary" }
"x-gw-class" = { field = "exception" }
"x-gw-error" = { field = "message" }
"x-gw-tries" = { field = "attempt" }
"x-gw-host" = {}
"""


def test_a_dialect_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "dialects.toml"
    path.write_text(OWN)
    table = read_table(path)
    headers = prefixed(
        "x-gw-",
        topic=b"orders",
        partition=b"3",
        offset=i8(77),
        error=b"no",
        tries=b"\x04",
        host=b"a",
        **{"class": b"a.AccessDeniedException"},
    )
    found = classified([*headers, ("x-original-topic", b"other")], table=table)
    failure = found.failure
    assert (failure.dialect, failure.reason, failure.attempt) == ("gateway", R.AUTH, 4)
    assert (failure.origin_topic, failure.origin_partition, found.origin_offset) == (
        "orders",
        3,
        77,
    )
    assert found.message == "no"
    assert {name for name, _ in headers} <= table.headers
    assert read_table(None) is TABLE
    assert classified(headers).failure.dialect == "none"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[spring]\na = {}", "the dialect spring is known already: rename it"),
        ("x = 1", r"\[x\] needs headers, one a line"),
        ("[x]", r"\[x\] needs headers, one a line"),
        ("[x]\na = 1", r"\[x\] a: write it like"),
        ("[x]\na = { field = 'b' }", r"\[x\] a: 'b' is no field; there are attempt, component"),
        (
            "[x]\na = { field = 'message', as = 'binary' }",
            "decimal or binary, and of numbers alone",
        ),
        ("[x]\na = { field = 'attempt', as = 'hex' }", "decimal or binary, and of numbers alone"),
        ("[x", "is no TOML"),
    ],
)
def test_a_file_that_says_it_wrongly(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "dialects.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_table(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_table(tmp_path / "gone.toml")
