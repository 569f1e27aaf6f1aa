"""The packaged schemas by subject and version; what codecs and validators import."""

from __future__ import annotations

from functools import cache

from kite_contracts.errors import UnknownContractError
from kite_contracts.store import SINGLE_OBJECT_MARKER, Schema, packaged

__all__ = [
    "avro_schema",
    "by_fingerprint",
    "fingerprint",
    "json_schema",
    "latest",
    "single_object_prefix",
    "subjects",
    "versions",
]


def subjects() -> list[str]:
    """Names of all subjects, sorted."""
    return packaged().subjects()


def versions(subject: str) -> list[int]:
    """Versions of ``subject``, ascending. Raises UnknownContractError."""
    return packaged().versions(subject)


def latest(subject: str) -> int:
    """The newest version of ``subject``. Raises UnknownContractError."""
    return versions(subject)[-1]


def json_schema(subject: str, version: int) -> Schema:
    """The JSON Schema, shared: do not change it. Raises UnknownContractError."""
    return packaged().contract(subject, version).json


def avro_schema(subject: str, version: int) -> Schema:
    """The Avro schema as written, shared: do not change it. Raises UnknownContractError."""
    return packaged().contract(subject, version).avro


def fingerprint(subject: str, version: int) -> int:
    """CRC-64-AVRO of the canonical form, unsigned. Raises UnknownContractError."""
    return packaged().contract(subject, version).fingerprint


def single_object_prefix(subject: str, version: int) -> bytes:
    """``C3 01`` and the fingerprint, little-endian: ten bytes (Avro 1.12, single-object encoding).

    Raises UnknownContractError.
    """
    return packaged().contract(subject, version).single_object_prefix


def by_fingerprint(prefix: bytes) -> tuple[str, int]:
    """Subject and version of a value that starts with ``prefix``; only ten bytes are looked at.

    Raises UnknownContractError: the value is not framed so, or by a schema that this version of
    the package does not know (reason code ``SCHEMA_UNKNOWN_ID``).
    """
    try:
        return _by_prefix()[bytes(prefix[:10])]
    except KeyError:
        what = "a schema unknown here" if prefix[:2] == SINGLE_OBJECT_MARKER else "no Avro framing"
        raise UnknownContractError(f"The value has {what}: {prefix[:10].hex(' ')}.") from None


@cache
def _by_prefix() -> dict[bytes, tuple[str, int]]:
    return {one.single_object_prefix: (one.subject, one.version) for one in packaged()}
