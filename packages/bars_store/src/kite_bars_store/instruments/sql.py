"""The statements of `statements.sql`, with the one rule of the projection put where it is used."""

from __future__ import annotations

from typing import Final

from kite_bars_store.database import load_statements

_LOADED: Final = load_statements("kite_bars_store.instruments")


def statement(name: str) -> bytes:
    """The statement as it stands in the file."""
    return _LOADED[name]


def refresh_touched() -> bytes:
    """Appends the ranges of the symbols in instrument_touched."""
    return _LOADED["refresh_touched"].replace(b"{ranges}", _ranges("keys_touched"))


def reading(name: str, keys: str, *, as_known: bool) -> bytes:
    """A read of the projection, or with ``as_known`` of the ranges made from what was known then.

    ``keys`` names the relation of symbols that the ranges are then made for.
    """
    validity = b"(" + _ranges(keys) + b")" if as_known else b"instrument_validity"
    return _LOADED[name].replace(b"{validity}", validity)


def _ranges(keys: str) -> bytes:
    return _LOADED["ranges"].replace(b"{keys}", _LOADED[keys])
