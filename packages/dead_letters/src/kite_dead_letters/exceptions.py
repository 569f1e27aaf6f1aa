"""Exception classes of other tools that mean one of our reasons (pure).

Only classes with one meaning are here. A SerializationException or a DataException says that bytes
were not what they should be: what they are is found by decoding them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from kite_contracts.reasons import ReasonCode

REASONS: Final = MappingProxyType(
    {
        "RecordTooLargeException": ReasonCode.TOO_LARGE,
        "RecordBatchTooLargeException": ReasonCode.TOO_LARGE,
        "MessageSizeTooLargeException": ReasonCode.TOO_LARGE,
        "TimeoutException": ReasonCode.SINK_TRANSIENT,
        "SocketTimeoutException": ReasonCode.SINK_TRANSIENT,
        "ConnectException": ReasonCode.SINK_TRANSIENT,
        "RetriableException": ReasonCode.SINK_TRANSIENT,
        "NetworkException": ReasonCode.SINK_TRANSIENT,
        "DisconnectException": ReasonCode.SINK_TRANSIENT,
        "NotEnoughReplicasException": ReasonCode.SINK_TRANSIENT,
        "SQLTransientException": ReasonCode.SINK_TRANSIENT,
        "SQLTransientConnectionException": ReasonCode.SINK_TRANSIENT,
        "SQLRecoverableException": ReasonCode.SINK_TRANSIENT,
        "TransientDataAccessException": ReasonCode.SINK_TRANSIENT,
        "DataIntegrityViolationException": ReasonCode.SINK_PERMANENT,
        "DuplicateKeyException": ReasonCode.SINK_PERMANENT,
        "SQLIntegrityConstraintViolationException": ReasonCode.SINK_PERMANENT,
        "SQLNonTransientException": ReasonCode.SINK_PERMANENT,
        "SQLSyntaxErrorException": ReasonCode.SINK_PERMANENT,
        "InvalidTopicException": ReasonCode.SINK_PERMANENT,
        "UnknownTopicOrPartitionException": ReasonCode.SINK_PERMANENT,
        "AuthenticationException": ReasonCode.AUTH,
        "SaslAuthenticationException": ReasonCode.AUTH,
        "SslAuthenticationException": ReasonCode.AUTH,
        "AuthorizationException": ReasonCode.AUTH,
        "TopicAuthorizationException": ReasonCode.AUTH,
        "GroupAuthorizationException": ReasonCode.AUTH,
        "ClusterAuthorizationException": ReasonCode.AUTH,
        "AccessDeniedException": ReasonCode.AUTH,
    }
)
_CONNECT_ERRORS: Final = "org.apache.kafka.connect.errors.ConnectException"
"""Kafka Connect's own base class of everything, not ``java.net.ConnectException``."""


def reason_of_exception(name: str | None) -> ReasonCode | None:
    """The reason that an exception's class stands for, or None where it has no single meaning."""
    if name is None or name == _CONNECT_ERRORS:
        return None
    return REASONS.get(name.rpartition(".")[2].rpartition("$")[2])
