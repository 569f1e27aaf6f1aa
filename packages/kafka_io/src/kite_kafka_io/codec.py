"""Records of any contract to Avro bytes and back, by fastavro: the reference of the compiled loops.

A value is read with the schema that wrote it and brought into the newest released version of its
subject, so that a reader meets one shape only.
"""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from typing import Any

import fastavro

from kite_contracts import schemas
from kite_kafka_io.errors import MalformedRecord
from kite_kafka_io.framing import Framing, Schema, SingleObjectFraming, Writer

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record and the contract it is in; ``subject`` is None for a schema that is not ours."""

    subject: str | None
    version: int | None
    record: Record


class AvroCodec:
    """Encodes and decodes single records with one framing (single-object by default)."""

    def __init__(self, framing: Framing | None = None) -> None:
        self._framing: Framing = framing if framing is not None else SingleObjectFraming()
        self._parsed: dict[int, Any] = {}

    def encode(self, subject: str, record: Record, version: int | None = None) -> bytes:
        """Frame and bytes of ``record``; the newest version by default.

        A field that is missing gets the default of its schema, where it has one.

        Raises MalformedRecord if the record does not fit the schema, UnknownSchema if the registry
        does not hold it.
        """
        number = schemas.latest(subject) if version is None else version
        out = io.BytesIO()
        out.write(self._framing.prefix(subject, number))
        schema = self._parse(schemas.avro_schema(subject, number))
        try:
            fastavro.schemaless_writer(out, schema, record, strict_allow_default=True)
        except Exception as exc:  # fastavro raises anything for what does not fit a schema
            raise MalformedRecord(f"the record does not fit {subject}.v{number}: {exc}") from exc
        return out.getvalue()

    def decode(self, value: bytes) -> Decoded:
        """Read one value. Raises UnknownSchema, or MalformedRecord for any other bytes."""
        writer = self._framing.writer(value)
        subject = writer.subject or _subject_of(writer.schema)
        version = schemas.latest(subject) if subject else None
        reader = schemas.avro_schema(subject, version) if subject and version else None
        return Decoded(subject, version, self._read(value, writer, reader))

    def decode_as_written(self, value: bytes) -> Decoded:
        """Read one value and leave it in the version that wrote it; raises what ``decode`` does."""
        writer = self._framing.writer(value)
        return Decoded(writer.subject, writer.version, self._read(value, writer, None))

    def decode_body(self, subject: str, version: int, body: bytes) -> Record:
        """Read an Avro body without framing as this version of a contract: all bytes of it.

        Raises MalformedRecord. Bytes of another schema may read without an error: validate it.
        """
        schema = schemas.avro_schema(subject, version)
        return self._read(body, Writer(schema, 0, subject, version), None)

    def _read(self, value: bytes, writer: Writer, reader: Schema | None) -> Record:
        source = io.BytesIO(value)
        source.seek(writer.header_bytes)
        wanted = None if reader is None or reader is writer.schema else self._parse(reader)
        try:
            record: object = fastavro.schemaless_reader(source, self._parse(writer.schema), wanted)
        except Exception as exc:  # as above
            message = f"the value does not fit its schema: {exc!r}"
            raise MalformedRecord(message, offset=min(source.tell(), len(value))) from exc
        if source.tell() != len(value):
            extra = len(value) - source.tell()
            raise MalformedRecord(f"{extra} bytes follow the record", offset=source.tell())
        if not isinstance(record, dict):
            raise MalformedRecord("the value is no record", offset=writer.header_bytes)
        return record

    def _parse(self, schema: Schema) -> Any:
        parsed = self._parsed.get(id(schema))
        if parsed is None:
            # A copy: fastavro writes into what it parses, and the contracts share theirs.
            parsed = self._parsed[id(schema)] = fastavro.parse_schema(copy.deepcopy(schema))
        return parsed


def _subject_of(schema: Schema) -> str | None:
    """Our subject with the same full name: a newer version that this release does not hold."""
    name = _full_name(schema)
    for subject in schemas.subjects():
        if name == _full_name(schemas.avro_schema(subject, schemas.latest(subject))):
            return subject
    return None


def _full_name(schema: Schema) -> str:
    return f"{schema.get('namespace', '')}.{schema.get('name', '')}"
