"""The store of schemas: what is found, how it is identified, what it says about faulty files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import avro.schema
import fastavro
import pytest
from contract_records import FIRST_SUBJECTS, copied_schemas

import kite_contracts
from kite_contracts import schemas
from kite_contracts.errors import SchemaError, UnknownContractError
from kite_contracts.store import SchemaStore, packaged


def test_subjects_and_versions() -> None:
    assert set(FIRST_SUBJECTS) <= set(schemas.subjects())
    for subject in schemas.subjects():
        assert schemas.versions(subject)[0] == 1
        assert schemas.latest(subject) == schemas.versions(subject)[-1]
        assert schemas.avro_schema(subject, 1)["namespace"] == "kite.marketdata"
        assert schemas.json_schema(subject, 1)["$id"].endswith(f":{subject}:v1")


@pytest.mark.parametrize("subject", FIRST_SUBJECTS)
def test_the_fingerprint_is_that_of_the_apache_implementation(subject: str) -> None:
    apache = avro.schema.parse(packaged().contract(subject, 1).avro_bytes.decode())
    expected = apache.fingerprint("CRC-64-AVRO")
    prefix = schemas.single_object_prefix(subject, 1)
    assert prefix == b"\xc3\x01" + expected
    assert schemas.fingerprint(subject, 1) == int.from_bytes(prefix[2:], "little")


def test_the_fingerprint_of_the_first_release_of_tick() -> None:
    # Bytes in Kafka begin with it: if this number changes, no reader finds the schema any more.
    assert schemas.fingerprint("tick", 1) == 0x5385E5C8EED611E8


@pytest.mark.parametrize("subject", FIRST_SUBJECTS)
def test_a_value_is_recognised_by_its_first_ten_bytes(subject: str) -> None:
    prefix = schemas.single_object_prefix(subject, 1)
    assert schemas.by_fingerprint(prefix) == (subject, 1)
    assert schemas.by_fingerprint(prefix + b"body") == (subject, 1)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"\xc3\x01" + bytes(8), "unknown here"),
        (b"\x00\x00\x00\x00\x01", "no Avro"),
        (b"", "no Avro"),
    ],
)
def test_an_unknown_prefix_is_named(value: bytes, what: str) -> None:
    with pytest.raises(UnknownContractError, match=what):
        schemas.by_fingerprint(value)


@pytest.mark.parametrize("subject", FIRST_SUBJECTS)
def test_schemas_are_handed_out_as_they_are_in_the_files(subject: str) -> None:
    contract = packaged().contract(subject, 1)
    assert schemas.avro_schema(subject, 1) == json.loads(contract.avro_bytes)
    assert schemas.json_schema(subject, 1) == json.loads(contract.json_bytes)


def test_an_unknown_subject_or_version_names_those_that_exist() -> None:
    with pytest.raises(UnknownContractError, match="the subjects are: .*tick"):
        schemas.latest("ticks")
    with pytest.raises(UnknownContractError, match="v1"):
        schemas.json_schema("tick", 9)


def test_a_file_without_its_twin_is_an_error(tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "bar.v1.avsc").unlink()
    with pytest.raises(SchemaError, match=r"bar\.v1 needs both"):
        SchemaStore(directory)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("bar.v1.avsc", "{", "no JSON"),
        ("bar.v1.avsc", "[]", "JSON object"),
        ("bar.v1.avsc", '{"type": "record"}', "no Avro schema"),
        ("bar.v1.schema.json", "nonsense", "no JSON"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, name: str, text: str, what: str) -> None:
    directory = copied_schemas(tmp_path)
    (directory / name).write_text(text)
    with pytest.raises(SchemaError, match=what) as caught:
        SchemaStore(directory)
    assert name in str(caught.value)


def test_the_schemas_are_found_inside_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "contracts.zip"
    source = Path(kite_contracts.__file__).parent
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                target.write(path, Path("kite_contracts") / path.relative_to(source))
    libraries = [one for one in sys.path if one and Path(one) != source.parent]
    # Without compilation: a compiled function's cache needs a source file, which a PEX unpacks.
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(archive), *map(os.path.abspath, libraries)]),
        "NUMBA_DISABLE_JIT": "1",
    }
    result = subprocess.run(
        [sys.executable, "-m", "kite_contracts.cli", "check"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 findings." in result.stdout


def test_single_object_bytes_are_what_a_plain_avro_reader_wants() -> None:
    record = {
        "instrument_token": 408065,
        "mode": "ltp",
        "ts_recv_ns": 1,
        "feed_session": 2,
        "feed_seq": 3,
        "price_scale": 2,
        "last_price": 145_995,
    }
    stream = io.BytesIO()
    fastavro.schemaless_writer(
        stream, fastavro.parse_schema(schemas.avro_schema("tick", 1)), record
    )
    value = schemas.single_object_prefix("tick", 1) + stream.getvalue()
    subject, version = schemas.by_fingerprint(value)
    read = fastavro.schemaless_reader(
        io.BytesIO(value[10:]), fastavro.parse_schema(schemas.avro_schema(subject, version)), None
    )
    assert isinstance(read, dict)
    assert read["last_price"] == 145_995
    assert read["depth"] is None
