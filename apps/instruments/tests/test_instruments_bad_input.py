"""Bad input, a table: each is one sentence that says what to do, and the right exit code."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from dumps import IST, dump, future, row

from kite_devstack.databases import database
from kite_runtime.testing import CommandLine, Place, import_path

TODAY = datetime.now(IST).date()
LATER = TODAY + timedelta(days=9)
ROWS = [future("M&M", LATER, 1), *(row(f"S{each}", each, exchange="NFO") for each in range(2, 40))]
GOOD = dump(*ROWS)
FILE = ("sync", "--file", "dump.csv")


@dataclass(frozen=True)
class Case:
    """One line of the table; ``data`` is the dump in dump.csv, over a good master of today."""

    name: str
    code: int
    says: str
    arguments: tuple[str, ...] = FILE
    data: bytes = GOOD
    env: dict[str, str] = field(default_factory=dict)


NOBODY = "postgresql://postgres@127.0.0.1:9/kite"
YESTERDAY = str(TODAY - timedelta(days=1))
TABLE = [
    Case("no file", 2, "gone.csv cannot be read (no such file", ("sync", "--file", "gone.csv")),
    Case("a folder", 2, "cannot be read (is a directory)", ("sync", "--file", ".")),
    Case("wrong file", 1, "has no column instrument_token", data=b"symbol,price\nINFY,1\n"),
    Case("HTML", 1, "an HTML page, no instrument master", data=b"<html>502</html>"),
    Case("JSON", 1, "it is JSON", data=b'{"status":"error"}'),
    Case("empty", 1, "it is empty", data=b""),
    Case("header alone", 1, "a header and no row", data=dump()),
    Case("truncated", 1, "ends in the middle of line 40", data=GOOD[:-20]),
    Case("gzip cut", 1, "gzip file ends in the middle", data=gzip.compress(GOOD)[:-9]),
    Case("not UTF-8", 1, "is not UTF-8", data=GOOD.replace(b"M&M", b"M\xffM")),
    Case("duplicate keys", 1, "stands on line 2 and on line 41", data=dump(*ROWS, ROWS[0])),
    Case("a column is gone", 1, "no column lot_size", data=GOOD.replace(b"lot_size", b"lots")),
    Case("half of it", 1, "NFO has 20 instruments and had 39: 49% fewer", data=dump(*ROWS[:20])),
    Case("bad rows alone", 1, "none of its 1 rows", data=dump(ROWS[1].replace(",1,EQ", ",x,EQ"))),
    Case(
        *("an old dump", 1, "say its day by --date"),
        data=dump(*ROWS, future("OLD", TODAY - timedelta(days=2), 99)),
    ),
    Case("another exchange", 1, "has no row of MCX (it has NFO)", (*FILE, "--exchange", "MCX")),
    Case("a day to come", 2, "is in the future", (*FILE, "--date", str(LATER))),
    Case("no day", 2, "'soon' is no date such as 2024-01-05", (*FILE, "--date", "soon")),
    Case("no share", 2, "'half' is no share such as 20%", (*FILE, "--max-drop", "half")),
    Case("a wrong flag", 2, "No such option: --fiel", ("sync", "--fiel", "x")),
    Case("two ways", 2, "--all and --exchange exclude", ("sync", "--all", "--exchange", "NFO")),
    Case("no exchange", 2, "'N/A' is no exchange", ("sync", "--exchange", "N/A")),
    Case("no command", 2, "No such command 'snyc'", ("snyc",)),
    Case("database away", 75, "cannot be reached at 127.0.0.1:9", env={"POSTGRES_DSN": NOBODY}),
    Case("no database", 78, "POSTGRES_DSN is not set (`make up`", env={"POSTGRES_DSN": ""}),
    Case("malformed address", 78, "POSTGRES_DSN is malformed", env={"POSTGRES_DSN": "post gres"}),
    Case("Kafka's address", 78, "'kafka', which is no host:port", env={"KAFKA_BOOTSTRAP": "kafka"}),
    Case("Kite away", 75, "refuses conn", ("sync",), env={"KITE_API_URL": "http://127.0.0.1:9"}),
    Case("Kite in clear", 78, "in clear", ("sync",), env={"KITE_API_URL": "http://example.com"}),
    Case("no Kafka to publish to", 78, "KAFKA_BOOTSTRAP is not set", ("publish",)),
    Case("one day", 2, "alone is no comparison", ("diff", "2026-08-12")),
    Case("a day and a file", 2, "are a day and a file", ("diff", "2026-08-12", "dump.csv")),
    Case("days turned round", 2, "give the earlier day first", ("diff", str(TODAY), YESTERDAY)),
    Case("a day of nothing", 1, "no dump holds on 2001-01-01", ("diff", "2001-01-01", str(TODAY))),
    Case("two forms", 2, "--json and --csv exclude", ("diff", "--json", "--csv")),
    Case("no kind", 2, "'new' is none of added", ("diff", "--kind", "new")),
    Case("a file that is none", 1, "dump.csv is refused", ("diff", "dump.csv", "good.csv"),
         data=b"x"),
    Case("no strike", 2, "is no strike", ("lookup", "M&M", "--strike", "low")),
    Case("no expiry", 2, "is no expiry", ("lookup", "M&M", "--expiry", "soon")),
    Case("no universes", 78, "universes.toml: cannot be read", ("export",)),
    Case("no such universe", 2, "no such universe; there are u", ("export", "--only", "x")),
    Case("no spot", 2, "'NIFTY 50' is not like", ("export", "--spot", "NIFTY 50")),
    Case("wrong universes", 78, "no TOML", ("export",), env={"INSTRUMENTS_UNIVERSES": "dump.csv"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def good_master(
    postgres_server: str,
    migrated_template: str,
    calls: CommandLine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The environment of a database with a good master of today, which nothing here changes."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "good.csv").write_bytes(GOOD)
    with database(postgres_server, migrated_template) as dsn:
        env = {"POSTGRES_DSN": dsn}
        done = calls.start("sync", "--file", "good.csv", env=env, cwd=folder).finish()
        assert done.code == 0, done.stderr
        yield env


@pytest.mark.parametrize("case", TABLE, ids=[case.name for case in TABLE])
def test_bad_input(bare: Place, good_master: dict[str, str], case: Case) -> None:
    bare.env |= good_master
    bare.write("good.csv", GOOD)
    bare.write("dump.csv", case.data)
    if "universe" in case.name and case.code == 2:
        bare.write("configs/universes.toml", '[universe.u]\nexchange="NFO"\ntypes=["FUT"]\n')
    done = bare(*case.arguments, **case.env)
    assert done.code == case.code, done.stdout + done.stderr
    assert case.says in done.sentence
    (batch,) = bare("days", "--json").json()
    assert batch["rows_good"] == len(ROWS)


def test_dead_letters_that_cannot_be_written(place: Place) -> None:
    place.write("dump.csv", dump(*ROWS, row("T", 99, exchange="NFO").replace(",1,EQ", ",x,EQ")))
    done = place(*FILE, "--dead-letters", "/proc/nowhere/letters.jsonl")
    assert done.code == 78
    assert "/proc/nowhere/letters.jsonl cannot be written" in done.sentence


def test_a_database_without_tables(bare: Place, fresh_dsn: str) -> None:
    bare.write("dump.csv", GOOD)
    done = bare(*FILE, POSTGRES_DSN=fresh_dsn)
    assert done.code == 78
    assert "run 'migrate upgrade'" in done.sentence


def test_a_larger_max_drop_lets_a_smaller_master_in(place: Place) -> None:
    place.write("good.csv", GOOD)
    place.write("half.csv", dump(*ROWS[:20]))
    place("sync", "--file", "good.csv")
    done = place("sync", "--file", "half.csv", "--max-drop", "60%")
    assert done.code == 0, done.stderr


def test_every_command_and_flag_has_help(bare: Place) -> None:
    import typer.main

    from kite_instruments.cli import PROGRAM

    def leaves(command: object, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], object]]:
        children = getattr(command, "commands", None)
        if children is None:
            return [(path, command)]
        return [leaf for name, child in children.items() for leaf in leaves(child, (*path, name))]

    for path, command in leaves(typer.main.get_command(PROGRAM.app()), ()):
        assert getattr(command, "help", None), path
        for parameter in command.params:  # type: ignore[attr-defined]
            assert getattr(parameter, "help", None), (path, parameter.name)


def test_the_module_is_the_program(bare: Place) -> None:
    import os

    done = subprocess.run(
        [sys.executable, "-m", "kite_instruments.cli", "auth", "status"],
        cwd=bare.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(bare.folder), "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("instruments: not logged in")
