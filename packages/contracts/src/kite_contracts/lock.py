"""``contract.lock``: the SHA-256 of every released schema file.

The lock has the form of ``sha256sum``, so ``sha256sum --check contract.lock`` agrees with it. A
released file never changes: who needs a change writes the next version. (The Avro fingerprint
cannot notice every edit: the canonical form that it is made of drops units, scales and defaults.)
"""

from __future__ import annotations

import hashlib
import os
import re
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from kite_contracts.errors import SchemaError
from kite_contracts.store import Contract, SchemaStore

LOCK_NAME: Final = "contract.lock"
_LINE: Final = re.compile(
    r"(?P<sha>[0-9a-f]{64})  (?P<name>[a-z][a-z0-9_]*\.v[1-9][0-9]*\.[a-z.]+)"
)


def read_lock(directory: Traversable) -> dict[str, str]:
    """File name to SHA-256 in hex; empty if there is no lock yet. Raises SchemaError."""
    source = directory / LOCK_NAME
    if not source.is_file():
        return {}
    locked: dict[str, str] = {}
    for number, line in enumerate(source.read_text("utf-8").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or match["name"] in locked:
            raise SchemaError(f"{LOCK_NAME} line {number} must be a SHA-256 and a new file name.")
        locked[match["name"]] = match["sha"]
    return locked


def is_released(contract: Contract, locked: dict[str, str]) -> bool:
    """Whether the lock holds both files of ``contract``, with whatever content."""
    return all(name in locked for name in contract.files)


def edited_files(store: SchemaStore, locked: dict[str, str]) -> list[str]:
    """Released files that are not what was released, or are gone: a sentence each."""
    present = {name: content for one in store for name, content in one.files.items()}
    found = []
    for name, sha in locked.items():
        if name not in present:
            found.append(f"{name} was released and is gone")
        elif hashlib.sha256(present[name]).hexdigest() != sha:
            found.append(f"{name} was released and has been edited; write the next version instead")
    return found


def unlocked_contracts(store: SchemaStore, locked: dict[str, str]) -> list[Contract]:
    """The versions that the lock does not hold yet."""
    return [one for one in store if not is_released(one, locked)]


def lock_contract(directory: Path, contract: Contract) -> None:
    """Add ``contract`` to the lock in ``directory``, in one step.

    Raises SchemaError if the lock holds another content for one of its files, or cannot be written.
    """
    locked = read_lock(directory)
    for name, content in contract.files.items():
        sha = hashlib.sha256(content).hexdigest()
        if locked.setdefault(name, sha) != sha:
            raise SchemaError(
                f"{name} was released with another content; write the next version instead."
            )
    lines = [f"{sha}  {name}\n" for name, sha in sorted(locked.items())]
    draft = directory / f".{LOCK_NAME}.{os.getpid()}"
    try:
        draft.write_text("".join(lines), "utf-8")
        draft.replace(directory / LOCK_NAME)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise SchemaError(f"{directory / LOCK_NAME} cannot be written: {exc.strerror}.") from exc
