"""A canary: no command shows a secret, with services away and with settings that are wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from kite_hist_merge.cli import PROGRAM
from kite_runtime.testing import (
    SECRETS,
    Finished,
    Place,
    call,
    import_path,
    leaf_commands,
    postgres_dsn,
    traces,
    traces_in_files,
    write_env,
    write_token_file,
)
from kite_simulator import RestSimulator

NOBODY: Final = "127.0.0.1:9"
DAYS: Final = ("--from", "20240102", "--to", "20240105")
ARGUMENTS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("accept",): ("1", "NSE:SBIN"),
    ("backfill",): ("--symbols", "NSE:SBIN", "--yes"),
    ("daily",): DAYS,
    ("export",): ("--out", "parquet"),
    ("layout",): ("configs/tokens.csv",),
    ("reconcile",): DAYS,
    ("reject",): ("1", "NSE:SBIN"),
    ("report",): (*DAYS, "--out", "report.html"),
    ("show",): ("NSE:SBIN", "2024-01-02T09:15"),
}
"""What a command needs to get as far as its settings; a new one without an entry gets nothing."""

AWAY: Final = {
    "HIST_MERGE_STATE_DIR": "state",
    "KAFKA_BOOTSTRAP": NOBODY,
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "hist_merge",
    "KITE_API_URL": f"http://{NOBODY}",
    "SCHEMA_REGISTRY_URL": f"http://{NOBODY}",
}
WRONG: Final = {
    **AWAY,
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "X",
    "POSTGRES_DSN": postgres_dsn(address="[no-address"),
}


@pytest.fixture()
def planted(bare: Place) -> Place:
    """A place with secrets in its settings file, its environment and its token file."""
    write_env(bare.folder)
    write_token_file(bare.folder)
    bare.env |= {**SECRETS, "POSTGRES_DSN": postgres_dsn()}
    return bare


def told_nothing(place: Place, done: Finished) -> None:
    assert done.code in (0, 1, 3, 75, 78), f"as far as its settings: {done.stderr}"
    assert traces(done.stdout + done.stderr) == []
    assert traces_in_files(place.folder) == []


@pytest.mark.parametrize("env", [AWAY, WRONG], ids=["away", "wrong"])
@pytest.mark.parametrize("command", leaf_commands(PROGRAM.app()), ids=" ".join)
def test_no_command_shows_a_secret(
    planted: Place, command: tuple[str, ...], env: dict[str, str]
) -> None:
    told_nothing(planted, planted(*command, *ARGUMENTS.get(command, ()), "--debug", **env))


@pytest.mark.parametrize("command", [("daily", *DAYS), ("backfill", *ARGUMENTS["backfill",])])
def test_kite_away_and_kite_that_refuses_show_no_secret(
    planted: Place,
    migrated_dsn: str,
    kite: RestSimulator,
    command: tuple[str, ...],
) -> None:
    for root in (f"http://{NOBODY}", kite.root, f"http://u:{SECRETS['KITE_API_SECRET']}@[none"):
        env = {**AWAY, "POSTGRES_DSN": migrated_dsn, "KITE_API_URL": root}
        told_nothing(planted, planted(*command, "--debug", **env))


def test_the_list_of_processes_shows_no_secret(tmp_path: Path) -> None:
    write_env(tmp_path)
    command = [sys.executable, "-m", "kite_hist_merge.cli", "daily", *DAYS]
    env = {**SECRETS, **AWAY, "POSTGRES_DSN": postgres_dsn(), "PYTHONPATH": import_path()}
    done = call(command, tmp_path, env)
    assert done.code == 75, done.stderr
    assert done.traces() == []
