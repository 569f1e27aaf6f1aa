"""A directory of schema files, read once: every version of every subject.

Files are ``<subject>.v<N>.avsc`` and ``<subject>.v<N>.schema.json``. The directory is the packaged
one (also inside a wheel or a PEX) or any other, such as a checkout with a draft in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import fastavro
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form

from kite_contracts.errors import SchemaError, UnknownContractError

AVRO_SUFFIX: Final = ".avsc"
JSON_SUFFIX: Final = ".schema.json"
SINGLE_OBJECT_MARKER: Final = b"\xc3\x01"
_FILE_NAME: Final = re.compile(
    r"(?P<subject>[a-z][a-z0-9_]*)\.v(?P<version>[1-9][0-9]*)(?P<suffix>.+)"
)

Schema = dict[str, Any]


@dataclass(frozen=True)
class Contract:
    """One version of one subject. ``fingerprint`` is CRC-64-AVRO of the canonical form."""

    subject: str
    version: int
    avro: Schema = field(repr=False)
    json: Schema = field(repr=False)
    avro_bytes: bytes = field(repr=False)
    json_bytes: bytes = field(repr=False)
    fingerprint: int

    @property
    def name(self) -> str:
        """Short name, such as ``tick.v1``."""
        return f"{self.subject}.v{self.version}"

    @property
    def single_object_prefix(self) -> bytes:
        """The ten bytes before the Avro body: marker, then the fingerprint, little-endian."""
        return SINGLE_OBJECT_MARKER + self.fingerprint.to_bytes(8, "little")

    @property
    def files(self) -> dict[str, bytes]:
        """Name and content of the two files that a release freezes."""
        return {
            self.name + AVRO_SUFFIX: self.avro_bytes,
            self.name + JSON_SUFFIX: self.json_bytes,
        }


class SchemaStore:
    """All contracts in ``directory``. Raises SchemaError if a file is malformed or has no twin."""

    def __init__(self, directory: Traversable) -> None:
        self.directory = directory
        self._contracts: dict[str, dict[int, Contract]] = {}
        for subject, version in sorted(_versions_in(directory)):
            self._contracts.setdefault(subject, {})[version] = _load(directory, subject, version)

    def subjects(self) -> list[str]:
        """Names of all subjects, sorted."""
        return list(self._contracts)

    def versions(self, subject: str) -> list[int]:
        """Versions of ``subject``, ascending. Raises UnknownContractError."""
        try:
            return list(self._contracts[subject])
        except KeyError:
            known = ", ".join(self._contracts) or "none"
            raise UnknownContractError(
                f"There is no subject {subject!r}; the subjects are: {known}."
            ) from None

    def contract(self, subject: str, version: int) -> Contract:
        """One version of ``subject``. Raises UnknownContractError."""
        known = self.versions(subject)
        if version not in known:
            names = ", ".join(f"v{number}" for number in known)
            raise UnknownContractError(
                f"There is no version {version} of {subject}; the versions are: {names}."
            )
        return self._contracts[subject][version]

    def __iter__(self) -> Iterator[Contract]:
        for versions in self._contracts.values():
            yield from versions.values()


@cache
def packaged() -> SchemaStore:
    """The schemas that this version of the package ships."""
    return SchemaStore(files("kite_contracts") / "schemas")


def _versions_in(directory: Traversable) -> set[tuple[str, int]]:
    if not directory.is_dir():
        raise SchemaError(f"There is no schema directory {directory}.")
    found: dict[str, set[tuple[str, int]]] = {AVRO_SUFFIX: set(), JSON_SUFFIX: set()}
    for entry in directory.iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match is not None and match["suffix"] in found:
            found[match["suffix"]].add((match["subject"], int(match["version"])))
    for subject, version in sorted(found[AVRO_SUFFIX] ^ found[JSON_SUFFIX]):
        raise SchemaError(
            f"{subject}.v{version} needs both {AVRO_SUFFIX} and {JSON_SUFFIX}, and has one of them."
        )
    return found[AVRO_SUFFIX]


def _load(directory: Traversable, subject: str, version: int) -> Contract:
    name = f"{subject}.v{version}"
    avro_bytes = (directory / (name + AVRO_SUFFIX)).read_bytes()
    json_bytes = (directory / (name + JSON_SUFFIX)).read_bytes()
    avro = _parse(name + AVRO_SUFFIX, avro_bytes)
    try:
        fastavro.parse_schema(avro)
        canonical = to_parsing_canonical_form(avro)
    except (SchemaParseException, KeyError, TypeError, ValueError) as exc:
        raise SchemaError(f"{name}{AVRO_SUFFIX} is no Avro schema: {exc}.") from exc
    # fastavro prints the checksum's bytes in little-endian order, as the framing wants them.
    crc = int.from_bytes(bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO")), "little")
    schema = _parse(name + JSON_SUFFIX, json_bytes)
    return Contract(subject, version, avro, schema, avro_bytes, json_bytes, crc)


def _parse(name: str, content: bytes) -> Schema:
    try:
        schema = json.loads(content)
    except ValueError as exc:
        raise SchemaError(f"{name} is no JSON: {exc}.") from exc
    if not isinstance(schema, dict):
        raise SchemaError(f"{name} must hold a JSON object.")
    return schema
