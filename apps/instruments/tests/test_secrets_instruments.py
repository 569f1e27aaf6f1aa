"""A canary: no command shows a secret, with services away and with settings that are wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from kite_instruments.cli import PROGRAM
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
    ("auth", "exchange"): ("requesttoken0123",),
    ("auth", "login"): ("--wait", "1", "--port", "0", "--no-browser"),
    ("lookup",): ("NIFTY26AUGFUT",),
}
"""What a command needs to get as far as its settings; a new one without an entry gets nothing."""

SHOWN: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("auth", "url"): ("KITE_API_KEY",),
    ("auth", "login"): ("KITE_API_KEY",),
}
"""The login page is an address with the key in it, for a person to open."""

AWAY: Final = {
    "INSTRUMENTS_STATE_DIR": "state",
    "KAFKA_BOOTSTRAP": NOBODY,
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "instruments",
    "KITE_API_URL": f"http://{NOBODY}",
    "SCHEMA_REGISTRY_URL": f"http://{NOBODY}",
}
WRONG: Final = {
    **AWAY,
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "X",
    "POSTGRES_DSN": postgres_dsn(address="[no-address"),
}
WRONG_ADDRESS: Final = {
    **AWAY,
    "KITE_API_URL": f"http://u:{SECRETS['KITE_API_SECRET']}@[no-address",
}

COMMANDS = leaf_commands(PROGRAM.app())


CALLS: Final = [
    *(pytest.param(name, AWAY, id=" ".join((*name, "away"))) for name in COMMANDS),
    *(pytest.param(name, WRONG, id=" ".join((*name, "wrong"))) for name in COMMANDS),
    *(
        pytest.param(name, WRONG_ADDRESS, id=" ".join((*name, "address")))
        for name in [("sync",), ("auth", "exchange"), ("auth", "status"), ("auth", "logout")]
    ),
]


@pytest.mark.parametrize(("command", "env"), CALLS)
def test_no_command_shows_a_secret(
    tmp_path: Path, command: tuple[str, ...], env: dict[str, str]
) -> None:
    write_env(tmp_path)
    write_token_file(tmp_path)
    done = call(
        [
            sys.executable,
            "-m",
            "kite_instruments.cli",
            *command,
            *ARGUMENTS.get(command, ()),
            "--debug",
        ],
        tmp_path,
        {**SECRETS, "POSTGRES_DSN": postgres_dsn(), **env, "PYTHONPATH": import_path()},
    )
    assert done.code in (0, 1, 3, 75, 78), f"as far as its settings: {done.stderr}"
    assert done.traces(SHOWN.get(command, ())) == []
    assert traces_in_files(tmp_path) == []


@pytest.mark.parametrize("damage", ["no JSON ", "\0"])
def test_a_damaged_token_file_is_not_quoted(tmp_path: Path, damage: str) -> None:
    path = write_token_file(tmp_path)
    path.write_text(damage + path.read_text())
    command = [sys.executable, "-m", "kite_instruments.cli", "auth", "status", "--debug"]
    done = call(command, tmp_path, {**AWAY, "PYTHONPATH": import_path()})
    assert done.code in (1, 78), done.stderr
    assert done.traces() == []
