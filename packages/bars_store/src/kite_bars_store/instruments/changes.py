"""What differs between two masters, by contract and not only by symbol. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.instruments.columns import SCHEMA, SORTED, conform

Rows = npt.NDArray[np.int64]

BEFORE: Final = "_before"
_SAME_CONTRACT: Final = ("name", "expiry", "instrument_type")
_TERMS: Final = tuple(
    name
    for name in SCHEMA.names
    if name not in ("exchange", "tradingsymbol", "instrument_token", "exchange_token")
)


@dataclass(frozen=True)
class Changes:
    """What became of the contracts; each table is ordered by exchange and tradingsymbol.

    Contracts are matched within an exchange, first by token: the same token is the same contract
    when the symbol is the same, or when underlying, expiry and type are (a corporate action
    changes symbol and strike). What is left is matched by symbol. A row of the later master that
    has no match is in ``added``, one of the earlier master in ``expired`` or ``removed``; a match
    is in ``renamed`` (other symbol), ``changed`` (same symbol, other terms) or neither. ``moved``
    and ``reused`` show the same masters by symbol and by token, whatever was matched.

    ``added``, ``expired``, ``removed`` have the columns of `SCHEMA`. The others are pairs: the
    later row, the earlier one in columns that end in ``_before``, and ``terms``, the names of the
    columns other than symbol and tokens that differ.
    """

    added: pa.Table
    """Contracts that are new, also those that took over the symbol of a renamed one."""
    expired: pa.Table
    """Contracts that are gone and whose expiry lies before the day of the later master."""
    removed: pa.Table
    """Contracts that are gone all the same."""
    renamed: pa.Table
    """The same contract under another symbol."""
    moved: pa.Table
    """Symbols on another token, whether the contract moved or another one took the symbol."""
    reused: pa.Table
    """Tokens that name another contract; the two are also in ``expired`` or ``removed`` and
    ``added``, unless matched by their symbols."""
    changed: pa.Table
    """The same contract under the same symbol, with other terms (lot size, tick size, ...)."""

    def counts(self) -> dict[str, int]:
        """Rows by name of the table."""
        return {each.name: getattr(self, each.name).num_rows for each in fields(self)}


def diff(before: pa.Table, after: pa.Table, *, day: date | None = None) -> Changes:
    """The changes from one master to another; columns as in `SCHEMA`, in any order.

    ``day`` is that of the later master; without it no contract counts as expired. Compare the same
    exchanges: an exchange that one of them lacks is added or removed whole. Raises ValueError as
    `columns.conform` does.
    """
    before, after = conform(before), conform(after)
    old, new = _join(before, after, "instrument_token")
    same_symbol = _equal(before, old, after, new, ("tradingsymbol",))
    same_contract = _equal(before, old, after, new, _SAME_CONTRACT)
    renamed = ~same_symbol & same_contract
    reused = ~same_symbol & ~same_contract
    old_left, new_left = _mask(before), _mask(after)
    matched = same_symbol | renamed
    old_left[old[matched]] = False
    new_left[new[matched]] = False

    old_by_symbol, new_by_symbol = _join(before, after, "tradingsymbol")
    moved = ~_equal(before, old_by_symbol, after, new_by_symbol, ("instrument_token",))
    left = old_left[old_by_symbol] & new_left[new_by_symbol]
    old_left[old_by_symbol[left]] = False
    new_left[new_by_symbol[left]] = False

    kept_old = np.concatenate([old[same_symbol], old_by_symbol[left]])
    kept_new = np.concatenate([new[same_symbol], new_by_symbol[left]])
    differs = ~_equal(before, kept_old, after, kept_new, _TERMS)
    gone = _rows(before, np.flatnonzero(old_left))
    ended = _ended(gone, day)
    return Changes(
        added=_rows(after, np.flatnonzero(new_left)),
        expired=gone.filter(pa.array(ended)),
        removed=gone.filter(pa.array(~ended)),
        renamed=_pairs(before, old[renamed], after, new[renamed]),
        moved=_pairs(before, old_by_symbol[moved], after, new_by_symbol[moved]),
        reused=_pairs(before, old[reused], after, new[reused]),
        changed=_pairs(before, kept_old[differs], after, kept_new[differs]),
    )


def _mask(table: pa.Table) -> npt.NDArray[np.bool_]:
    return np.ones(table.num_rows, dtype=np.bool_)


def _join(before: pa.Table, after: pa.Table, by: str) -> tuple[Rows, Rows]:
    """Row numbers that share exchange and ``by``, where no other row of either table has them."""
    joined = _numbered(before, by, "old").join(
        _numbered(after, by, "new"), ["exchange", by], join_type="inner"
    )
    return joined["old_min"].to_numpy(), joined["new_min"].to_numpy()


def _numbered(table: pa.Table, by: str, name: str) -> pa.Table:
    keys = table.select(["exchange", by])
    keys = keys.append_column(name, pa.array(np.arange(table.num_rows)))
    counted = keys.group_by(["exchange", by]).aggregate([(name, "min"), (name, "count")])
    once = counted.filter(pc.equal(counted[f"{name}_count"], 1))
    return once.drop_columns([f"{name}_count"])


def _equal(
    before: pa.Table, old: Rows, after: pa.Table, new: Rows, names: tuple[str, ...]
) -> npt.NDArray[np.bool_]:
    """Per pair of rows, whether all of these columns agree; null agrees with null."""
    agree = np.ones(len(old), dtype=np.bool_)
    for name in names:
        agree &= _agree(before[name].take(pa.array(old)), after[name].take(pa.array(new)))
    return agree


def _agree(left: Any, right: Any) -> npt.NDArray[np.bool_]:
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    same = pc.or_(pc.fill_null(pc.equal(left, right), False), both_null)
    found: npt.NDArray[np.bool_] = same.to_numpy().astype(np.bool_)
    return found


def _rows(table: pa.Table, numbers: Rows) -> pa.Table:
    return table.take(pa.array(numbers, pa.int64())).sort_by(SORTED)


def _ended(gone: pa.Table, day: date | None) -> npt.NDArray[np.bool_]:
    if day is None:
        return np.zeros(gone.num_rows, dtype=np.bool_)
    found: npt.NDArray[np.bool_] = (
        pc.fill_null(pc.less(gone["expiry"], pa.scalar(day)), False).to_numpy().astype(np.bool_)
    )
    return found


def _pairs(before: pa.Table, old: Rows, after: pa.Table, new: Rows) -> pa.Table:
    later, earlier = after.take(pa.array(new)), before.take(pa.array(old))
    agreeing = {name: _agree(earlier[name], later[name]) for name in _TERMS}
    terms = [[name for name in _TERMS if not agreeing[name][row]] for row in range(len(old))]
    pairs = later
    for name in SCHEMA.names:
        pairs = pairs.append_column(SCHEMA.field(name).with_name(name + BEFORE), earlier[name])
    pairs = pairs.append_column("terms", pa.array(terms, pa.list_(pa.string())))
    return pairs.sort_by(SORTED)
