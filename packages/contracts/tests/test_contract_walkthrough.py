"""The steps of docs/contracts.md that release a v2 of the tick, done with the page's own snippets:
from the new field to both readers."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import fastavro
import pytest
from contract_records import copied_schemas
from test_contract_docs import page

from kite_contracts.cli import main

STEPS = ("## Releasing tick v2, step by step", "\n## Tables and migrations")
AUCTION = {"indicative_price": 145_990, "quantity": 1_200}

Call = Callable[..., tuple[int, str]]


@pytest.fixture()
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """The commands of the page, on schemas of the test's own: exit code, and what is printed."""
    directory = copied_schemas(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*words, "--schemas", str(directory)])
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int | None)
        return caught.value.code or 0, captured.out + captured.err

    return run


def steps() -> str:
    text = page()
    return text[text.index(STEPS[0]) : text.index(STEPS[1])]


def snippet(begin: str) -> str:
    """The indented block of the page that begins so."""
    blocks = re.findall(r"(?:^ {4}.*\n)+", steps(), re.MULTILINE)
    [found] = [dedent(block).strip() for block in blocks if block.strip().startswith(begin)]
    return found


def read(data: bytes, writer: Any, reader: Any) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(data), writer, reader)


def test_the_steps_of_the_page(call: Call, tmp_path: Path) -> None:
    folder = next(tmp_path.rglob("tick.v1.avsc")).parent
    # 1. Copy the newest version.
    for form in ("avsc", "schema.json", "valid.jsonl", "invalid.jsonl", "mapping.toml"):
        (folder / f"tick.v2.{form}").write_bytes((folder / f"tick.v1.{form}").read_bytes())
    assert "for f in avsc schema.json valid.jsonl invalid.jsonl mapping.toml" in steps()
    code, said = call("check")
    assert code == 1
    assert "tick.v2 is not in contract.lock" in said

    # 2. Edit v2.
    avro = json.loads((folder / "tick.v2.avsc").read_text())
    avro["fields"].append(json.loads(snippet('{\n      "name": "auction"')))
    (folder / "tick.v2.avsc").write_text(json.dumps(avro))
    schema = json.loads((folder / "tick.v2.schema.json").read_text())
    schema["$id"] = schema["$id"].replace("v1", "v2")
    schema["properties"] |= json.loads("{" + snippet('"auction": {') + "}")
    (folder / "tick.v2.schema.json").write_text(json.dumps(schema))
    code, said = call("diff", "tick", "v1", "v2")
    assert code == 0, said
    promised = "Compatible both ways: tick.v2 may follow tick.v1."
    assert promised in steps()
    assert promised in said

    # 3. Add examples and the source of each field.
    valid = (folder / "tick.v2.valid.jsonl").read_text()
    tick = json.loads(valid.splitlines()[0])
    (folder / "tick.v2.valid.jsonl").write_text(
        f"{valid}{json.dumps({**tick, 'auction': AUCTION})}\n"
    )
    note = snippet("[[field]]")
    notes = (folder / "tick.v2.mapping.toml").read_text()
    added = f"{note}\n\n{note.replace('indicative_price', 'quantity')}\n\n"
    assert "before the `[[unmapped]]` ones" in steps()
    at = notes.index("[[unmapped]]")
    (folder / "tick.v2.mapping.toml").write_text(notes[:at] + added + notes[at:])

    # 4. Check, then release.
    code, said = call("check")
    assert code == 1
    assert re.findall(r"^FAILED (.*)", said, re.MULTILINE) == ["versions are released"], said
    code, said = call("lock", "tick", "v2")
    assert code == 0, said
    assert "Released tick.v2: its hashes are in" in said
    assert call("check")[0] == 0
    edited = folder / "tick.v1.avsc"
    edited.write_text(edited.read_text().replace("One decoded update", "An update"))
    assert (
        "tick.v1.avsc was released and has been edited; write the next version" in call("check")[1]
    )


def test_both_readers_read_both_versions(tmp_path: Path) -> None:
    """With the writer's schema an old reader passes over the group, and a new one has none in what
    is old."""
    folder = copied_schemas(tmp_path)
    v1 = json.loads((folder / "tick.v1.avsc").read_text())
    v2 = {**v1, "fields": [*v1["fields"], json.loads(snippet('{\n      "name": "auction"'))]}
    old, new = fastavro.parse_schema(v1), fastavro.parse_schema(v2)
    tick = json.loads((folder / "tick.v1.valid.jsonl").read_text().splitlines()[0])

    def written(record: dict[str, Any], by: Any) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, by, record)
        return out.getvalue()

    plain = read(written(tick, old), old, old)
    assert read(written({**tick, "auction": AUCTION}, new), new, old) == plain
    assert read(written(tick, old), old, new) == {**plain, "auction": None}
    assert read(written({**tick, "auction": AUCTION}, new), new, new)["auction"] == AUCTION
