"""The sum of all checks: silent when all is well, and each check has something to say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contract_records import (
    Schema,
    add_auction,
    avro_field,
    copied_schemas,
    draft,
    extend_for_auction,
)

from kite_contracts.checks import Check, all_findings
from kite_contracts.errors import SchemaError
from kite_contracts.lock import lock_contract
from kite_contracts.mapping import PACKET_KINDS, faults, load_mapping
from kite_contracts.store import SchemaStore, packaged

TICK = packaged().contract("tick", 1)


def checks_of(store: SchemaStore) -> set[Check]:
    return {one.check for one in all_findings(store)}


def test_the_packaged_contracts_are_well() -> None:
    assert all_findings(packaged()) == []


def test_a_compatible_draft_lacks_only_its_release(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    store = draft(directory, "tick", add_auction)
    extend_for_auction(directory)
    (finding,) = all_findings(store)
    assert finding.check is Check.RELEASED
    assert str(finding) == "tick: tick.v2 is not in contract.lock; release it: lock tick v2"
    lock_contract(directory, store.contract("tick", 2))
    assert all_findings(SchemaStore(directory)) == []


def test_an_incompatible_draft_is_found_even_when_it_was_locked(tmp_path: Path) -> None:
    def other_unit(avro: Schema, schema: Schema) -> None:
        avro_field(avro, "ts_recv_ns")["unit"] = "us"
        schema["properties"]["ts_recv_ns"]["unit"] = "us"

    directory = copied_schemas(tmp_path)
    store = draft(directory, "tick", other_unit)
    lock_contract(directory, store.contract("tick", 2))
    # The unit is not in Avro's canonical form, so readers could not tell the versions apart either.
    assert checks_of(SchemaStore(directory)) == {Check.COMPATIBLE, Check.FINGERPRINTS}


def test_an_edited_release_is_found(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "bar.v1.avsc"
    path.write_text(path.read_text() + " ")
    assert checks_of(SchemaStore(directory)) == {Check.UNEDITED}


def test_a_hole_in_the_versions_is_found(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    for path in list(directory.glob("bar.v1.*")):
        path.rename(directory / path.name.replace("v1", "v2"))
    found = checks_of(SchemaStore(directory))
    assert Check.VERSIONS in found
    assert Check.UNEDITED in found


def test_schemas_that_differ_and_examples_that_do_not_behave_are_found(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "bar.v1.schema.json"
    path.write_text(path.read_text().replace('"is_final"', '"final"'))
    found = checks_of(SchemaStore(directory))
    assert {Check.SAME, Check.EXAMPLES, Check.MAPPING} <= found


def test_a_tick_that_bounds_cannot_hold_is_found(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "tick.v1.schema.json"
    schema = json.loads(path.read_text())
    schema["properties"]["last_price"]["multipleOf"] = 5
    path.write_text(json.dumps(schema))
    assert Check.BOUNDS in checks_of(SchemaStore(directory))


def test_a_json_schema_that_is_none_is_found(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "bar.v1.schema.json"
    schema = json.loads(path.read_text())
    schema["properties"]["volume"]["minimum"] = "0"
    path.write_text(json.dumps(schema))
    found = [one for one in all_findings(SchemaStore(directory)) if one.check is Check.SAME]
    assert "is invalid" in str(found[0])


def test_the_mapping_notes_cover_every_tick_field() -> None:
    notes = load_mapping(packaged().directory, TICK)
    assert notes is not None
    assert faults(notes, TICK) == []
    on_the_wire = [one for one in notes.fields if one.offset]
    assert len(on_the_wire) == 23
    # Each packet kind is filled by the notes alone, without two fields at one place.
    for kind in PACKET_KINDS:
        offsets = [one.offset[kind] for one in on_the_wire if kind in one.offset]
        assert len(set(offsets)) == len(offsets)
    assert [one.client for one in notes.unmapped] == ["change", "tradable", "depth padding"]


def test_the_mapping_notes_of_bars_cover_every_field() -> None:
    bar = packaged().contract("bar", 1)
    notes = load_mapping(packaged().directory, bar)
    assert notes is not None
    assert faults(notes, bar) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('path = "/volume"', 'path = "/turnover"', "/volume has no mapping note"),
        ('path = "/volume"', 'path = "/turnover"', "/turnover is mapped, but is no field"),
        ("[[field]]\npath = \"/open\"", "[[field]]\npath = \"/open\"\noffset = { tape = 1 }",
         "/open names the packet kind 'tape', which Kite does not have"),
    ],
)  # fmt: skip
def test_notes_that_do_not_fit_are_found(tmp_path: Path, old: str, new: str, what: str) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "bar.v1.mapping.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    store = SchemaStore(directory)
    assert what in [one.message for one in all_findings(store)]


@pytest.mark.parametrize(
    ("text", "what"),
    [("x", "malformed"), ("x = 1", r"\[\[field\]\]"), ("[[field]]\nz = 1", "malformed")],
)
def test_malformed_notes_are_named(tmp_path: Path, text: str, what: str) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "bar.v1.mapping.toml").write_text(text)
    with pytest.raises(SchemaError, match=what):
        load_mapping(directory, packaged().contract("bar", 1))


def test_a_new_version_needs_notes_where_the_old_one_had_them(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    store = draft(directory, "tick", add_auction)
    (directory / "tick.v2.mapping.toml").unlink()
    found = [one.message for one in all_findings(store) if one.check is Check.MAPPING]
    assert found == ["tick.v2.mapping.toml is missing, and other versions have theirs"]
