"""The table of reasons: the command, and what the page on dead letters promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
from mixed_letters import MAKERS, mixed_letters
from typer.main import get_command
from typer.testing import CliRunner

from kite_contracts.reasons import ReasonCode
from kite_dead_letters.classify import Classifier
from kite_dead_letters.json_lines import LineMaker
from kite_dead_letters.records import Dialect
from kite_dlq_triage.cli import PROGRAM
from kite_kafka_io.raw_reader import RawRecord
from kite_runtime.testing import import_path


def docs(name: str) -> str:
    for folder in Path(__file__).resolve().parents:
        if (folder / "docs" / name).is_file():
            return (folder / "docs" / name).read_text("utf-8")
    raise AssertionError(f"docs/{name} is not there")


def test_every_code_has_all_its_columns() -> None:
    found: list[dict[str, Any]] = orjson.loads(
        CliRunner().invoke(PROGRAM.app(), ["reasons", "--json"]).stdout
    )
    assert [each["code"] for each in found] == list(ReasonCode)
    for each in found:
        assert each["meaning"].endswith(".")
        assert each["action"].endswith(".")
        assert isinstance(each["retryable"], bool)
        assert each["owner"]


def test_the_table_names_every_code() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "kite_dlq_triage.cli", "reasons"],
        env={"PYTHONPATH": import_path(), "COLUMNS": "200"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    for code in ReasonCode:
        assert f" {code} ".encode() in shown.stdout


def test_the_page_on_dead_letters_names_every_field_option_and_dialect() -> None:
    text = docs("dead-letters.md")
    classifier = Classifier()
    letter = next(iter(mixed_letters(1, len(MAKERS))))
    raw = RawRecord("ticks.dlq", 0, 0, 1, letter.key, letter.value, letter.headers)
    for field in orjson.loads(LineMaker(classifier).line(classifier.classify(raw))):
        assert f"`{field}`" in text
    for dialect in Dialect:
        assert f"`{dialect}`" in text
    dump: Any = get_command(PROGRAM.app()).commands["dump"]  # type: ignore[attr-defined]
    passed_over = {"--bootstrap", "--root"}
    for option in {each.opts[0] for each in dump.params} - passed_over:
        assert f"`{option}" in text, option
