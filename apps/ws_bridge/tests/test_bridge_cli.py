"""The command line as a whole: help, defaults, errors, the ways to end it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from kite_runtime.testing import PATIENCE_S, CommandLine, import_path
from kite_ws_bridge import cli

COMMANDS = [
    "run",
    "demo",
    "simulate",
    "smoke",
    "replay",
    "decode",
    "plan",
    "tail",
    "status",
    "refused",
]
README = Path(__file__).parents[3] / "README.md"
GROUP = typer.main.get_command(cli.PROGRAM.app())


def test_the_commands_are_those_of_the_design() -> None:
    assert list(GROUP.commands) == COMMANDS  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_flag_has_help(name: str) -> None:
    command = GROUP.commands[name]  # type: ignore[attr-defined]
    assert len(command.help) > 20
    assert command.params
    for param in command.params:
        assert getattr(param, "help", None), f"{name} {param.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_exits_with_0_and_shows_every_flag(command_line: CommandLine, name: str) -> None:
    shown = command_line(name, "--help")
    assert (shown.code, shown.stderr) == (0, "")
    for param in GROUP.commands[name].params:  # type: ignore[attr-defined]
        for flag in param.opts:
            assert flag.split("/")[0] in shown.stdout or not flag.startswith("-")


def test_help_of_the_whole_names_commands_and_exit_codes(command_line: CommandLine) -> None:
    shown = command_line("--help")
    assert shown.code == 0
    for word in (*COMMANDS, "78", "75", "--debug"):
        assert word in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_tells_of_every_command(name: str) -> None:
    assert re.search(
        rf"(?:`|-- ){name}\b", README.read_text("utf-8")
    ), f"README.md says nothing of {name}"


def test_alone_it_runs_the_live_bridge(command_line: CommandLine) -> None:
    alone, named = command_line(), command_line("run")
    assert (alone.code, alone.stderr) == (named.code, named.stderr)
    assert alone.code == 78


@pytest.mark.parametrize("words", [("--wrong",), ("--wrong=1",), ("--prot", "1"), ("-x",)])
def test_a_wrong_option_of_the_default_command_is_reported_alike(
    command_line: CommandLine, words: tuple[str, ...]
) -> None:
    """Without a command it is found before Typer is asked; the sentence is the same."""
    alone, named = command_line(*words), command_line("run", *words)
    assert (alone.code, alone.stderr) == (named.code, named.stderr)
    assert (alone.code, len(alone.sentences)) == (2, 1)


@pytest.mark.parametrize("words", [("--port=1",), ("--store-and-forward",), ("--root", "."), ()])
def test_an_option_of_the_default_command_is_taken(
    command_line: CommandLine, words: tuple[str, ...]
) -> None:
    assert command_line(*words).code == 78, "no credentials, and no fault of the call"


@pytest.mark.parametrize("arguments", [("--debug",), ("run", "--debug"), ("--debug", "run")])
def test_debug_shows_the_trace_and_keeps_the_exit_code(
    command_line: CommandLine, arguments: tuple[str, ...]
) -> None:
    shown = command_line(*arguments)
    assert shown.code == 78
    assert "Traceback (most recent call last)" in shown.stderr
    assert "MissingCredentials" in shown.stderr
    assert len(shown.sentences) == 1


@pytest.mark.parametrize("arguments", [(), ("decode", "--nonsense"), ("decode", "--hex", "-")])
def test_a_plain_process_does_as_the_forked_ones(
    command_line: CommandLine, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    forked = command_line(*arguments, stdin=b"zz\n")
    plain = subprocess.run(
        [sys.executable, "-m", "kite_ws_bridge.cli", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": import_path()},
        cwd=tmp_path,
        input=b"zz\n",
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert plain.returncode == forked.code
    assert plain.stdout.decode() == forked.stdout
    assert plain.stderr.decode() == forked.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulate_ends_in_order_and_prints_what_it_sent(
    command_line: CommandLine, number: signal.Signals
) -> None:
    running = command_line.start("simulate", "--port", "0")
    running.until(lambda: "Kite simulator at ws://127.0.0.1:" in running.stderr, "the address")
    finished = running.finish(number)
    assert finished.code == 0
    sent = json.loads(finished.stdout)
    assert (sent["frames"], sent["ticks"], sent["connections"]) == (0, 0, 0)


def test_output_into_a_pipe_that_nobody_reads(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "tokens.csv").write_text("instrument_token\n408065\n")
    shown = command_line("plan", "--json", "--tokens", "tokens.csv", cwd=tmp_path,
                         stdout_closed=True)  # fmt: skip
    assert (shown.code, shown.stderr) == (0, "")
