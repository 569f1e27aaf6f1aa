"""The command line: help for everything, and wrong use is one sentence with exit code 2."""

from __future__ import annotations

from typing import Any, Final

import pytest
from typer.main import get_command

from kite_hist_merge.cli import PROGRAM
from kite_runtime.testing import CommandLine, Place, leaf_commands

GROUP: Final[Any] = get_command(PROGRAM.app())
COMMANDS: Final = [name for (name,) in leaf_commands(PROGRAM.app())]
FROM, TO = ("--from", "2024-01-05"), ("--to", "20240105")
DAY: Final = (*FROM, *TO)

WRONG: Final[list[tuple[tuple[str, ...], str]]] = [
    (("nothing",), "No such command 'nothing'"),
    (("daily", *FROM), "name the days with --from and --to, or one with --day"),
    (("daily", *DAY, "--day", "20240105"), "--day is one day: leave out --from and --to"),
    (("daily", "--day", "20240135"), "'20240135' is no date such as 2024-01-05"),
    (("findings",), "name the days with --from and --to, or one with --day"),
    (("findings", "--day", "20990106"), "2099-01-06 has not come yet: name"),
    (("daily", *DAY, "--fast"), "No such option: --fast"),
    (("daily", *DAY, "more"), "unexpected extra argument"),
    (("daily", *FROM, *FROM, *TO), "--from is given 2 times; it takes one"),
    (("daily", "--from", "2024-13-05", *TO), "'2024-13-05' is no date such as 2024-01-05"),
    (("daily", "--from", "20240106", *TO), "--to 2024-01-05 is before --from 2024-01-06"),
    (("daily", "--from", "20990106", "--to", "20990107"), "2099-01-06 has not come yet: name"),
    (("daily", *DAY, "--vendor", "gone.txt"), "gone.txt cannot be read (no such file"),
    (("daily", *DAY, "--no-kite"), "--no-kite leaves nothing to read"),
    (("daily", *DAY, "--symbols", "SBIN"), "'SBIN' is no symbol such as NSE:SBIN"),
    (("daily", *DAY, "--symbol", "NSE:A,B"), "'B' is no symbol such as NSE:SBIN"),
    (("daily", *DAY, "--interval", "m5"), "'m5' is not recorded: take m1 or d1"),
    (("reconcile",), "name the days with --from and --to or --day, or files"),
    (("reconcile", "--files", "a.csv", "b.csv"), "a.csv cannot be read (no such file"),
    (("show", "NSE:SBIN"), "Missing argument 'TIME'"),
    (("show", "NSE:SBIN", "yesterday"), "'yesterday' is no time such as"),
    (("accept", "x", "NSE:SBIN"), "Invalid value for 'BATCH'"),
    (("reject", "0", "NSE:SBIN"), "Invalid value for 'BATCH'"),
    (("backfill", "--days", "0"), "Invalid value for '--days'"),
    (("backfill", "--layout", "gdfl"), "--layout is of files: name them with --vendor"),
    (("layout", "gone.csv"), "gone.csv cannot be read (no such file"),
    (("layout", "."), ". is a folder: name one file of it"),
    (("export", "--interval", "m2"), "'m2' is not one of"),
    (("findings", *DAY, "--flag", "ODD"), "'ODD' is none of OFF_TICK"),
    (("report", "--from", "20240106", *TO), "--to 2024-01-05 is before --from 2024-01-06"),
    (("rebuild", "--month", "13"), "'13' is no month such as"),
    (("heal", "more"), "unexpected extra argument"),
    (("revisions", "more"), "unexpected extra argument"),
]


@pytest.mark.parametrize(("arguments", "part"), WRONG, ids=[" ".join(each) for each, _ in WRONG])
def test_wrong_use_is_one_sentence(bare: Place, arguments: tuple[str, ...], part: str) -> None:
    done = bare(*arguments)
    assert (done.code, done.stdout) == (2, ""), done.stderr
    assert part in done.sentence


def test_every_command_is_tried() -> None:
    assert {arguments[0] for arguments, _ in WRONG} == {"nothing", *COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_flag_has_help(name: str) -> None:
    command = GROUP.commands[name]
    assert len(command.help) > 20
    for param in command.params:
        assert getattr(param, "help", None), f"{name} {param.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_flag(calls: CommandLine, name: str) -> None:
    shown = calls(name, "--help")
    assert (shown.code, shown.stderr) == (0, "")
    for param in GROUP.commands[name].params:
        for flag in param.opts:
            assert flag in shown.stdout or not flag.startswith("-")


def test_help_of_the_whole_names_commands_and_exit_codes(calls: CommandLine) -> None:
    shown = calls("--help")
    assert shown.code == 0
    for word in (*COMMANDS, "78", "75", "--debug"):
        assert word in shown.stdout


@pytest.mark.parametrize("name", ["daily", "show", "revisions", "export", "rebuild", "heal"])
def test_without_a_database_the_sentence_names_the_variable(bare: Place, name: str) -> None:
    more = {"daily": DAY, "show": ("NSE:SBIN", "2024-01-05T09:15")}.get(name, ())
    done = bare(name, *more)
    assert (done.code, done.stdout) == (78, "")
    assert "POSTGRES_DSN" in done.sentence
