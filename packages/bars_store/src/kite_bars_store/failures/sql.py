"""The statements of both `.sql` files, with the condition of a selection put in."""

from __future__ import annotations

from typing import Final

from kite_bars_store.database import load_statements

_PACKAGE: Final = "kite_bars_store.failures"
_LOADED: Final = {**load_statements(_PACKAGE), **load_statements(_PACKAGE, "redrive.sql")}


def statement(name: str) -> bytes:
    """The statement of this name."""
    return _LOADED[name].replace(b"{selected}", _LOADED["selected"])
