"""The command line without servers: dry run, help, and each bad situation in one sentence."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from kite_contracts.migrations import runner
from kite_contracts.topics import load_topics
from kite_devstack import databases
from kite_devstack.layout import Layout

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = ("up", "status", "down", "logs", "topics", "schema", "env")
AWAY = "postgresql://u:pw@127.0.0.1:9/x"


@pytest.fixture()
def bare(folder: Path) -> dict[str, str]:
    """An environment without a stack, a network, or anything in the working folder."""
    nowhere = "http://127.0.0.1:9"
    proxies = {name: nowhere for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    return {"KITE_DEVSTACK_HOME": str(folder / "home"), "HOME": str(folder), **proxies}


def test_the_dry_run_needs_no_broker_and_writes_nothing(
    bare: dict[str, str], folder: Path, run_devstack: Run
) -> None:
    done = run_devstack(bare | {"TOPICS_DRY_RUN": "1"}, folder, "up")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        *(f"create {topic.name}" for topic in load_topics()),
        *(f"migrate {step.name}" for step in runner.migrations()),
    ]
    assert "no broker is running" in done.stderr
    assert "no database is running" in done.stderr
    assert list(folder.iterdir()) == []


def test_the_dry_run_says_when_the_given_broker_and_database_are_away(
    bare: dict[str, str], folder: Path, run_devstack: Run
) -> None:
    given = {"KAFKA_BOOTSTRAP": "127.0.0.1:9", "POSTGRES_DSN": AWAY}
    done = run_devstack(bare | given | {"TOPICS_DRY_RUN": "1"}, folder, "up")
    assert done.returncode == 0
    assert done.stdout.startswith("create ticks: ")
    assert f"migrate {runner.migrations()[0].name}: " in done.stdout
    assert "no Kafka broker answers at 127.0.0.1:9" in done.stderr
    assert "Postgres cannot be reached" in done.stderr
    assert "pw" not in done.stdout + done.stderr


def test_status_and_down_work_with_nothing_there(
    bare: dict[str, str], folder: Path, run_devstack: Run
) -> None:
    shown = run_devstack(bare, folder, "status")
    assert shown.returncode == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()[:2]] == [
        ["kafka", "down"],
        ["postgres", "down"],
    ]
    assert run_devstack(bare, folder, "down").stdout == "nothing was running\n"
    assert run_devstack(bare, folder, "env").returncode == 1


def test_a_given_database_is_told_of_and_migrated_once(
    bare: dict[str, str], folder: Path, run_devstack: Run, fresh_dsn: str
) -> None:
    given = bare | {"POSTGRES_DSN": fresh_dsn}
    first = runner.migrations()[0].name
    planned = run_devstack(given | {"TOPICS_DRY_RUN": "1"}, folder, "up")
    assert f"migrate {first}: " in planned.stdout
    assert runner.current(fresh_dsn) is None
    assert (
        f"tables    no tables yet, pending: {first}" in run_devstack(given, folder, "status").stdout
    )
    up = run_devstack(given, folder, "up", "postgres")
    assert up.returncode == 0, up.stderr
    assert f"applying {first} to the database that POSTGRES_DSN names" in up.stderr
    assert runner.current(fresh_dsn) == runner.head()
    assert (
        f"tables    {runner.head()}, the newest\n" in run_devstack(given, folder, "status").stdout
    )
    assert "0 migrations applied" in run_devstack(given, folder, "up", "postgres").stderr
    assert "migrate" not in run_devstack(given | {"TOPICS_DRY_RUN": "1"}, folder, "up").stdout


def test_a_database_of_a_newer_version_is_left_alone(
    bare: dict[str, str], folder: Path, run_devstack: Run, migrated_dsn: str
) -> None:
    with psycopg.connect(migrated_dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    given = bare | {"POSTGRES_DSN": migrated_dsn}
    assert (
        "tables    The database is at revision '9999'"
        in run_devstack(given, folder, "status").stdout
    )
    up = run_devstack(given, folder, "up", "postgres")
    assert up.returncode == 1
    assert "use the version that made it, or a later one" in up.stderr


def test_the_schema_is_printed_and_its_database_is_gone(
    bare: dict[str, str], folder: Path, run_devstack: Run, fresh_dsn: str, migrated_dsn: str
) -> None:
    done = run_devstack(bare | {"POSTGRES_DSN": fresh_dsn}, folder, "schema")
    assert done.stdout == databases.schema_of(migrated_dsn)
    assert "CREATE TABLE" in done.stdout
    assert databases.schema_of(fresh_dsn) == ""


def test_logs_prints_what_a_server_wrote(
    bare: dict[str, str], folder: Path, run_devstack: Run
) -> None:
    log = Layout(folder / "home").service("kafka").log
    log.parent.mkdir(parents=True)
    log.write_text("a line\n")
    assert run_devstack(bare, folder, "logs", "kafka").stdout == "a line\n"


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "sentence"),
    [
        (["up", "kafka"], {}, 75, "cannot fetch .* first start needs the network"),
        (["topics"], {}, 75, "no broker is running: 'up kafka' starts one"),
        (["up"], {"TOPICS_DRY_RUN": "maybe"}, 78, "TOPICS_DRY_RUN='maybe' is neither 1 nor 0"),
        (["status"], {"KITE_DEVSTACK_GRACE_S": "soon"}, 78, "'soon' is not a number of seconds"),
        (["topics", "--dry-run"], {"TOPIC_X_RETENTION_MS": "1"}, 78, "names no topic"),
        (["up", "postgres"], {"POSTGRES_DSN": AWAY}, 75, "Postgres cannot be reached"),
        (["up", "postgres"], {"POSTGRES_DSN": "here"}, 78, "address is malformed"),
        (["schema"], {"POSTGRES_DSN": AWAY}, 75, "Postgres does not answer"),
        (["schema"], {"POSTGRES_DSN": "here"}, 78, "POSTGRES_DSN is malformed"),
        (["logs", "kafka"], {}, 1, "there is no log of kafka yet: 'up' starts them"),
    ],
)
def test_a_bad_situation_is_one_sentence_and_its_code(
    bare: dict[str, str],
    folder: Path,
    run_devstack: Run,
    arguments: list[str],
    variables: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    done = run_devstack(bare | variables, folder, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "pw" not in done.stderr
    assert re.search(f"^devstack: .*{sentence}", done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("command", "code"), [("up", 78), ("topics", 78), ("status", 0), ("down", 0)]
)
def test_a_broken_env_file_names_its_line_and_keeps_nobody_from_stopping(
    bare: dict[str, str], folder: Path, run_devstack: Run, command: str, code: int
) -> None:
    (folder / ".env").write_text("KITE_API_KEY\n")
    done = run_devstack(bare, folder, command)
    assert done.returncode == code, done.stderr
    assert ".env line 1" in done.stderr


def test_a_taken_port_is_named(
    bare: dict[str, str], folder: Path, run_devstack: Run, jars: Path
) -> None:
    link = Layout(folder / "home").jars
    link.parent.mkdir(parents=True)
    link.symlink_to(jars)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_devstack(bare, folder, "up", "kafka", "--kafka-port", str(port))
    assert done.returncode == 1
    assert f"port {port} or {port + 1} is taken by another program" in done.stderr


def test_wrong_usage_is_code_2_and_each_command_has_help(
    bare: dict[str, str], folder: Path, run_devstack: Run
) -> None:
    assert run_devstack(bare, folder, "up", "mysql").returncode == 2
    with ThreadPoolExecutor() as pool:
        asked = pool.map(lambda name: run_devstack(bare, folder, name, "--help"), COMMANDS)
    assert {done.returncode for done in asked} == {0}


def test_up_tells_the_apps_of_this_folder_where_it_is_and_down_takes_it_back(
    bare: dict[str, str], folder: Path, run_devstack: Run, kafka_bootstrap: str
) -> None:
    (folder / ".infra").mkdir()
    told = folder / ".infra/local.env"
    up = run_devstack(bare | {"KAFKA_BOOTSTRAP": kafka_bootstrap}, folder, "up", "kafka")
    assert up.returncode == 0, up.stderr
    assert told.read_text().splitlines()[1:] == [f"KAFKA_BOOTSTRAP={kafka_bootstrap}"]
    assert run_devstack(bare, folder, "down").returncode == 0
    assert not told.exists()
