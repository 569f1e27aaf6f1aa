"""The entry point that every app shares: one sentence, the exit code, a trace only on demand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kite_runtime.command_line import with_default

PROGRAM = """
import os
import sys
import typer
from kite_runtime.command_line import make_app, run, with_any_reader
from kite_runtime.errors import (ConfigurationError, KiteError, SettingError, TryAgainLater,
                                 UsageError)

class Theirs(KiteError): pass
class Away(Theirs, TryAgainLater): pass
class Special(Theirs, ConfigurationError): pass
ERRORS = {"usage": UsageError("no such file"), "setting": SettingError("PORT", "is 'x'", "80"),
          "later": TryAgainLater("Kafka is away"), "theirs": Theirs("theirs"), "away": Away("away"),
          "special": Special("special"), "defect": ValueError("oh"), "disk": OSError(28, "full"),
          "ctrl-c": KeyboardInterrupt()}
app = make_app("tool", "A tool.", away="Kafka")

def fail(kind: str) -> int:
    raise ERRORS[kind]

def done(code: int = 0) -> int:
    return code

def umask() -> int:
    os.umask(mask := os.umask(0))
    return mask

def lines() -> int:
    for number in range(100_000):
        print(number)
    return 0

def chosen(name: str = typer.Option("-", "-n", "--name"), more: list[str] = [],
           loud: bool = False) -> int:
    print(name, *more, loud)
    return 0

group = typer.Typer(name="group")
group.callback()(lambda root=typer.Option(".", "--root"): None)
for command in (fail, done, umask, lines, chosen):
    app.command(command.__name__)(with_any_reader(command))
    group.command(command.__name__)(with_any_reader(command))
app.add_typer(group)
run(app, default="done")
"""


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tool") / "tool.py"
    path.write_text(PROGRAM)
    return path


def call(tool: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:] = {sys.path!r}; exec(open({str(tool)!r})" f".read())",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("kind", "code", "sentence"),
    [
        ("usage", 2, "tool: no such file"),
        ("setting", 78, "tool: PORT is 'x', for example PORT=80"),
        ("later", 75, "tool: Kafka is away"),
        ("theirs", 1, "tool: theirs"),
        ("away", 75, "tool: away"),
        ("special", 78, "tool: special"),
        ("disk", 1, "tool: [Errno 28] full"),
        ("defect", 1, "tool: unexpected ValueError: oh; this is a defect of tool, --debug shows"),
        ("ctrl-c", 130, "tool: stopped by Ctrl-C"),
    ],
)
def test_an_error_is_one_sentence_and_its_code(
    tool: Path, kind: str, code: int, sentence: str
) -> None:
    found, said = call(tool, "fail", kind)
    assert found == code
    assert said.startswith(sentence)
    assert said.count("\n") == 1


def test_debug_shows_the_trace(tool: Path) -> None:
    code, said = call(tool, "fail", "later", "--debug")
    assert code == 75
    assert "Traceback" in said
    assert said.endswith("tool: Kafka is away\n")


@pytest.mark.parametrize("arguments", [("nothing",), ("done", "--wrong"), ("done", "--code", "x")])
def test_wrong_usage_is_one_sentence(tool: Path, arguments: tuple[str, ...]) -> None:
    code, said = call(tool, *arguments)
    assert code == 2
    assert said.startswith("tool: ")
    assert said.endswith("; see --help\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("chosen", "--name", "a", "--name", "b"), "--name is given 2 times; it takes one"),
        (("chosen", "-n", "a", "--name=a", "-nb"), "--name is given 3 times; it takes one"),
        (("--code", "0", "--code", "3"), "--code is given 2 times; it takes one"),
        (("group", "chosen", "-n", "a", "-n", "a"), "--name is given 2 times; it takes one"),
        (("group", "--root", "a", "--root", "b", "done"), "--root is given 2 times; it takes one"),
    ],
)
def test_an_option_of_one_value_is_given_once(
    tool: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    assert call(tool, *arguments) == (2, f"tool: {sentence}; see --help\n")


def test_lists_and_flags_may_be_repeated_and_help_is_always_given(tool: Path) -> None:
    words = ("--more", "a", "--more", "a", "--loud", "--loud", "--name", "--name")
    assert call(tool, "chosen", *words) == (0, "")
    assert call(tool, "group", "--root", "a", "chosen", *words) == (0, "")
    assert call(tool, "chosen", "--name", "a", "--name", "b", "--help") == (0, "")


def test_a_command_returns_its_code_and_the_default_is_taken(tool: Path) -> None:
    assert call(tool, "done", "--code", "3") == (3, "")
    assert call(tool, "--code", "3") == (3, "")


@pytest.mark.parametrize(("before", "after"), [(0, 0o002), (0o022, 0o022), (0o077, 0o077)])
def test_nothing_that_a_program_makes_can_be_changed_by_everybody(
    tool: Path, before: int, after: int
) -> None:
    own = os.umask(before)
    try:
        assert call(tool, "umask") == (after, "")
    finally:
        os.umask(own)


def test_a_reader_may_leave_early(tool: Path) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:] = {sys.path!r}; exec(open({str(tool)!r})" f".read())",
            "lines",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], ["run"]),
        (["--port", "1"], ["run", "--port", "1"]),
        (["demo"], ["demo"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
    ],
)
def test_the_default_command(given: list[str], meant: list[str]) -> None:
    assert with_default(given, "run") == meant
    assert with_default(given, None) == given
