"""Ticks out of the archive: by token or name, over a span of time, as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import reduce
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]

from kite_lake.catalog import Lake
from kite_lake.errors import NothingArchived
from kite_lake.filters import on_days, where
from kite_lake.tables import TICKS, TRADING_DAY, day_of, day_span_ns, trading_day
from kite_runtime.clock import IST
from kite_runtime.errors import ConfigurationError, UsageError

Form = Literal["arrow", "pandas", "polars", "duckdb", "batches"]
Moment = date | datetime
ORDER: Final = TICKS.order


class Named(NamedTuple):
    """The token that a name had from ``first`` to ``last``, both included."""

    token: int
    first: date
    last: date


Resolve = Callable[[str, date, date], Iterable[Named]]
"""The tokens of a name such as ``NSE:INFY`` between two days. Raises NotFound for no such name."""


def read_ticks(
    lake: Lake,
    *,
    tokens: Iterable[int] = (),
    symbols: Iterable[str] = (),
    start: Moment,
    end: Moment | None = None,
    columns: Sequence[str] | None = None,
    as_: Form = "arrow",
    resolve: Resolve | None = None,
) -> Any:
    """The ticks of these instruments from ``start`` to ``end``; of all where none is named.

    A date is an IST day, and as ``end`` that day is included (None: the day of ``start``). A time
    as ``end`` is not; one without a zone is IST. ``symbols`` are resolved by ``resolve``, as of
    each day. Prices are integers of ``price_scale`` decimals; times are ``timestamp[ns, UTC]``,
    named without ``_ns``.

    Ordered by token, session and sequence, but for ``batches``: a ``pyarrow.RecordBatchReader``
    that reads as it goes, for more than memory holds. Raises NothingArchived where there is no
    table, UsageError for an unknown column, and what ``resolve`` raises.
    """
    table = lake.existing(TICKS)
    if table is None:
        raise NothingArchived(
            f"nothing is archived in {lake.warehouse} yet: start tick_archive run"
        )
    names = [each for each in table.schema().column_names if each != TRADING_DAY]
    shown = {name.removesuffix("_ns"): name for name in names}
    wanted = list(shown) if columns is None else list(columns)
    unknown = [name for name in wanted if name not in shown]
    if unknown:
        raise UsageError(f"{unknown[0]} is no column of the ticks; there are {', '.join(shown)}")
    asked = [shown[name] for name in wanted]
    since_ns, until_ns = span_ns(start, end)
    needed = asked if as_ == "batches" else list(dict.fromkeys([*asked, *ORDER]))
    chosen = _filter(since_ns, until_ns, tokens, symbols, resolve)
    with lake.explained():
        scan = table.scan(row_filter=chosen, selected_fields=tuple(needed))
        if as_ == "batches":
            return _batches(scan.to_arrow_batch_reader(), asked)
        rows = scan.to_arrow().sort_by([(name, "ascending") for name in ORDER])
    return _in_form(_timed(rows.select(asked)), as_)


def span_ns(start: Moment, end: Moment | None) -> tuple[int, int]:
    """First nanosecond and the one after the last. Raises UsageError where that is nothing."""
    since_ns = day_span_ns(start)[0] if not isinstance(start, datetime) else _ns(start)
    if end is None:
        end = start if not isinstance(start, datetime) else start.astimezone(IST).date()
    until_ns = day_span_ns(end)[1] if not isinstance(end, datetime) else _ns(end)
    if until_ns <= since_ns:
        raise UsageError(f"the end {end} is before the start {start}: exchange them")
    return since_ns, until_ns


def _ns(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=IST)
    whole = aware - datetime.fromtimestamp(0, aware.tzinfo)
    return (whole // timedelta(microseconds=1)) * 1000


def _filter(
    since_ns: int,
    until_ns: int,
    tokens: Iterable[int],
    symbols: Iterable[str],
    resolve: Resolve | None,
) -> Any:
    first, last = day_of(trading_day(since_ns)), day_of(trading_day(until_ns - 1))
    during = where.And(
        on_days(first.isoformat(), last.isoformat()),
        where.And(
            where.GreaterThanOrEqual("ts_recv_ns", since_ns), where.LessThan("ts_recv_ns", until_ns)
        ),
    )
    instruments: list[Any] = []
    if plain := sorted(set(tokens)):
        instruments.append(where.In("instrument_token", plain))
    for symbol in symbols:
        if resolve is None:
            raise UsageError(f"{symbol} is a name: give its token, or a resolver of names")
        for named in resolve(symbol, first, last):
            token = where.In("instrument_token", [named.token])
            instruments.append(
                where.And(token, on_days(named.first.isoformat(), named.last.isoformat()))
            )
    if not instruments:
        return during
    return where.And(during, reduce(where.Or, instruments))


def _timed(rows: Any) -> Any:
    """Times as timestamps, named without ``_ns``; large strings as plain ones."""
    fields = []
    for each in rows.schema:
        kind = pa.string() if each.type == pa.large_string() else each.type
        if each.name.endswith("_ns"):
            kind = pa.timestamp("ns", "UTC")
        fields.append(pa.field(each.name, kind))
    return rows.cast(pa.schema(fields)).rename_columns(
        [each.name.removesuffix("_ns") for each in fields]
    )


def _batches(reader: Any, asked: Sequence[str]) -> Any:
    first = _timed(pa.Table.from_batches([], reader.schema).select(asked))

    def each() -> Iterable[Any]:
        for batch in reader:
            yield from _timed(pa.Table.from_batches([batch]).select(asked)).to_batches()

    return pa.RecordBatchReader.from_batches(first.schema, each())


def _in_form(rows: Any, form: Form) -> Any:
    if form == "arrow":
        return rows
    if form == "pandas":
        import pandas as pd

        wanted = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
        return rows.to_pandas(types_mapper=wanted.get)
    try:
        if form == "polars":
            import polars  # pants: no-infer-dep

            return polars.from_arrow(rows)
        if form == "duckdb":
            import duckdb  # pants: no-infer-dep

            return duckdb.from_arrow(rows)
    except ImportError as exc:
        raise ConfigurationError(f"{form} is not installed: pip install {form}") from exc
    raise UsageError(
        f"{form} is no form of ticks; there are arrow, pandas, polars, duckdb, batches"
    )
