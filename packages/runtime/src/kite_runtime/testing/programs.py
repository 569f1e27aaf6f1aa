"""For tests: programs as children, and what there is of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import typer
from typer.main import get_command

PATIENCE_S: Final = 120.0
"""How long a call may take."""


def import_path() -> str:
    """This process's import path for a child; absolute, because Pants gives relative folders."""
    return os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))


def leaf_commands(app: typer.Typer) -> list[tuple[str, ...]]:
    """Every command of the app as it is typed, those of groups included, in alphabetical order.

    A test that runs each of them learns of a new one by itself.
    """
    return sorted(_leaves(get_command(app), ()))


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path
    else:
        for name, child in children.items():
            yield from _leaves(child, (*path, name))
