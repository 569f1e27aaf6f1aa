"""Letters that attack who looks at them: no terminal obeys them, and none hides the others.

The commands run as processes on a pseudo-terminal, as a person's do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from mixed_letters import Mixed, produce
from stage import Stage, open_stage

from kite_contracts.reasons import ReasonCode
from kite_dlq_triage import cli
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.testing import import_path
from kite_runtime.testing.terminal import ATTACKS, Shown, attack_in, on_terminal

DEPTHS: Final = (253, 600, 1_000)
PLAIN: Final = Mixed("plain", b'{"a":1}', [], ReasonCode.UNCLASSIFIED, b"plain")


def hostile_letters() -> Iterator[Mixed]:
    """All attacks at each place that is shown, in the headers of each dialect."""
    raw = "".join(ATTACKS).encode()
    own = ("message", "contract", "origin_topic", "unit")
    yield _letter(raw, [("dlq.reason", b"SEMANTIC_RANGE"), *_all("dlq.", own, raw)])
    yield _letter(raw, _all("__connect.errors.", CONNECT, raw))
    yield _letter(raw, _all("kafka_dlt-", SPRING, raw))
    yield _letter(raw, [(raw.decode(), raw)])


CONNECT: Final = (
    *("topic", "connector.name", "task.id", "stage", "class.name"),
    *("exception.class.name", "exception.message", "exception.stacktrace"),
)
SPRING: Final = (
    *("original-topic", "original-consumer-group"),
    *("exception-fqcn", "exception-message", "exception-stacktrace"),
)


def _all(prefix: str, names: tuple[str, ...], raw: bytes) -> list[tuple[str, bytes | None]]:
    return [(prefix + name, raw) for name in names]


def nested_letters() -> Iterator[Mixed]:
    for depth in DEPTHS:
        yield _letter(b"[" * depth + b"]" * depth, [])
        yield _letter(b'{"a":' * depth + b"1" + b"}" * depth, [])
    yield _letter(b"[" * 100_000, [])


def _letter(value: bytes, headers: list[tuple[str, bytes | None]]) -> Mixed:
    return Mixed("hostile", value, headers, ReasonCode.UNCLASSIFIED, value[:40])


class Person:
    """At a terminal."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        self._environ = environ

    def runs(self, *words: str) -> Shown:
        """A command to its end."""
        command = [sys.executable, "-m", cli.__name__, *words]
        return on_terminal(command, self._folder, self._environ)


@pytest.fixture()
def stage(kafka_bootstrap: str) -> Iterator[Stage]:
    with open_stage(KafkaSettings(bootstrap=kafka_bootstrap)) as opened:
        yield opened


@pytest.fixture()
def person(tmp_path: Path, migrated_dsn: str, kafka_bootstrap: str) -> Person:
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("KAFKA_", "POSTGRES_", "SCHEMA_"))
    }
    own = {"POSTGRES_DSN": migrated_dsn, "KAFKA_BOOTSTRAP": kafka_bootstrap}
    return Person(
        tmp_path,
        {
            **kept,
            "PYTHONPATH": import_path(),
            "HOME": str(tmp_path),
            "TERM": "xterm-256color",
            **own,
        },
    )


def is_safe(shown: Shown) -> bool:
    assert attack_in(shown.text) is None
    assert "Traceback" not in shown.text, shown.text[-2_000:]
    assert "defect" not in shown.text, shown.text[-2_000:]
    return True


def test_no_command_lets_a_letter_write_to_the_terminal(
    stage: Stage, person: Person, tmp_path: Path
) -> None:
    letters = [*hostile_letters(), PLAIN]
    produce(stage.settings.bootstrap, stage.dlq, letters)
    group = ("--group", stage.live)
    topic = ("--topic", stage.dlq)
    dumped = person.runs("dump", *topic, "--dump", "-")
    assert is_safe(dumped)
    assert dumped.code == 3
    for words in (
        ("dump", *topic, "--dump", "out.jsonl"),
        ("dump", *topic),
        ("consume", "--once", *topic, *group),
        ("groups",),
        ("groups", "--json"),
        ("redrive", *topic),
        ("redrive", *topic, "--json"),
    ):
        shown = person.runs(*words)
        assert is_safe(shown), words
        assert shown.code == 3, (words, shown.text[-500:])
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(lines) == len(letters)
    for number in range(1, len(letters)):
        assert is_safe(person.runs("show", str(number)))
        assert is_safe(person.runs("show", str(number), "--json"))


def test_nested_letters_hide_no_other_one(stage: Stage, person: Person, tmp_path: Path) -> None:
    letters = [*nested_letters(), PLAIN]
    produce(stage.settings.bootstrap, stage.dlq, letters)
    topic = ("--topic", stage.dlq)
    for words in (
        ("dump", *topic, "--dump", "out.jsonl"),
        ("consume", "--once", *topic, "--group", stage.live),
        ("groups",),
        ("redrive", *topic, "--json"),
        ("redrive", *topic, "--set", "/a=2"),
    ):
        shown = person.runs(*words)
        assert is_safe(shown), words
        assert shown.code == 3, (words, shown.text[-500:])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == len(letters)
    for number in range(1, len(letters) + 1, 3):
        shown = person.runs("show", str(number), "--json")
        assert is_safe(shown)
        assert shown.code == 0
        assert json.loads(shown.text)["record"]["offset"] >= 0
