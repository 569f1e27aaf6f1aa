"""The command `migrate`: what it prints, its exit codes, one sentence for each mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from kite_contracts.migrations import runner
from kite_contracts.migrations.cli import main

AWAY = "postgresql://someone:pw-canary@127.0.0.1:9/x"
MALFORMED = "postgresql://someone:pw-canary@[::1/x"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture()
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty directory, without an address in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSTGRES_DSN", raising=False)

    def call(*words: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(words))
        captured = capsys.readouterr()
        code = caught.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


def test_up_look_and_down(run: Run, fresh_dsn: str) -> None:
    names = [one.name for one in runner.migrations()]
    shown = run("current", "--dsn", fresh_dsn)
    assert shown.out == "base\n"
    assert f"pending: {names[0]} (" in shown.err
    up = run("upgrade", "--dsn", fresh_dsn)
    assert up == (
        0,
        f"{len(names)} applied; the database is at {runner.head()}\n",
        "".join(f"applying {name}\n" for name in names),
    )
    again = run("upgrade", "--dsn", fresh_dsn)
    assert again == (0, f"nothing to apply; the database is at {runner.head()}\n", "")
    assert run("current", "--dsn", fresh_dsn) == (0, f"{runner.head()}\n", "")
    down = run("downgrade", "base", "--dsn", fresh_dsn)
    assert down.out == f"{len(names)} taken back; the database is at base\n"
    assert down.err.splitlines() == [f"taking back {name}" for name in reversed(names)]


def test_steps_that_look_like_options(run: Run, fresh_dsn: str) -> None:
    assert run("upgrade", "+1", "--dsn", fresh_dsn).out == "1 applied; the database is at 0001\n"
    assert run("downgrade", "-1", "--dsn", fresh_dsn).out == (
        "1 taken back; the database is at base\n"
    )


def test_the_address_comes_from_the_files(run: Run, fresh_dsn: str, tmp_path: Path) -> None:
    (tmp_path / ".infra").mkdir()
    (tmp_path / ".infra/.env").write_text(f"POSTGRES_DSN={fresh_dsn}\n")
    assert run("upgrade").code == 0
    assert runner.current(fresh_dsn) == runner.head()


def test_json_is_for_machines(run: Run, fresh_dsn: str) -> None:
    names = [one.name for one in runner.migrations()]
    shown = run("current", "--json", "--dsn", fresh_dsn)
    assert json.loads(shown.out) == {"revision": None, "pending": names}
    history = json.loads(run("history", "--json").out)
    assert [one["name"] for one in history] == names


def test_history_and_sql_need_no_database(run: Run) -> None:
    history = run("history")
    assert history.code == 0
    assert [line.split("  ")[0] for line in history.out.splitlines()] == [
        one.name for one in runner.migrations()
    ]
    up, down = run("sql"), run("sql", "head:base")
    assert up.code == down.code == 0
    assert "CREATE TABLE" in up.out
    assert "DROP TABLE" in down.out
    assert run("sql", "base:base").out == ""


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["upgrade"], 78, "POSTGRES_DSN is not set"),
        (["current", "--dsn", MALFORMED], 78, "malformed; write it like POSTGRES_DSN=postgresql:"),
        (["upgrade", "--dsn", AWAY], 75, "Postgres cannot be reached"),
        (["sql", "0001:9999"], 2, "There is no revision '9999'"),
        (["sql", "0001"], 2, "'0001' is not FROM:TO"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_code(
    run: Run, words: list[str], code: int, sentence: str
) -> None:
    done = run(*words)
    assert done.code == code
    assert done.out == ""
    [line] = done.err.splitlines()
    assert line.startswith("migrate: ")
    assert sentence in line
    assert "pw-canary" not in line


def test_mistakes_that_the_database_tells(run: Run, migrated_dsn: str) -> None:
    assert run("upgrade", "9999", "--dsn", migrated_dsn).code == 2
    nowhere = psycopg.conninfo.make_conninfo(migrated_dsn, dbname="no-such-database")
    refused = run("current", "--dsn", nowhere)
    assert refused.code == 78
    assert "does not exist" in refused.err
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    newer = run("upgrade", "--dsn", migrated_dsn)
    assert newer.code == 1
    assert "use the version that made it, or a later one" in newer.err


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "current", "history", "sql"])
def test_each_command_has_help(run: Run, command: str) -> None:
    assert run(command, "--help").code == 0


def test_debug_shows_the_traceback(run: Run) -> None:
    outcome = run("--debug", "current")
    assert "Traceback" in outcome.err
    assert "POSTGRES_DSN is not set" in outcome.err
