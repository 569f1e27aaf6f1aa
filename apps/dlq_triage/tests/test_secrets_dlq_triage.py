"""A canary: no command shows a secret, with services away and with settings that are wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from kite_dlq_triage.cli import PROGRAM
from kite_runtime.testing import (
    SECRETS,
    call,
    import_path,
    leaf_commands,
    postgres_dsn,
    traces_in_files,
    write_env,
    write_token_file,
)

NOBODY: Final = "127.0.0.1:9"
ARGUMENTS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("assign",): ("1", "--to", "somebody"),
    ("consume",): ("--once",),
    ("history",): ("1",),
    ("show",): ("1",),
}
"""What a command needs to get as far as its settings; a new one without an entry gets nothing."""

AWAY: Final = {
    "KAFKA_BOOTSTRAP": NOBODY,
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "triage",
    "SCHEMA_REGISTRY_URL": f"http://{NOBODY}",
}
WRONG: Final = {
    "KAFKA_BOOTSTRAP": NOBODY,
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "X",
    "POSTGRES_DSN": postgres_dsn(address="[no-address"),
}


@pytest.mark.parametrize("env", [AWAY, WRONG], ids=["away", "wrong"])
@pytest.mark.parametrize("command", leaf_commands(PROGRAM.app()), ids=" ".join)
def test_no_command_shows_a_secret(
    tmp_path: Path, command: tuple[str, ...], env: dict[str, str]
) -> None:
    write_env(tmp_path)
    write_token_file(tmp_path)
    done = call(
        [
            sys.executable,
            "-m",
            "kite_dlq_triage.cli",
            *command,
            *ARGUMENTS.get(command, ()),
            "--debug",
        ],
        tmp_path,
        {**SECRETS, "POSTGRES_DSN": postgres_dsn(), **env, "PYTHONPATH": import_path()},
    )
    assert done.code in (0, 1, 3, 75, 78), f"as far as its settings: {done.stderr}"
    assert done.traces() == []
    assert traces_in_files(tmp_path) == []
