"""The examples beside the schemas, against ``jsonschema``, ``jsonschema-rs`` and fastavro."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
from contract_records import copied_schemas

from kite_contracts import examples
from kite_contracts.errors import RecordError, SchemaError
from kite_contracts.examples import InvalidExample, Record, invalid_examples, valid_examples
from kite_contracts.shape import json_nodes
from kite_contracts.store import Contract, SchemaStore, packaged
from kite_contracts.validate import explain

STORE = packaged()
VALID = [
    pytest.param(one, record, id=f"{one.name}-{number}")
    for one in STORE
    for number, record in enumerate(valid_examples(STORE.directory, one), start=1)
]
INVALID = [
    pytest.param(one, example, id=f"{one.name}-{example.why.replace(' ', '-')}")
    for one in STORE
    for example in invalid_examples(STORE.directory, one)
]


@pytest.mark.parametrize(("contract", "record"), VALID)
def test_a_valid_example_is_accepted_and_comes_back(contract: Contract, record: Record) -> None:
    assert explain(contract.subject, contract.version, record) is None
    assert jsonschema_rs.is_valid(contract.json, record)
    back = examples.read_back(contract, record)
    assert examples.without_nulls(back) == examples.without_nulls(record)


@pytest.mark.parametrize(("contract", "example"), INVALID)
def test_an_invalid_example_is_rejected_where_it_says(
    contract: Contract, example: InvalidExample
) -> None:
    violation = explain(contract.subject, contract.version, example.record)
    assert violation is not None
    assert (violation.path, violation.keyword) == (example.path, example.keyword)
    assert violation.message
    assert not jsonschema_rs.is_valid(contract.json, example.record)


@pytest.mark.parametrize(("contract", "example"), INVALID)
def test_avro_writes_or_refuses_an_invalid_example_as_it_says(
    contract: Contract, example: InvalidExample
) -> None:
    if example.avro == "writes":
        examples.read_back(contract, example.record)
    else:
        with pytest.raises(RecordError):
            examples.read_back(contract, example.record)


@pytest.mark.parametrize("contract", list(STORE), ids=lambda one: str(one.name))
def test_the_examples_show_every_field_and_every_kind_of_rule(contract: Contract) -> None:
    nodes = json_nodes(contract.json)
    shown = {
        path
        for record in valid_examples(STORE.directory, contract)
        for path in _paths("", examples.without_nulls(record))
    }
    assert {path for path in nodes if not path.endswith("/*")} <= shown
    keywords = {one.keyword for one in invalid_examples(STORE.directory, contract)}
    used = {"enum"} if any(node.enum for node in nodes.values()) else set()
    used |= {"pattern"} if any(node.pattern for node in nodes.values()) else set()
    assert {"required", "type", "minimum"} | used <= keywords


def _paths(path: str, value: object) -> set[str]:
    if isinstance(value, dict):
        inner = [_paths(f"{path}/{key}", part) for key, part in value.items()]
        return {path}.union(*inner)
    if isinstance(value, list):
        return {path}.union(*[_paths(f"{path}/*", part) for part in value])
    return {path}


def test_the_checker_finds_examples_that_do_not_behave(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    valid, invalid = directory / "bar.v1.valid.jsonl", directory / "bar.v1.invalid.jsonl"
    good = json.loads(valid.read_text().splitlines()[0])
    valid.write_text(json.dumps({**good, "volume": -1}) + "\n")
    example = {"why": "nothing", "path": "/volume", "keyword": "minimum", "avro": "refuses"}
    invalid.write_text(json.dumps({**example, "record": good}) + "\n")
    store = SchemaStore(directory)
    found = examples.faults(directory, store.contract("bar", 1))
    assert [one.split(":")[0] for one in found] == [
        "valid example 1 breaks the JSON Schema",
        "invalid example 1 (nothing) gives None, not ('/volume', 'minimum')",
        "invalid example 1 (nothing)",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "holds no example"),
        ("{", "line 1 is no JSON"),
        ("[]", "line 1 must be a JSON object"),
        ('{"why": "x"}', "line 1 must hold"),
    ],
)
def test_a_malformed_example_file_is_named(tmp_path: Path, text: str, what: str) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "bar.v1.invalid.jsonl").write_text(text)
    with pytest.raises(SchemaError, match=what):
        invalid_examples(directory, STORE.contract("bar", 1))


def test_a_missing_example_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"bar\.v1\.valid\.jsonl cannot be read"):
        valid_examples(tmp_path, STORE.contract("bar", 1))
