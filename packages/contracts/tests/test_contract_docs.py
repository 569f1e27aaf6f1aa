"""docs/contracts.md and docs/reference/reasons.md say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from kite_contracts.cli import app
from kite_contracts.reasons import ReasonCode
from kite_contracts.schemas import single_object_prefix
from kite_contracts.topics import load_topics

REASONS = "reference/reasons.md"


def page(name: str = "contracts.md") -> str:
    for folder in Path(__file__).resolve().parents:
        if (folder / "docs" / name).is_file():
            return (folder / "docs" / name).read_text()
    raise AssertionError(f"docs/{name} is not there")


@pytest.mark.parametrize("code", ReasonCode)
def test_the_reason_table_is_that_of_the_code(code: ReasonCode) -> None:
    retryable = "yes" if code.retryable else "no"
    assert f"| `{code}` | {code.meaning} | {retryable} | {code.owner} |" in page(REASONS)


def test_the_reason_table_has_no_other_codes() -> None:
    assert len(re.findall(r"^\| `[A-Z_]+` \|", page(REASONS), re.MULTILINE)) == len(ReasonCode)


def test_the_prefix_of_ticks_is_right() -> None:
    assert f"\n    {single_object_prefix('tick', 1).hex(' ')}\n" in page()


def test_every_command_and_topic_is_on_the_page() -> None:
    text = page()
    for command in get_command(app).commands:  # type: ignore[attr-defined]
        assert f"./pants run packages/contracts -- {command}" in text
    for topic in load_topics():
        assert f"`{topic.name}`" in text
