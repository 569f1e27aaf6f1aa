"""The files of the migrations: one chain without a hole, each step with its two SQL files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kite_contracts.migrations.versions
from kite_contracts.errors import UnknownRevisionError
from kite_contracts.migrations.chain import Migration, migrations, position, revision_at
from kite_contracts.migrations.sql_files import read_sql

FOLDER = Path(kite_contracts.migrations.versions.__file__).parent
CHAIN = tuple(Migration(f"000{n}", f"000{n}_{name}", name) for n, name in enumerate("abc", start=1))


def test_the_chain_has_no_hole_and_no_branch() -> None:
    names = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
    assert [migration.name for migration in migrations()] == names
    for number, migration in enumerate(migrations(), start=1):
        assert migration.revision == f"{number:04}"
        assert re.fullmatch(rf"{number:04}_[a-z0-9_]+", migration.name)


def test_each_step_has_its_two_sql_files_and_there_is_no_other() -> None:
    wanted = {f"{one.name}.{way}.sql" for one in migrations() for way in ("up", "down")}
    assert {path.name for path in FOLDER.glob("*.sql")} == wanted


@pytest.mark.parametrize("migration", migrations(), ids=lambda one: one.name)
def test_each_step_says_what_it_makes_and_leaves_the_transaction_alone(
    migration: Migration,
) -> None:
    assert re.fullmatch(r"[A-Z].*\.", migration.description)
    for way in ("up", "down"):
        text = read_sql(f"{migration.name}.{way}.sql")
        assert not re.search(
            r"^\s*(BEGIN|COMMIT|ROLLBACK|START TRANSACTION)\s*;", text, re.M | re.I
        )
        assert not re.search(r"\bCONCURRENTLY\b", text, re.I)
        assert not re.search(r"\bIF (NOT )?EXISTS\b", text, re.I), "it hides a wrong state"


@pytest.mark.parametrize(
    ("revision", "current", "count"),
    [
        (None, 0, 0),
        ("base", 2, 0),
        ("head", 0, 3),
        ("0002", 0, 2),
        ("0002_b", 0, 2),
        ("+1", 1, 2),
        ("-2", 2, 0),
    ],
)
def test_where_a_revision_is(revision: str | None, current: int, count: int) -> None:
    assert position(CHAIN, revision, current) == count


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [
        ("2", "There is no revision '2'; there are: base, 0001_a, 0002_b, 0003_c, head."),
        ("0002_", "There is no revision '0002_'"),
        ("", "There is no revision ''"),
        ("+3", "+3 leaves the chain: 1 of 3 migrations are applied."),
        ("-2", "-2 leaves the chain"),
    ],
)
def test_a_revision_that_is_none_is_named(revision: str, sentence: str) -> None:
    with pytest.raises(UnknownRevisionError) as caught:
        position(CHAIN, revision, 1)
    assert sentence in str(caught.value)


def test_position_and_revision_are_inverse() -> None:
    for count in range(len(CHAIN) + 1):
        assert position(CHAIN, revision_at(CHAIN, count)) == count
