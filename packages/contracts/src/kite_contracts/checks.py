"""Everything that must hold for a directory of contracts, as a list of findings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kite_contracts import examples, mapping, parity
from kite_contracts.bounds import compile_bounds
from kite_contracts.compatibility import transitive_breaks
from kite_contracts.errors import SchemaError
from kite_contracts.lock import edited_files, read_lock, unlocked_contracts
from kite_contracts.store import Contract, SchemaStore
from kite_contracts.validate import make_validator


class Check(StrEnum):
    """What was looked at."""

    SAME = "JSON Schema and Avro say the same"
    EXAMPLES = "examples behave as they say"
    MAPPING = "mapping notes cover every field"
    BOUNDS = "tick compiles to bounds"
    VERSIONS = "versions have no hole"
    FINGERPRINTS = "fingerprints are unique"
    COMPATIBLE = "versions are compatible (FULL_TRANSITIVE)"
    UNEDITED = "released files are unedited"
    RELEASED = "versions are released"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the contract or file that it is about."""

    check: Check
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"


def all_findings(store: SchemaStore) -> list[Finding]:
    """Every finding in ``store``; empty if all is well. Raises SchemaError for a malformed lock."""
    found: list[Finding] = []
    for contract in store:
        found += contract_findings(store, contract)
    for subject in store.subjects():
        found += subject_findings(store, subject)
    found += fingerprint_findings(store)
    locked = read_lock(store.directory)
    found += [
        Finding(Check.UNEDITED, text.partition(".")[0], text)
        for text in edited_files(store, locked)
    ]
    found += [
        Finding(
            Check.RELEASED,
            one.subject,
            f"{one.name} is not in contract.lock; release it: "
            f"lock {one.subject} v{one.version}",
        )
        for one in unlocked_contracts(store, locked)
    ]
    return found


def contract_findings(store: SchemaStore, contract: Contract) -> list[Finding]:
    """What is wrong with one version by itself."""
    found = []
    for check, look in (
        (Check.SAME, _same),
        (Check.EXAMPLES, _examples),
        (Check.MAPPING, _mapping),
        (Check.BOUNDS, _bounds),
    ):
        try:
            found += [Finding(check, contract.name, text) for text in look(store, contract)]
        except SchemaError as exc:
            found.append(Finding(check, contract.name, str(exc)))
    return found


def subject_findings(store: SchemaStore, subject: str) -> list[Finding]:
    """What is wrong between the versions of one subject."""
    versions = store.versions(subject)
    found = []
    if versions != list(range(1, len(versions) + 1)):
        message = f"has the versions {versions}; they must count from 1"
        found.append(Finding(Check.VERSIONS, subject, message))
    try:
        for old, new, one in transitive_breaks(store, subject):
            message = f"after v{old.version}, {one}"
            found.append(Finding(Check.COMPATIBLE, new.name, message))
    except SchemaError as exc:
        found.append(Finding(Check.COMPATIBLE, subject, str(exc)))
    return found


def _same(_store: SchemaStore, contract: Contract) -> list[str]:
    make_validator(contract.json)
    return parity.differences(contract)


def _examples(store: SchemaStore, contract: Contract) -> list[str]:
    return examples.faults(store.directory, contract)


def _mapping(store: SchemaStore, contract: Contract) -> list[str]:
    notes = mapping.load_mapping(store.directory, contract)
    if notes is not None:
        return mapping.faults(notes, contract)
    earlier = [store.contract(contract.subject, one) for one in store.versions(contract.subject)]
    if any(mapping.load_mapping(store.directory, one) is not None for one in earlier):
        return [f"{contract.name}.mapping.toml is missing, and other versions have theirs"]
    return []


def _bounds(_store: SchemaStore, contract: Contract) -> list[str]:
    # Only the version that the hot path speaks has the batch's columns; a later one with more
    # fields needs its own batch layout before the bridge can write it.
    if contract.name != "tick.v1":
        return []
    compile_bounds(contract.json, contract.name)
    return []


def fingerprint_findings(store: SchemaStore) -> list[Finding]:
    """Versions that a reader could not tell apart by the first bytes of a value."""
    found = []
    seen: dict[int, Contract] = {}
    for contract in store:
        other = seen.setdefault(contract.fingerprint, contract)
        if other is not contract:
            message = f"has the fingerprint of {other.name}: a reader cannot tell them apart"
            found.append(Finding(Check.FINGERPRINTS, contract.name, message))
    return found
