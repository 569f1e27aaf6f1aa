"""A call is a process of its own with what it was given, and nothing of the test's."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kite_runtime.testing import CommandLine, Place


def load() -> Callable[[], None]:
    """A program that tells which process loaded it."""
    loaded_by = os.getpid()

    def main() -> None:
        word = sys.argv[1]
        if word == "show":
            told = [loaded_by, os.getpid(), sys.argv, os.getcwd(), sorted(os.environ)]
            print(*map(repr, [*told, sys.stdin.read()]), sep="\n")
        elif word == "give-up":
            sys.exit(print("tool: no", file=sys.stderr) or 2)
        elif word == "write":
            with open("big", "wb", buffering=0) as file:
                file.write(bytes(2_000))
                file.write(b"x")
        elif word == "print":
            print("something", flush=True)
        elif word == "wait":
            print("waiting", flush=True)
            signal.pause()
        elif word == "text":
            sys.exit("a text")
        else:
            raise ValueError(word)

    return main


@pytest.fixture(scope="module")
def tool() -> Iterator[CommandLine]:
    with CommandLine("tool", load) as line:
        yield line


def test_a_call_gets_what_it_was_given(
    tool: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITE_API_KEY", "of the test")
    first = tool("show", "a b", env={"MINE": "1"}, cwd=tmp_path, stdin="typed")
    loaded_by, pid, arguments, folder, names, stdin = first.stdout.splitlines()
    assert (first.code, first.stderr) == (0, "")
    assert arguments == "['tool', 'show', 'a b']"
    assert folder == repr(str(tmp_path))
    assert names == "['COLUMNS', 'HOME', 'MINE', 'PATH']"
    assert stdin == "'typed'"
    again = tool("show").stdout.splitlines()
    assert again[0] == loaded_by != pid != again[1]
    assert again[3] != folder


def test_how_a_call_ends(tool: CommandLine) -> None:
    given_up = tool("give-up")
    assert (given_up.code, given_up.sentence) == (2, "no")
    assert tool("text").code == 1
    defect = tool("nonsense")
    assert defect.code == 99
    with pytest.raises(AssertionError):
        assert defect.sentence


def test_a_call_that_goes_on(tool: CommandLine) -> None:
    running = tool.start("wait")
    running.until(lambda: running.stdout == "waiting\n", "waiting")
    assert running.finish(signal.SIGTERM).code == -signal.SIGTERM
    ended = tool.start("show")
    with pytest.raises(AssertionError, match="ended before rain"):
        ended.until(lambda: False, "rain")


def test_a_call_that_is_left_behind_is_ended() -> None:
    with CommandLine("tool", load) as line:
        pid = line.start("wait").pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_disk_that_fills_and_a_reader_that_leaves(tool: CommandLine, tmp_path: Path) -> None:
    full = tool("write", cwd=tmp_path, file_bytes_max=2_000)
    assert os.strerror(errno.EFBIG) in full.stderr
    assert "BrokenPipeError" in tool("print", stdout_closed=True).stderr


def test_a_place_is_a_folder_with_settings(tool: CommandLine, tmp_path: Path) -> None:
    place = Place(tmp_path, tool, {"MINE": "1"})
    place.write("in/list.txt", "x")
    assert place.read("in/list.txt") == "x"
    shown = place("show", MORE="2").stdout.splitlines()
    assert shown[3] == repr(str(tmp_path))
    assert "'MINE', 'MORE'" in shown[4]
