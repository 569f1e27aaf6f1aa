"""The search for leaked secrets finds them: a check that cannot fail proves nothing."""

from __future__ import annotations

import base64
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import typer

from kite_runtime.testing import (
    CANARY,
    SECRETS,
    call,
    leaf_commands,
    postgres_dsn,
    traces,
    traces_in_files,
    write_env,
    write_token_file,
)

TOKEN = SECRETS["KITE_ACCESS_TOKEN"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nothing to see", []),
        (f"token={TOKEN}", ["KITE_ACCESS_TOKEN"]),
        (f"wss://kite/?access_token={quote(TOKEN, safe='')}", ["KITE_ACCESS_TOKEN"]),
        (base64.b64encode(TOKEN.encode()).decode(), ["KITE_ACCESS_TOKEN"]),
        (SECRETS["KITE_API_SECRET"].encode().hex(), ["KITE_API_SECRET"]),
        (f"could not connect to {postgres_dsn()}", ["POSTGRES_PASSWORD"]),
        ("the token begins with CANARYtok", [CANARY]),
        (f"{TOKEN} and {SECRETS['KITE_API_KEY']}", ["KITE_API_KEY", "KITE_ACCESS_TOKEN"]),
    ],
)
def test_a_secret_is_found_in_every_form(text: str, names: list[str]) -> None:
    assert traces(text) == names
    assert traces(text.encode()) == names


def test_what_is_allowed_is_not_reported() -> None:
    page = f"https://kite/connect/login?api_key={SECRETS['KITE_API_KEY']}"
    assert traces(page, allowed=["KITE_API_KEY"]) == []
    assert traces(f"{page}&t={TOKEN}", allowed=["KITE_API_KEY"]) == ["KITE_ACCESS_TOKEN"]


def test_each_secret_is_told_from_the_others() -> None:
    for name, secret in SECRETS.items():
        assert traces(secret) == [name]


def test_files_are_searched_but_for_those_that_keep_secrets(tmp_path: Path) -> None:
    for path in (write_env(tmp_path), write_token_file(tmp_path)):
        assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "logs").mkdir()
    assert traces_in_files(tmp_path) == []
    (tmp_path / "logs" / "a.log").write_text(f"x {TOKEN}")
    (tmp_path / "dump.csv.gz").write_bytes(gzip.compress(SECRETS["KITE_API_KEY"].encode()))
    assert traces_in_files(tmp_path) == [
        "dump.csv.gz: KITE_API_KEY",
        "logs/a.log: KITE_ACCESS_TOKEN",
    ]
    assert "KITE_API_SECRET" in " ".join(traces_in_files(tmp_path, keepers=()))


WAITS = "import sys; sys.stdin.read(); print(sys.argv[1:] == []); raise SystemExit(3)"


def test_a_call_without_secrets(tmp_path: Path) -> None:
    done = call([sys.executable, "-c", WAITS], tmp_path, dict(SECRETS))
    assert (done.code, done.stdout, done.stderr) == (3, "True\n", "")
    assert done.traces() == []


def test_a_call_that_prints_one(tmp_path: Path) -> None:
    program = "import os, sys; sys.exit(os.environ['KITE_API_KEY'])"
    done = call([sys.executable, "-c", program], tmp_path, dict(SECRETS))
    assert done.traces() == ["KITE_API_KEY"]
    assert done.traces(allowed=["KITE_API_KEY"]) == []


def test_a_call_with_one_in_the_list_of_processes(tmp_path: Path) -> None:
    program = "import time; time.sleep(0.5)"
    done = call([sys.executable, "-c", program, f"--token={TOKEN}"], tmp_path, {})
    assert done.traces() == ["KITE_ACCESS_TOKEN"]


def test_the_list_of_processes_is_that_of_the_call_and_its_children(tmp_path: Path) -> None:
    wait = "import time; time.sleep(0.5)"
    show = "import os, subprocess, sys; subprocess.run([sys.executable, *eval(os.environ['IT'])])"
    shown = call([sys.executable, "-c", show], tmp_path, {"IT": repr(["-c", wait, TOKEN])})
    assert shown.process_list == ("KITE_ACCESS_TOKEN",)
    long = [sys.executable, "-c", "import time; time.sleep(30)", TOKEN]
    leave = f"import subprocess; print(subprocess.Popen({long!r}, stdout=-3, stderr=-3).pid)"
    stranger = subprocess.run([sys.executable, "-c", leave], capture_output=True, check=True)
    try:
        assert call([sys.executable, "-c", wait], tmp_path, {}).process_list == ()
    finally:
        os.kill(int(stranger.stdout), signal.SIGKILL)


def test_the_environment_of_the_test_is_not_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITE_API_KEY", "a real one")
    program = "import os; print(os.environ.get('KITE_API_KEY'))"
    assert call([sys.executable, "-c", program], tmp_path, {}).stdout == "None\n"


def test_all_commands_are_found_those_of_groups_too() -> None:
    app, group = typer.Typer(), typer.Typer()
    for name in ("sync", "diff"):
        app.command(name)(lambda: 0)
    group.command("url")(lambda: 0)
    group.command("status")(lambda: 0)
    app.add_typer(group, name="auth")
    assert leaf_commands(app) == [("auth", "status"), ("auth", "url"), ("diff",), ("sync",)]
