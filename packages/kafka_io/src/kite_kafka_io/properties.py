"""librdkafka's own properties as a person sets them, where there is no variable of ours.

They come from variables (``KAFKA_PROPERTY_SOCKET_KEEPALIVE_ENABLE`` is the property
``socket.keepalive.enable``) and from a file of ``name=value`` lines; a variable wins over the file.
librdkafka itself is asked whether it knows a property and takes the value. Messages quote no value:
it may be a secret.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from kite_runtime.errors import ConfigurationError, reason_of

PREFIX: Final = "KAFKA_PROPERTY_"
FILE_VARIABLE: Final = "KAFKA_PROPERTIES_FILE"

Properties = dict[str, str]
Given = tuple[tuple[str, str | Path], ...]
"""Variables and their values; a place in the file system is a path."""

_UNDERSCORED: Final = ("log_level",)
"""Properties whose own names have an underscore."""
_PROBED: Final = "probe"
"""Not a place: librdkafka looks in the usual ones."""

_VARIABLES: Final[Mapping[str, str]] = {
    "bootstrap.servers": "KAFKA_BOOTSTRAP",
    "metadata.broker.list": "KAFKA_BOOTSTRAP",
    "client.id": "KAFKA_CLIENT_ID",
    "security.protocol": "KAFKA_SECURITY_PROTOCOL",
    "sasl.mechanism": "KAFKA_SASL_MECHANISM",
    "sasl.mechanisms": "KAFKA_SASL_MECHANISM",
    "sasl.username": "KAFKA_SASL_USERNAME",
    "sasl.password": "KAFKA_SASL_PASSWORD",
    "ssl.ca.location": "KAFKA_SSL_CA",
    "ssl.certificate.location": "KAFKA_SSL_CERTIFICATE",
    "ssl.key.location": "KAFKA_SSL_KEY",
    "ssl.key.password": "KAFKA_SSL_KEY_PASSWORD",
    "compression.codec": "KAFKA_COMPRESSION",
    "compression.type": "KAFKA_COMPRESSION",
    "linger.ms": "KAFKA_LINGER_MS",
    "queue.buffering.max.ms": "KAFKA_LINGER_MS",
    "message.max.bytes": "KAFKA_MESSAGE_MAX_BYTES",
}
"""Property → the variable that sets it."""

_ACKNOWLEDGED: Final = "every record is acknowledged by all replicas, once and in order"
_BOUNDED: Final = "a record is never given up by time, and the queue has room for every frame"
_COMMITTED: Final = "what was read is committed when it is handled, and no record is passed over"
_KEYED: Final = "all producers put an instrument into the same partition"
_GROUPED: Final = "a program that dies is noticed in time and its work goes to another"
_REAL: Final = "topics are created by `devstack topics` alone, on a real broker"
_PROMISED: Final[Mapping[str, str]] = {
    "acks": _ACKNOWLEDGED,
    "allow.auto.create.topics": _REAL,
    "auto.commit.enable": _COMMITTED,
    "auto.commit.interval.ms": _COMMITTED,
    "auto.offset.reset": _COMMITTED,
    "batch.num.messages": _BOUNDED,
    "batch.size": _BOUNDED,
    "check.crcs": _COMMITTED,
    "delivery.report.only.error": _ACKNOWLEDGED,
    "delivery.timeout.ms": _BOUNDED,
    "enable.auto.commit": _COMMITTED,
    "enable.auto.offset.store": _COMMITTED,
    "enable.gapless.guarantee": _ACKNOWLEDGED,
    "enable.idempotence": _ACKNOWLEDGED,
    "enable.partition.eof": _COMMITTED,
    "enabled_events": _ACKNOWLEDGED,
    "group.id": _COMMITTED,
    "group.instance.id": _GROUPED,
    "heartbeat.interval.ms": _GROUPED,
    "isolation.level": _COMMITTED,
    "log.queue": _ACKNOWLEDGED,
    "max.in.flight": _ACKNOWLEDGED,
    "max.in.flight.requests.per.connection": _ACKNOWLEDGED,
    "max.poll.interval.ms": _GROUPED,
    "message.send.max.retries": _BOUNDED,
    "message.timeout.ms": _BOUNDED,
    "partition.assignment.strategy": _GROUPED,
    "partitioner": _KEYED,
    "queue.buffering.max.kbytes": _BOUNDED,
    "queue.buffering.max.messages": _BOUNDED,
    "queuing.strategy": _ACKNOWLEDGED,
    "request.required.acks": _ACKNOWLEDGED,
    "retries": _BOUNDED,
    "session.timeout.ms": _GROUPED,
    "sticky.partitioning.linger.ms": _KEYED,
    "test.mock.broker.rtt": _REAL,
    "test.mock.num.brokers": _REAL,
    "topic.blacklist": _COMMITTED,
    "transactional.id": _ACKNOWLEDGED,
}
"""Property → the promise that another value would break."""


class _Set(NamedTuple):
    where: str
    """The variable, or the line of the file."""
    name: str
    value: str


def given_by(variables: Mapping[str, str]) -> Given:
    """The values of ``KAFKA_PROPERTY_…``; relative paths may still be moved below a root."""
    return tuple(
        (variable, Path(value) if _is_place(_name_of(variable), value) else value)
        for variable, value in sorted(variables.items())
    )


def read_properties(path: Path | None, given: Given) -> Properties:
    """The properties of the file and of the variables, each one checked.

    Relative paths in the file start at its folder. Raises ConfigurationError, one sentence that
    names the variable or the line.
    """
    found = list(_lines(path)) if path is not None else []
    found += [_Set(variable, _name_of(variable), str(value)) for variable, value in given]
    for each in found:
        _check(each)
    return {each.name: each.value for each in found}


def _name_of(variable: str) -> str:
    name = variable.removeprefix(PREFIX).lower()
    return name if name in _UNDERSCORED else name.replace("_", ".")


def _is_place(name: str, value: str) -> bool:
    return name.endswith((".location", ".keytab", ".file")) and value != _PROBED


def _lines(path: Path) -> Iterator[_Set]:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as exc:
        raise ConfigurationError(
            f"{FILE_VARIABLE} names {path}, which cannot be read ({reason_of(exc)})"
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{FILE_VARIABLE} names {path}, which is not UTF-8 text") from exc
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        where = f"{path} line {number}"
        if not equals or not name or not value:
            raise ConfigurationError(
                f"{where} is not name=value; write it like socket.keepalive.enable=true"
            )
        if _is_place(name, value):
            value = str(path.parent / value)
        yield _Set(f"{where} ({name[:60]})", name, value)


def _check(each: _Set) -> None:
    if "\0" in each.value:
        raise ConfigurationError(f"{each.where} holds a NUL character; remove it")
    if variable := _VARIABLES.get(each.name):
        raise ConfigurationError(f"{each.where} has a variable of its own: set {variable} instead")
    if promise := _PROMISED.get(each.name):
        raise ConfigurationError(
            f"{each.where} is refused, because this program promises that {promise}; remove it"
        )
    if problem := _problem(each):
        raise ConfigurationError(f"{each.where} {problem}")


def _problem(each: _Set) -> str | None:
    """What librdkafka has against the property; it is asked without making a client."""
    from kite_kafka_io.librdkafka.library import CONF_OK, CONF_UNKNOWN, LIBRARY, TEXT_BYTES

    if LIBRARY.missing is not None:
        return None  # the client itself will refuse it
    conf, text = LIBRARY.conf_new(), ctypes.create_string_buffer(TEXT_BYTES)
    try:
        answer = LIBRARY.conf_set(conf, each.name.encode(), each.value.encode(), text, TEXT_BYTES)
    finally:
        LIBRARY.conf_destroy(conf)
    if answer == CONF_OK:
        return None
    if answer == CONF_UNKNOWN:
        return (
            "is no property of librdkafka: see its CONFIGURATION.md "
            f"({each.name[:60]} is not known here)"
        )
    reason = text.value.decode(errors="replace").strip().replace(each.value, "…")
    return f"has a value that librdkafka does not take: {reason}"
