"""The migrations that this version of the package brings, oldest first: one line, no branches."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.script import ScriptDirectory

from kite_contracts.errors import UnknownRevisionError

BASE: Final = "base"
HEAD: Final = "head"


@dataclass(frozen=True)
class Migration:
    """One step. ``name`` is that of its files, such as ``0001_instruments``."""

    revision: str
    name: str
    description: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations, oldest first."""
    with script_directory() as folder:
        scripts = list(ScriptDirectory.from_config(configuration(folder)).walk_revisions())
        return tuple(
            Migration(script.revision, Path(script.path).stem, script.doc)
            for script in reversed(scripts)
        )


def position(chain: Sequence[Migration], revision: str | None, current: int = 0) -> int:
    """How many migrations are applied at ``revision``. Pure.

    ``revision`` is None or ``base`` (none), ``head`` (all), a number (``0002``), a name
    (``0002_dead_letters``), or steps from ``current``: ``+1``, ``-2``. Raises
    UnknownRevisionError.
    """
    if revision in (None, BASE):
        return 0
    if revision == HEAD:
        return len(chain)
    assert revision is not None
    if revision[:1] in ("+", "-") and revision[1:].isdecimal():
        found = current + int(revision)
        if 0 <= found <= len(chain):
            return found
        raise UnknownRevisionError(
            f"{revision} leaves the chain: {current} of {len(chain)} migrations are applied."
        )
    for count, migration in enumerate(chain, start=1):
        if revision in (migration.revision, migration.name):
            return count
    known = ", ".join([BASE, *(migration.name for migration in chain), HEAD])
    raise UnknownRevisionError(f"There is no revision {revision!r}; there are: {known}.")


def revision_at(chain: Sequence[Migration], count: int) -> str | None:
    """The revision of a database with ``count`` migrations; None where there is none. Pure."""
    return chain[count - 1].revision if count else None


@contextlib.contextmanager
def script_directory() -> Iterator[Path]:
    """A real folder with ``env.py`` and ``versions``, which alembic reads as files.

    A wheel has one. Inside a zip file there is none, so they are copied out for as long as needed.
    """
    source = files("kite_contracts.migrations")
    if isinstance(source, Path):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="kite-migrations-") as name:
        folder = Path(name)
        (folder / "versions").mkdir()
        _copy(source / "env.py", folder)
        for entry in (source / "versions").iterdir():
            if entry.name.endswith(".py"):
                _copy(entry, folder / "versions")
        yield folder


def _copy(source: Traversable, folder: Path) -> None:
    (folder / source.name).write_bytes(source.read_bytes())


def configuration(folder: Path) -> Config:
    """alembic's settings without an ini file."""
    config = Config()
    # A percent sign in a path would be taken for an interpolation.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
