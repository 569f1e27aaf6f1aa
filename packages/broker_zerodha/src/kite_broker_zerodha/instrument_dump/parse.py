"""The whole way from a dump's bytes to rows and refusals. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from kite_broker_zerodha.errors import NotADump
from kite_broker_zerodha.instrument_dump.columns import SCHEMA, Flags, Ints, table_of, typed
from kite_broker_zerodha.instrument_dump.rows import RefusedRow, fault_of, reason_of, record_of
from kite_broker_zerodha.instrument_dump.text import Block, Text, read_text, unpacked
from kite_contracts.reasons import ReasonCode

REFUSED_MAX: Final = 5_000
"""More refused rows than this are no bad rows but another kind of file."""

_KEY: Final = ["exchange", "tradingsymbol"]


@dataclass(frozen=True)
class Dump:
    """A checked master.

    ``table`` has the rows that keep the contract, in the dump's order, in the columns of
    ``columns.SCHEMA``; ``refused`` the others, by line. ``content_sha256`` (32 bytes) is of the
    unpacked bytes, ``ignored`` names the columns that are not used.
    """

    table: pa.Table
    refused: tuple[RefusedRow, ...]
    content_sha256: bytes
    ignored: tuple[str, ...] = ()

    @property
    def rows_read(self) -> int:
        """Good and refused."""
        return int(self.table.num_rows) + len(self.refused)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Those of the good rows, sorted."""
        return tuple(sorted(pc.unique(self.table["exchange"]).to_pylist()))

    def reasons(self) -> dict[str, int]:
        """Refused rows by reason code."""
        return dict(sorted(Counter(str(row.reason) for row in self.refused).items()))

    def only(self, *exchanges: str) -> Dump:
        """The part of these exchanges; a line that is no row belongs to all of them."""
        return Dump(
            self.table.filter(pc.is_in(self.table["exchange"], pa.array(exchanges, pa.string()))),
            tuple(row for row in self.refused if row.exchange in ("", *exchanges)),
            self.content_sha256,
            self.ignored,
        )


def parse(data: bytes, observed_on: date) -> Dump:
    """Read a dump, plain or gzip; ``observed_on`` is the day (IST) for which it holds.

    Raises NotADump, one sentence, for what must not replace a master: a page of HTML or JSON,
    nothing, a cut or damaged file, other columns, a key that occurs twice, rows that are all wrong.
    """
    plain = unpacked(data)
    text = read_text(plain)
    tables: list[pa.Table] = []
    lines: list[Ints] = []
    refused: list[RefusedRow] = []
    suspects = 0
    for block in text.blocks():
        table, doubt = typed(block.table)
        suspects += int(doubt.sum()) + len(block.broken)
        refused += (_broken(text, line, problem) for line, problem in block.broken)
        if suspects > REFUSED_MAX:
            if doubt.any():
                at = int(np.argmax(doubt))
                record = record_of(block.table.slice(at, 1).to_pylist()[0], observed_on)
                refusal = _refusal(text, int(block.line_of[at]), record)
                refused += [] if refusal is None else [refusal]
            first = min(refused, key=lambda each: each.line, default=None)
            example = "" if first is None else f"; line {first.line}: {first.message}"
            raise NotADump(
                f"more than {REFUSED_MAX} of its {len(text.rows)} rows look wrong: it is another "
                f"kind of file, or Kite has changed its form{example}"
            )
        good, line_of = _settled(table, doubt, block, text, observed_on, refused)
        tables.append(good)
        lines.append(line_of)
    found = pa.concat_tables(tables)
    refused.sort(key=lambda each: each.line)
    if not found.num_rows:
        raise NotADump(
            f"none of its {len(text.rows)} rows keeps the contract; line {refused[0].line}: "
            f"{refused[0].message}"
        )
    _check_keys(found, np.concatenate(lines))
    return Dump(found, tuple(refused), hashlib.sha256(plain).digest(), text.ignored)


def _settled(
    table: pa.Table,
    doubt: Flags,
    block: Block,
    text: Text,
    observed_on: date,
    refused: list[RefusedRow],
) -> tuple[pa.Table, Ints]:
    """The good rows of a block in their order, with their lines; the others join ``refused``."""
    if not doubt.any():
        return table, block.line_of
    doubted = np.flatnonzero(doubt)
    saved: dict[int, dict[str, Any]] = {}
    texts = block.table.take(pa.array(doubted)).to_pylist()
    for row, cells in zip(doubted.tolist(), texts, strict=True):
        record = record_of(cells, observed_on)
        refusal = _refusal(text, int(block.line_of[row]), record)
        if refusal is None:  # doubted without cause
            saved[row] = record
        else:
            refused.append(refusal)
    rows = np.concatenate([np.flatnonzero(~doubt), np.array(list(saved), np.int64)])
    order = np.argsort(rows, kind="stable")
    good = pa.concat_tables([table.filter(pa.array(~doubt)), table_of(list(saved.values()))])
    return good.take(pa.array(order)).cast(SCHEMA), block.line_of[rows[order]]


def _broken(text: Text, line: int, problem: str) -> RefusedRow:
    return RefusedRow(line, ReasonCode.SCHEMA_INVALID, problem, text.lines[line - 1])


def _refusal(text: Text, line: int, record: dict[str, Any]) -> RefusedRow | None:
    violation = fault_of(record)
    if violation is None:
        return None
    return RefusedRow(
        line=line,
        reason=reason_of(violation),
        message=f"{violation.path or '(row)'}: {violation.message}",
        raw=text.lines[line - 1],
        error_path=violation.path,
        exchange=record["exchange"],
        tradingsymbol=record["tradingsymbol"],
    )


def _check_keys(good: pa.Table, line_of: Ints) -> None:
    if not _repeats(good):
        return
    keys = good.select(_KEY).append_column("line", pa.array(line_of))
    counts = keys.group_by(_KEY).aggregate([("line", "min"), ("line", "max"), ("line", "count")])
    twice = counts.filter(pc.greater(counts["line_count"], 1)).sort_by("line_min")
    if twice.num_rows:
        first = twice.slice(0, 1).to_pylist()[0]
        raise NotADump(
            f"{first['exchange']}:{first['tradingsymbol']} stands on line {first['line_min']} and "
            f"on line {first['line_max']} ({twice.num_rows} such keys): a key may occur once"
        )


def _repeats(good: pa.Table) -> bool:
    """Whether a key occurs twice. Sorted keys take a tenth of the memory of grouped ones."""
    keys = good.select(_KEY).take(pc.sort_indices(good, [(name, "ascending") for name in _KEY]))
    same = [pc.equal(keys[name].slice(1), keys[name].slice(0, len(keys) - 1)) for name in _KEY]
    return len(keys) > 1 and bool(pc.any(pc.and_(*same)).as_py())
