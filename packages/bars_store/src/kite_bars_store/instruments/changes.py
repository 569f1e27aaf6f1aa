"""What differs between two masters, and when a dump must not replace one. All but the reads of a
store is pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_bars_store.errors import DumpRefused
from kite_bars_store.instruments.records import SCHEMA, SORTED, Batch, conform
from kite_runtime.errors import NotFound, UsageError

Rows = npt.NDArray[np.int64]

ADJACENT_DAYS: Final = 7
"""A token that was free for so short a time is not given to another share."""
BEFORE: Final = "_before"
_SEPARATOR: Final = "\x1f"
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


def diff(
    before: pa.Table,
    after: pa.Table,
    *,
    day: date | None = None,
    adjacent: Collection[str] = (),
) -> Changes:
    """The changes from one master to another; columns as in `SCHEMA`, in any order.

    ``day`` is that of the later master; without it no contract counts as expired. ``adjacent`` are
    exchanges whose two masters are at most ADJACENT_DAYS apart for certain: there an instrument
    without expiry that has another symbol and name on the same token is renamed, as its company
    was; on others its token is reused.

    Compare the same exchanges: an exchange that only one of them has is added or removed whole.
    Raises ValueError as `records.conform` does.
    """
    before, after = conform(before), conform(after)
    old, new = _join(before, after, "instrument_token")
    same_symbol = _equal(before, old, after, new, ("tradingsymbol",))
    same_contract = _equal(before, old, after, new, _SAME_CONTRACT)
    same_contract |= _is_company(before, old, after, new, adjacent)
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


def dump_days(batches: Iterable[Batch], day: date) -> dict[str, date]:
    """By exchange, the day of the dump that is its master on ``day``; it may be much older."""
    found: dict[str, date] = {}
    for batch in batches:
        if batch.observed_on <= day:
            for exchange in batch.exchanges:
                found[exchange] = max(batch.observed_on, found.get(exchange, date.min))
    return found


def are_adjacent(one: date | None, other: date | None) -> bool:
    """False where a day is not known."""
    return one is not None and other is not None and abs((other - one).days) <= ADJACENT_DAYS


def _is_company(
    before: pa.Table, old: Rows, after: pa.Table, new: Rows, adjacent: Collection[str]
) -> npt.NDArray[np.bool_]:
    """Pairs of shares on one token, of which each symbol is in its own master alone."""
    found = _equal(before, old, after, new, ("instrument_type", "segment", "lot_size"))
    exchange = after["exchange"].take(pa.array(new))
    near = pc.is_in(exchange, value_set=pa.array(sorted(adjacent), pa.string()))
    found &= near.to_numpy(zero_copy_only=False).astype(np.bool_)
    for table, rows, other in ((before, old, after), (after, new, before)):
        own = table.take(pa.array(rows))
        found &= pc.is_null(own["expiry"]).to_numpy(zero_copy_only=False).astype(np.bool_)
        there = pc.is_in(_keys(own), value_set=_keys(other))
        found &= ~there.to_numpy(zero_copy_only=False).astype(np.bool_)
    return found


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


@dataclass(frozen=True)
class SymbolCounts:
    """Symbols that are new, changed, gone, and unchanged.

    ``before`` and ``after`` are what is left of the two masters without the symbols that are on the
    same token in both: all that can be renamed, moved or reused.
    """

    added: int
    changed: int
    removed: int
    unchanged: int
    before: pa.Table
    after: pa.Table


def count_by_symbol(before: pa.Table, after: pa.Table) -> SymbolCounts:
    """Both with the columns of ``SCHEMA``; a symbol occurs once in each."""
    place = pc.index_in(_keys(after), value_set=_keys(before))
    common = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
    earlier = place.drop_null().to_numpy()
    same = np.ones(len(common), np.bool_)
    same_token = same
    for name in SCHEMA.names:
        agrees = _agree(before[name].take(pa.array(earlier)), after[name].take(pa.array(common)))
        same = same & agrees
        if name == "instrument_token":
            same_token = agrees
    unchanged = int(same.sum())
    return SymbolCounts(
        added=after.num_rows - len(common),
        changed=len(common) - unchanged,
        removed=before.num_rows - len(common),
        unchanged=unchanged,
        before=_without(before, earlier[same_token]),
        after=_without(after, common[same_token]),
    )


def _keys(table: pa.Table) -> Any:
    keys = pc.binary_join_element_wise(table["exchange"], table["tradingsymbol"], _SEPARATOR)
    return keys.combine_chunks()


def _without(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    keep = np.ones(table.num_rows, np.bool_)
    keep[rows] = False
    return table.filter(pa.array(keep))


@dataclass(frozen=True)
class Compared:
    """Two masters of the same exchanges. ``left_out`` are those that only one of them has."""

    labels: tuple[str, str]
    changes: Changes
    left_out: tuple[str, ...]


class Days(Protocol):
    """The part of InstrumentStore that is read here."""

    def at(self, day: date) -> pa.Table: ...

    def days(self) -> list[Batch]: ...


def compare_days(store: Days, first: date, second: date, exchanges: Iterable[str]) -> Compared:
    """Compare the masters of two days. Raises UsageError and NotFound."""
    if first >= second:
        raise UsageError(f"{first} is not before {second}: give the earlier day first")
    before, after = store.at(first), store.at(second)
    for day, master in ((first, before), (second, after)):
        if not master.num_rows:
            raise NotFound(f"no dump holds on {day}: `instruments days` lists what there is")
    dumps = store.days()
    days, later = dump_days(dumps, first), dump_days(dumps, second)
    adjacent = {each for each in days if are_adjacent(days[each], later[each])}
    return compare_masters((str(first), str(second)), before, after, exchanges, second, adjacent)


def last_two_days(store: Days) -> tuple[date, date]:
    """The two newest days with a dump. Raises NotFound."""
    days = sorted({batch.observed_on for batch in store.days()})
    if len(days) < 2:
        raise NotFound(
            f"the history has {len(days)} of the two days that a diff needs: run `instruments "
            "sync` on another day, or compare two files"
        )
    return days[-2], days[-1]


def compare_masters(
    labels: tuple[str, str],
    before: pa.Table,
    after: pa.Table,
    exchanges: Iterable[str],
    day: date | None,
    adjacent: Collection[str] = (),
) -> Compared:
    """The changes of ``exchanges``, or else of those that both have; ``day`` and ``adjacent`` as of
    `diff`. Raises NotFound."""
    mine, theirs = (set(pc.unique(each["exchange"]).to_pylist()) for each in (before, after))
    wanted = set(exchanges)
    unknown = wanted - mine - theirs
    if unknown:
        raise NotFound(
            f"neither has {' or '.join(sorted(unknown))}; they have "
            f"{', '.join(sorted(mine | theirs))}"
        )
    common = wanted or mine & theirs
    if not common:
        raise NotFound(
            f"they have no exchange in common: {', '.join(sorted(mine))} and "
            f"{', '.join(sorted(theirs))}"
        )
    chosen = pa.array(sorted(common), pa.string())
    changes = diff(
        before.filter(pc.is_in(before["exchange"], chosen)),
        after.filter(pc.is_in(after["exchange"], chosen)),
        day=day,
        adjacent=adjacent,
    )
    left_out = () if wanted else tuple(sorted(mine ^ theirs))
    return Compared(labels, changes, left_out)


def is_expired(rows: pa.Table, day: date) -> Any:
    """Which contracts had ended before ``day``."""
    return pc.fill_null(pc.less(rows["expiry"], pa.scalar(day)), False)


def expired(rows: pa.Table, day: date) -> pa.Table:
    """The contracts that had ended before ``day``; a dump of that day has none."""
    return rows.filter(is_expired(rows, day))


def check_day(rows: pa.Table, day: date, source: str) -> None:
    """Raises DumpRefused when the dump is older than ``day``."""
    old = expired(rows, day).sort_by("expiry")
    if old.num_rows:
        first = old["expiry"][0].as_py()
        raise DumpRefused(
            f"{source} is older than {day}: it holds {old.num_rows} contracts that expired before, "
            f"such as {old['tradingsymbol'][0]} on {first}; say its day by --date, {first} at the "
            "latest"
        )


def check_exchanges(found: Iterable[str], asked: Iterable[str], source: str) -> None:
    """Raises DumpRefused when the dump is missing an exchange that was asked for."""
    there = set(found)
    missing = [exchange for exchange in asked if exchange not in there]
    if missing:
        raise DumpRefused(
            f"{source} has no row of {' and '.join(missing)} (it has {', '.join(sorted(there))}): "
            "the last good master stays"
        )


def check_drop(exchange: str, now: int, before: int | None, share_max: float) -> None:
    """Raises DumpRefused when the exchange has lost too many instruments to be believed.

    ``before`` is how many of the last master still hold on the dump's day; ``share_max`` 0.2 lets
    a fifth of them go.
    """
    if not before or now >= before * (1.0 - share_max):
        return
    lost = (before - now) / before
    raise DumpRefused(
        f"{exchange} has {now:,} instruments and had {before:,}: {lost:.0%} fewer, and --max-drop "
        f"allows {share_max:.0%}; the last good master stays (if the exchange did shrink, run it "
        "again with a larger --max-drop)"
    )
