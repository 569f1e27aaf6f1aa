"""The lock: released files are what they were, and nothing is released without it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from contract_records import add_auction, copied_schemas, draft

from kite_contracts.errors import SchemaError
from kite_contracts.lock import (
    edited_files,
    is_released,
    lock_contract,
    read_lock,
    unlocked_contracts,
)
from kite_contracts.store import SchemaStore, packaged


def test_everything_that_is_packaged_is_released_and_unedited() -> None:
    store = packaged()
    locked = read_lock(store.directory)
    assert edited_files(store, locked) == []
    assert unlocked_contracts(store, locked) == []
    assert sorted(locked) == sorted(name for one in store for name in one.files)


@pytest.mark.parametrize("name", ["tick.v1.avsc", "tick.v1.schema.json"])
def test_an_edited_released_file_is_found_however_small_the_edit(tmp_path: Path, name: str) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / name
    path.write_text(path.read_text().replace("price_scale", "price_scale ", 1))
    store = SchemaStore(directory)
    found = edited_files(store, read_lock(directory))
    assert found == [f"{name} was released and has been edited; write the next version instead"]


def test_a_scale_edit_keeps_the_fingerprint_and_breaks_the_lock(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "tick.v1.avsc"
    path.write_text(path.read_text().replace('"scale": "price_scale"', '"scale": "4"'))
    store = SchemaStore(directory)
    # Why there is a lock at all: Avro's canonical form does not see this.
    assert store.contract("tick", 1).fingerprint == packaged().contract("tick", 1).fingerprint
    assert len(edited_files(store, read_lock(directory))) == 1


def test_a_released_file_that_is_gone_is_found(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "bar.v1.avsc").unlink()
    (directory / "bar.v1.schema.json").unlink()
    assert edited_files(SchemaStore(directory), read_lock(directory)) == [
        "bar.v1.avsc was released and is gone",
        "bar.v1.schema.json was released and is gone",
    ]


def test_a_draft_is_unlocked_until_it_is_released(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    store = draft(directory, "tick", add_auction)
    v2 = store.contract("tick", 2)
    assert unlocked_contracts(store, read_lock(directory)) == [v2]
    before = read_lock(directory)
    lock_contract(directory, v2)
    after = read_lock(directory)
    assert is_released(v2, after)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"tick.v2.avsc", "tick.v2.schema.json"}
    lock_contract(directory, v2)
    assert read_lock(directory) == after
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []


def test_half_a_release_is_none(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    lock = directory / "contract.lock"
    lines = [line for line in lock.read_text().splitlines() if not line.endswith("bar.v1.avsc")]
    lock.write_text("\n".join(lines) + "\n")
    found = unlocked_contracts(SchemaStore(directory), read_lock(directory))
    assert [one.name for one in found] == ["bar.v1"]


def test_an_edited_version_cannot_be_locked_again(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "bar.v1.avsc"
    path.write_text(path.read_text() + "\n")
    before = read_lock(directory)
    with pytest.raises(SchemaError, match=r"bar\.v1\.avsc was released with another content"):
        lock_contract(directory, SchemaStore(directory).contract("bar", 1))
    assert read_lock(directory) == before


def test_no_lock_is_an_empty_one(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "contract.lock").unlink()
    assert read_lock(directory) == {}
    assert len(unlocked_contracts(SchemaStore(directory), {})) == 4


@pytest.mark.parametrize(
    "line", ["nonsense", "00  tick.v1.avsc", "{0}  ../tick.v1.avsc", "{0} tick.v1.avsc", "{1}"]
)
def test_a_malformed_lock_is_named(tmp_path: Path, line: str) -> None:
    directory = copied_schemas(tmp_path)
    lock = directory / "contract.lock"
    first = lock.read_text().splitlines()[0]
    lock.write_text(first + "\n" + line.format("0" * 64, first) + "\n")
    with pytest.raises(SchemaError, match=r"contract\.lock line 2 must be"):
        read_lock(directory)


def test_a_lock_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    contract = draft(directory, "tick", add_auction).contract("tick", 2)
    shutil.rmtree(directory)
    with pytest.raises(SchemaError, match="cannot be written"):
        lock_contract(directory, contract)


def test_sha256sum_agrees_with_the_lock(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    program = shutil.which("sha256sum")
    if program is None:  # the same form is checked by the tests above
        return
    result = subprocess.run(
        [program, "--check", "--strict", "contract.lock"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
