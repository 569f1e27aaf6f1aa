"""What comes from outside is shown as text: no terminal obeys it, and no log line is endless."""

from __future__ import annotations

import fcntl
import io
import json
import os
import subprocess
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from kite_runtime import console
from kite_runtime.console import clean, clean_json, write_line
from kite_runtime.logs import configure_logs, lines_dropped
from kite_runtime.testing.terminal import ATTACKS, attack_in


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    left = clean(text)
    assert all(
        char in "\t\n" or not (ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0) for char in left
    )
    assert clean(left) == left


@pytest.mark.parametrize("text", ["plain", "₹ 1,234.50", "नमस्ते", "tab\tand\nline", "👍🏽"])
def test_what_is_harmless_stays(text: str) -> None:
    assert clean(text) == text


@given(st.text())
def test_cleaned_json_is_the_same_value(text: str) -> None:
    shown = clean_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(shown) == [text]
    assert attack_in(shown) is None


@pytest.mark.parametrize("hostile", ATTACKS)
def test_an_attack_is_seen_by_the_tests_and_cleaned(hostile: str) -> None:
    assert attack_in(hostile) is not None
    assert attack_in(clean(hostile)) is None
    assert attack_in("\x1b[1;31mred\x1b[0m \x1b[?25l\x1b[2K\x1b[1A plain\r\n") is None


@pytest.mark.parametrize("hostile", ATTACKS)
def test_tables_lines_and_errors_show_hostile_text_as_text(
    hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, problems = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", page)
    monkeypatch.setattr(sys, "stderr", problems)
    monkeypatch.delattr(console, "stdout", raising=False)
    table = Table(f"head{hostile}", title=f"title{hostile}")
    table.add_row(f"cell{hostile}")
    console.stdout.print(table)
    console.stdout.print(f"line{hostile}", markup=False)
    console.complain("program", f"bad file {hostile}", 2)
    shown = page.getvalue() + problems.getvalue()
    for place in ("head", "title", "cell", "line", "bad file"):
        assert place in shown
    assert not [
        char for char in hostile if clean(char) != char and char != "\x1b" and char in shown
    ]
    assert not [text for text in ("]52;", "[2J", "]8;;", "]0;") if f"\x1b{text}" in shown]


@pytest.mark.parametrize("hostile", ATTACKS)
def test_a_log_line_on_a_terminal_is_text(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Terminal()
    monkeypatch.setattr(sys, "stderr", log)
    configure_logs()
    structlog.get_logger().warning(f"message {hostile}", value=hostile, nested=[{"a": hostile}])
    shown = log.getvalue()
    assert "message" in shown
    assert not [text for text in ("]52;", "[2J", "]8;;", "]0;") if f"\x1b{text}" in shown]
    assert "\x9b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("variable", "value", "colored"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)],
)
def test_a_log_is_colored_where_that_is_wanted(
    variable: str, value: str, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Terminal()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    configure_logs()
    structlog.get_logger().warning("message")
    assert ("\x1b[" in log.getvalue()) is colored


def test_a_nested_value_ends_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    configure_logs()
    nested: list[object] = []
    for _ in range(5_000):
        nested = [nested]
    structlog.get_logger().warning("message", value=nested)
    assert json.loads(log.getvalue())["value"] == [[[[[[[["…"]]]]]]]]


LOGGER = """
import sys, threading
import structlog
from kite_runtime.console import complain
from kite_runtime.logs import configure_logs, lines_dropped, lines_dropped
configure_logs()
log = structlog.get_logger()
sys.stdin.read(1)  # the stage is set
for number in range(2_000):
    log.warning("x" * 500)
print(lines_dropped(), flush=True)
sys.exit(complain("program", "the end", 7))
"""


@pytest.mark.parametrize("stage", ["full pipe", "reader gone", "full disk"])
def test_a_log_that_nobody_takes_neither_stops_nor_ends_the_program(stage: str) -> None:
    reads, writes = os.pipe()
    if stage == "full disk":
        os.close(writes)
        writes = os.open("/dev/full", os.O_WRONLY)
    with subprocess.Popen(
        [sys.executable, "-c", LOGGER],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=writes,
    ) as process:
        os.close(writes)
        if stage == "reader gone":
            os.close(reads)
        dropped, _ = process.communicate(b".", timeout=60)
    if stage != "reader gone":
        os.close(reads)
    assert process.returncode == 7
    assert 1_000 < int(dropped) <= 2_000


def test_every_line_that_is_taken_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    before = lines_dropped()
    with os.fdopen(writes, "w") as stream, os.fdopen(reads) as reader:
        monkeypatch.setattr(sys, "stderr", stream)
        configure_logs()
        for number in range(1_000):
            structlog.get_logger().warning("message", number=number, pad="x" * 1_000)
        lost = lines_dropped() - before
        stream.close()
        lines = [json.loads(line) for line in reader]
    assert 0 < lost < 1_000
    assert [line["number"] for line in lines] == list(range(1_000 - lost))


@pytest.mark.parametrize("free", [4_096, 8_192])
def test_a_line_that_was_cut_is_ended_before_the_next(free: int) -> None:
    """A pipe with room for a part of a long line, which is then read."""
    reads, writes = os.pipe()
    size = fcntl.fcntl(writes, fcntl.F_GETPIPE_SZ)
    with os.fdopen(writes, "w") as stream, os.fdopen(reads, "rb") as reader:
        os.write(writes, b"." * (size - free - 1) + b"\n")
        assert not write_line(stream, "x" * 20_000)
        assert not write_line(stream, "no room")
        filled = reader.read1(size)
        assert filled.endswith(b"\n" + b"x" * free)
        assert write_line(stream, "whole")
        assert write_line(stream, "again")
        stream.close()
        assert reader.read() == b"\nwhole\nagain\n"
