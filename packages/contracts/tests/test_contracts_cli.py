"""The command line: what it prints, its exit codes, one sentence for each mistake."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from contract_records import (
    Schema,
    add_auction,
    avro_field,
    copied_schemas,
    draft,
    extend_for_auction,
)

from kite_contracts.cli import app, main
from kite_contracts.lock import read_lock
from kite_contracts.reasons import ReasonCode
from kite_contracts.store import packaged

COMMANDS = ["check", "list", "show", "diff", "lock"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture()
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        code = caught.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


def unit_break(avro: Schema, schema: Schema) -> None:
    avro_field(avro, "ts_recv_ns")["unit"] = "us"
    schema["properties"]["ts_recv_ns"]["unit"] = "us"


def test_check_says_what_it_looked_at(run: Run) -> None:
    outcome = run("check")
    assert outcome.code == 0
    assert outcome.out.count("ok     ") == 9
    assert re.search(r"\d+ contracts \(bar\.v1, .*tick\.v1.*\), 0 findings\.", outcome.out)


def test_check_fails_on_a_finding(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "bar.v1.avsc").write_text((directory / "bar.v1.avsc").read_text() + "\n")
    outcome = run("check", "--schemas", directory)
    assert outcome.code == 1
    assert "FAILED released files are unedited" in outcome.out
    assert "bar.v1.avsc was released and has been edited" in outcome.out


def test_list_shows_contracts_and_topics_with_overrides(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".infra").mkdir()
    (tmp_path / ".infra/.env").write_text("TOPIC_TICKS_RETENTION_MS=90000\n")
    outcome = run("list")
    assert outcome.code == 0
    rows = {line.split("│")[1].strip(): line for line in outcome.out.splitlines() if "│" in line}
    assert "released" in rows["tick.v1"]
    assert packaged().contract("tick", 1).single_object_prefix.hex() in rows["tick.v1"]
    assert "90000 ms" in rows["ticks"]
    assert "30 days" in rows["ticks.dlq"]
    for code in ReasonCode:
        assert code.owner in rows[code.value]
        assert code.meaning in rows[code.value]


def test_a_wrong_setting_is_exit_code_78(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TOPIC_TICKS_RETENTION_MS=soon\n")
    outcome = run("list")
    assert outcome.code == 78
    assert outcome.err.startswith("kite-contracts: TOPIC_TICKS_RETENTION_MS must be milliseconds")


def test_show_prints_fields_and_schema(run: Run) -> None:
    outcome = run("show", "tick", "v1")
    assert outcome.code == 0
    for expected in ("tick.v1 (released)", "/depth/bids/*/orders", "10^-price_scale", '"TickMode"'):
        assert expected in outcome.out


@pytest.mark.parametrize(("flag", "suffix"), [("--avro", ".avsc"), ("--json", ".schema.json")])
def test_show_prints_one_file_as_it_is(run: Run, flag: str, suffix: str) -> None:
    outcome = run("show", "bar", "v1", flag)
    assert outcome.code == 0
    assert outcome.out.encode() == packaged().contract("bar", 1).files["bar.v1" + suffix]
    json.loads(outcome.out)


def test_diff_of_a_compatible_version(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    draft(directory, "tick", add_auction)
    outcome = run("diff", "tick", "v1", "v2", "--schemas", directory)
    assert outcome.code == 0
    assert "/auction/indicative_price" in outcome.out
    assert "/last_price" not in outcome.out
    assert "Compatible both ways: tick.v2 may follow tick.v1." in outcome.out


def test_diff_of_an_incompatible_version(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    draft(directory, "tick", unit_break)
    outcome = run("diff", "tick", "1", "2", "--schemas", directory)
    assert outcome.code == 3
    assert "unit='ns' became" not in outcome.out.splitlines()[0]
    assert "changed unit, scale or logical type" in outcome.out
    assert "Not compatible: 1 break" in outcome.out


def test_lock_releases_a_version(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    draft(directory, "tick", add_auction)
    extend_for_auction(directory)
    assert run("check", "--schemas", directory).code == 1
    outcome = run("lock", "tick", "v2", "--schemas", directory)
    assert outcome.code == 0
    assert "Released tick.v2" in outcome.out
    sha = hashlib.sha256((directory / "tick.v2.avsc").read_bytes()).hexdigest()
    assert read_lock(directory)["tick.v2.avsc"] == sha
    assert run("check", "--schemas", directory).code == 0
    again = run("lock", "tick", "v2", "--schemas", directory)
    assert (again.code, again.out) == (0, "tick.v2 is released already; nothing to do.\n")


def test_lock_refuses_what_is_not_fit(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    draft(directory, "tick", unit_break)
    before = read_lock(directory)
    outcome = run("lock", "tick", "v2", "--schemas", directory)
    assert outcome.code == 1
    assert "unit 'ns' became 'us'" in outcome.out
    assert outcome.err == (
        "kite-contracts: tick.v2 is not fit for release; correct what is listed.\n"
    )
    assert read_lock(directory) == before


def test_lock_refuses_what_a_reader_cannot_tell_apart(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    draft(directory, "bar", lambda avro, schema: None)
    outcome = run("lock", "bar", "v2", "--schemas", directory)
    assert outcome.code == 1
    assert "bar.v2: has the fingerprint of bar.v1" in outcome.out


def test_text_is_printed_as_it_is(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    path = directory / "bar.v1.schema.json"
    path.write_text(path.read_text().replace(":bar:v1", ":bar:v9"))
    outcome = run("check", "--schemas", directory)
    # Neither :kite: as an emoji nor [..] as markup.
    assert "must be urn:kite:marketdata:bar:v1" in outcome.out


def test_lock_refuses_an_edited_release(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "bar.v1.avsc").write_text((directory / "bar.v1.avsc").read_text() + "\n")
    outcome = run("lock", "bar", "v1", "--schemas", directory)
    assert outcome.code == 1
    assert "was released with another content" in outcome.err


def test_lock_finds_the_checkout_from_a_folder_within(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "packages/contracts/src/kite_contracts"
    place.mkdir(parents=True)
    copied_schemas(place)
    (place / "schemas/contract.lock").unlink()
    assert run("lock", "bar", "v1").code == 0
    assert sorted(read_lock(place / "schemas")) == ["bar.v1.avsc", "bar.v1.schema.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "show ticks",
            "There is no subject 'ticks'; the subjects are: bar, ",
        ),
        ("show tick v9", "There is no version 9 of tick; the versions are: v1"),
        ("show tick latest", "'latest' is no version; write v1 or 1."),
        ("show tick --avro --json", "Use --avro or --json, not both."),
        ("diff tick v1 v9", "There is no version 9 of tick; the versions are: v1"),
        ("diff tick v1 v1", "v1 and v1 are the same version; name two."),
        ("diff quote v1 v2", "There is no subject 'quote'"),
        ("check --schemas nowhere", "There is no directory nowhere; name one with --schemas DIR."),
        ("lock tick v1", "There is no packages/contracts/src/kite_contracts/schemas here"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(run: Run, words: str, message: str) -> None:
    outcome = run(*words.split())
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"kite-contracts: {message}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("words", ["frobnicate", "show", "show tick --bogus", "diff tick v1"])
def test_a_wrong_command_line_is_exit_code_2(run: Run, words: str) -> None:
    outcome = run(*words.split())
    assert outcome.code == 2
    assert "kite-contracts: " in outcome.err
    assert "Traceback" not in outcome.err


def test_a_malformed_schema_is_one_sentence_unless_debug(run: Run, tmp_path: Path) -> None:
    directory = copied_schemas(tmp_path)
    (directory / "bar.v1.avsc").write_text("{")
    outcome = run("check", "--schemas", directory)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "bar.v1.avsc is no JSON" in outcome.err
    assert "Traceback" in run("--debug", "check", "--schemas", directory).err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_flag_has_help(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    group = typer.main.get_command(app)
    assert sorted(group.commands) == sorted(COMMANDS)  # type: ignore[attr-defined]
    for parameter in group.commands[command].params:  # type: ignore[attr-defined]
        assert parameter.help, f"{command} {parameter.name}"
    assert re.search(r"Usage: kite-contracts " + command, outcome.out)
