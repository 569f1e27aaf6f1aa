"""What a shell offers when a command line is typed: real bash, with a program of two commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kite_runtime.command_line import completed_words
from kite_runtime.testing import import_path

COMMANDS = """
from typing import Annotated
import typer

def first(symbol: Annotated[str, typer.Option("--symbol", help="A name.")] = "") -> int:
    return 0

def second(since: Annotated[str, typer.Option("--since", help="A time.")] = "") -> int:
    return 0
"""
PROGRAM = f"""#!{sys.executable}
from kite_runtime.command_line import Lazy, Program
commands = {{name: Lazy(f"try_commands:{{name}}", name) for name in ("first", "second")}}
Program("try-it", "A program.", away="Kafka", commands=commands, default="first").main()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    (folder / "try_commands.py").write_text(COMMANDS)
    program = folder / "try-it"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return folder


def bash(place: Path, line: str) -> str:
    path = f"{place}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": f"{import_path()}:{place}", "HOME": str(place)}
    argv = ["bash", "--norc", "-c", line]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("",), {"first", "second"}),
        (("se",), {"second"}),
        (("second", "--s"), {"--since"}),
        (("first", "--s"), {"--symbol"}),
        (("third", "--s"), {"--show-completion"}),
    ],
)
def test_bash_completes_commands_and_their_options(
    place: Path, typed: tuple[str, ...], offered: set[str]
) -> None:
    words = " ".join(f"'{each}'" for each in typed)
    line = (
        "source <(try-it --show-completion; :); "
        f"COMP_WORDS=(try-it {words}) COMP_CWORD={len(typed)}; "
        '_try_it_completion try-it; echo "${COMPREPLY[@]}"'
    )
    assert set(bash(place, line).split()) == offered


def test_installed_it_is_there_in_the_next_shell(place: Path) -> None:
    assert "installed in" in bash(place, "try-it --install-completion; :")
    assert "_try_it_completion" in bash(place, "source ~/.bashrc; complete -p try-it")


@pytest.mark.parametrize("variable", ["COMP_WORDS", "_TYPER_COMPLETE_ARGS"])
def test_words_are_those_of_the_shell(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "try-it second --s")
    assert completed_words("try-it") is None
    monkeypatch.setenv("_TRY_IT_COMPLETE", "complete_zsh")
    assert completed_words("try-it") == ["try-it", "second", "--s"]
