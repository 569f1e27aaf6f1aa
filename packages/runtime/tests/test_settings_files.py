"""The settings files: what a line may be, who wins, and that secrets stay out of messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_runtime.errors import ConfigurationError
from kite_runtime.settings import parse_env, read_env


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(text.encode())


def test_the_environment_wins_then_infra_then_env(tmp_path: Path) -> None:
    write(tmp_path, ".env", "A=env\nB=env\nC=env\n")
    write(tmp_path, ".infra/.env", "B=infra\nC=infra\nD=infra\n")
    assert read_env(tmp_path, {"C": "process", "E": "process"}) == {
        "A": "env",
        "B": "infra",
        "C": "process",
        "D": "infra",
        "E": "process",
    }


@pytest.mark.parametrize(
    ("text", "mode", "named"),
    [
        ("KAFKA_SASL_PASSWORD=hunter2\n", 0o644, "KAFKA_SASL_PASSWORD"),
        ("KITE_API_SECRET=hunter2\n", 0o604, "KITE_API_SECRET"),
        ("KITE_ACCESS_TOKEN=hunter2\n", 0o602, "KITE_ACCESS_TOKEN"),
        ("POSTGRES_DSN=postgresql://me:hunter2@h/d\n", 0o644, "POSTGRES_DSN"),
        ("POSTGRES_DSN='host=h password=hunter2'\n", 0o644, "POSTGRES_DSN"),
        ("KAFKA_SASL_PASSWORD=hunter2\n", 0o600, None),
        ("KAFKA_SASL_PASSWORD=hunter2\n", 0o640, None),
        ("KAFKA_SASL_PASSWORD=\nPOSTGRES_DSN=postgresql://me@h/d\n", 0o644, None),
        ("KITE_TOKEN_FILE=token.json\nKAFKA_BOOTSTRAP=h:9092\n", 0o644, None),
    ],
)
@pytest.mark.parametrize("name", [".env", ".infra/.env"])
def test_a_file_with_a_secret_that_others_can_read_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, mode: int, named: str
) -> None:
    write(tmp_path, name, text)
    (tmp_path / name).chmod(mode)
    assert read_env(tmp_path, {}) == parse_env(text, name)
    said = capsys.readouterr().err
    if named is None:
        assert said == ""
    else:
        assert said == (
            f"warning: {name} is open to every user of this machine and holds {named}: "
            f"chmod 600 {tmp_path / name}\n"
        )


def test_missing_files_are_empty(tmp_path: Path) -> None:
    assert read_env(tmp_path, {"A": "1"}) == {"A": "1"}
    assert read_env(tmp_path / "nowhere", {}) == {}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("  A = 1  ", "1"),
        ("export A=1", "1"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=#kept", "#kept"),
        ("A=one two", "one two"),
        ("A=a#b", "a#b"),
        ("A=a #b", "a"),
        ("A=x=y", "x=y"),
        ("A='it is # $HOME \\n'", "it is # $HOME \\n"),
        ('A="a\\nb\\t\\"c\\" \\\\ \\d # e"  # comment', 'a\nb\t"c" \\ \\d # e'),
        ("A=''", ""),
        ("A=http://127.0.0.1:8081", "http://127.0.0.1:8081"),
    ],
)
def test_the_forms_of_a_line(line: str, value: str) -> None:
    assert parse_env(line, ".env") == {"A": value}


def test_comments_empty_lines_windows_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    write(tmp_path, ".env", "\ufeff# first\r\n\r\nA=1\r\n  # more\r\nA=2\r\n")
    assert read_env(tmp_path, {}) == {"A": "2"}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("secret", "is not NAME=value"),
        ("1A=secret", "is not NAME=value"),
        ("A B=secret", "is not NAME=value"),
        ("=secret", "is not NAME=value"),
        ("A-B=secret", "is not NAME=value"),
        ("A='secret", "has an unbalanced quote"),
        ('A="secret" more', "has an unbalanced quote"),
        ('A="secret\\"', "has an unbalanced quote"),
    ],
)
def test_a_malformed_line_is_named_and_not_quoted(tmp_path: Path, line: str, what: str) -> None:
    write(tmp_path, ".infra/.env", f"# comment\nOK=1\n{line}\n")
    with pytest.raises(ConfigurationError, match=what) as caught:
        read_env(tmp_path, {})
    assert str(caught.value).startswith(".infra/.env line 3 ")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_text_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"\.env is not UTF-8"):
        read_env(tmp_path, {})
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read: Is a directory"):
        read_env(tmp_path, {})


@given(value=st.text(st.characters(exclude_characters="'", exclude_categories=["Cc", "Cs", "Z"])))
def test_single_quotes_keep_anything(value: str) -> None:
    assert parse_env(f"A='{value}'", ".env") == {"A": value}


@given(text=st.text())
def test_any_text_gives_values_or_one_sentence(text: str) -> None:
    message = ".env line 1 "
    try:
        parse_env(text, ".env")
    except ConfigurationError as exc:
        message = str(exc)
    assert message.startswith(".env line ")


def test_what_the_local_stack_writes_loses_against_what_a_person_writes(tmp_path: Path) -> None:
    (tmp_path / ".infra").mkdir()
    (tmp_path / ".infra/local.env").write_text("KAFKA_BOOTSTRAP=local:1\nPOSTGRES_DSN=local\n")
    (tmp_path / ".infra/.env").write_text("KAFKA_BOOTSTRAP=mine:1\n")
    assert read_env(tmp_path, {}) == {"KAFKA_BOOTSTRAP": "mine:1", "POSTGRES_DSN": "local"}
    assert read_env(tmp_path, {}, local_stack=False) == {"KAFKA_BOOTSTRAP": "mine:1"}
