"""Declared variables: what is read, what is said of a wrong value, and the table of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from kite_runtime.errors import ConfigurationError, SettingError
from kite_runtime.settings import (
    PostgresUser,
    Settings,
    WrongValue,
    choice,
    group,
    identifier,
    integer,
    optional,
    paths,
    read_variables,
    require,
    variable,
    variables_table,
)


def _even(text: str) -> int:
    if int(text) % 2:
        raise WrongValue(f"is {text!r}, not even")
    return int(text)


@dataclass(frozen=True)
class Inner:
    host: str = variable("INNER_HOST", identifier, "", "a host", example="h")
    level: str = variable("INNER_LEVEL", choice("LOW", "HIGH"), "low", "how much")


@dataclass(frozen=True, kw_only=True)
class Outer(PostgresUser):
    inner: Inner | None = group(Inner, "host")
    name: str = variable("OUTER_NAME", identifier, "first", "a name")
    port: int = variable("OUTER_PORT", integer(0, 99), "7", "a port")
    pair: int | None = variable("OUTER_PAIR", optional(_even), "", "a pair", example="2")
    token: str = variable("OUTER_TOKEN", str, "", "a token", unset="is not set: ask", secret=True)
    own: Path = variable("OUTER_OWN", Path, "{name:.3}/own", "a folder")
    more: tuple[Path, ...] = variable("OUTER_MORE", paths, "", "files")


def test_defaults_may_name_earlier_fields_and_paths_start_at_the_root() -> None:
    made = Outer.from_env(Path("/srv"), {})
    assert (made.name, made.port, made.pair, made.inner) == ("first", 7, None, None)
    assert (made.own, made.more) == (Path("/srv/fir/own"), ())
    made = Outer.from_env(Path("/srv"), {"OUTER_NAME": "b", "OUTER_MORE": "x, /y"})
    assert (made.own, made.more) == (Path("/srv/b/own"), (Path("/srv/x"), Path("/y")))


def test_what_is_given_wins_and_is_checked_alike() -> None:
    env = {"OUTER_PORT": "8", "INNER_LEVEL": "high"}
    made = Outer.from_env(Path(), env, port=9, name=None, host="here")
    assert (made.port, made.name, made.inner) == (9, "first", Inner("here", "HIGH"))
    with pytest.raises(SettingError, match="OUTER_PORT is '100', no whole number from 0 to 99"):
        Outer.from_env(Path(), env, port=100)
    with pytest.raises(TypeError, match="Outer has no variable for prot"):
        Outer.from_env(Path(), env, prot=1)


def test_a_wrong_value_names_variable_problem_and_example() -> None:
    with pytest.raises(SettingError) as caught:
        Outer.from_env(Path(), {"OUTER_PAIR": " 3 "})
    assert str(caught.value) == "OUTER_PAIR is '3', not even, for example OUTER_PAIR=2"
    with pytest.raises(SettingError, match="INNER_LEVEL is 'x', none of LOW, HIGH, .*=low$"):
        read_variables(Inner, {"INNER_HOST": "h", "INNER_LEVEL": "x"}, {})
    with pytest.raises(SettingError, match="OUTER_NAME holds a NUL character"):
        Outer.from_env(Path(), {"OUTER_NAME": "a\0"})


def test_what_is_missing_is_one_sentence() -> None:
    made = Outer.from_env(Path(), {})
    with pytest.raises(SettingError, match=r"^POSTGRES_DSN is not set \(`make up` .* example"):
        made.require_postgres()
    with pytest.raises(
        ConfigurationError, match=r"^OUTER_TOKEN is not set: ask; looked in .* below /.* in \.env, "
    ):
        require(made, "token")
    assert Outer.from_env(Path(), {"POSTGRES_DSN": "dsn"}).require_postgres() == "dsn"


def test_secrets_are_left_out_of_repr(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OUTER_TOKEN=s3cr3t\n")
    made = Outer.load(tmp_path, {"POSTGRES_DSN": "s3cr3t"})
    assert (made.token, made.postgres_dsn) == ("s3cr3t", "s3cr3t")
    assert "s3cr3t" not in repr(made)


def test_the_table_has_a_row_for_each_variable() -> None:
    assert variables_table(Settings).count("\n") == 2
    rows = variables_table(Outer).splitlines()
    assert "| `OUTER_PORT` | `7` | a port |" in rows
    assert "| `OUTER_OWN` | `<name>/own` | a folder |" in rows
    assert "| `OUTER_TOKEN` |  | a token |" in rows
    assert len(rows) == 2 + 7
