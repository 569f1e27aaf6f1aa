"""Files, contracts and days as they really are: the golden bars and the words that each comes to.

The table is in ``true_bars_cases``. Each row is a run as ``hist_merge daily`` makes it, on a real
Postgres, with a Kite that answers what the row states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from true_bars_cases import CASES, OWN_FILE, Case, Listing

from kite_bar_history.run import Order, Resources, Run
from kite_bar_history.summary import lines_of
from kite_bars_store.bars import NO_OI, BarStore, load_rules
from kite_bars_store.bars.records import Flag, Verdict
from kite_bars_store.database import Connection, connect
from kite_bars_store.instruments import SCHEMA, InstrumentStore, Snapshot
from kite_bars_store.stores import Days, Stores
from kite_broker_zerodha.rest import Candles
from kite_contracts.sessions import SessionCalendar
from kite_devstack.databases import database


def remember(store: InstrumentStore, known: Sequence[Listing]) -> None:
    """A dump of each day on which anything begins or ends, and one before; of both exchanges."""
    days = {day for each in known for day in (each.since, each.until) if day < "2099"}
    for day in sorted({"2020-01-01", *days}):
        rows = []
        for each in known:
            if each.since <= day < each.until:
                exchange, _, symbol = each.name.partition(":")
                rows.append({
                    "exchange": exchange, "tradingsymbol": symbol, "instrument_token": each.token,
                    "exchange_token": each.token >> 8, "name": each.underlying or symbol,
                    "expiry": each.expiry and date.fromisoformat(each.expiry),
                    "strike": each.strike, "price_scale": 2, "tick_size": 5, "lot_size": 1,
                    "instrument_type": each.type, "segment": each.segment or f"{exchange}-FUT",
                })  # fmt: skip
        table = pa.Table.from_pylist(rows, SCHEMA)
        digest = hashlib.sha256(f"{day}{rows}".encode()).digest()
        store.record(Snapshot(date.fromisoformat(day), ("NFO", "NSE"), digest, table))


TOKENS = "instrument_token,exchange,tradingsymbol\n779521,NSE,SBIN\n408065,NSE,INFY\n"


class Kite:
    """Answers as the row says; ``asked`` are the tokens of its calls."""

    def __init__(self, answers: Mapping[int, Sequence[datetime] | Exception]) -> None:
        self._answers = answers
        self.asked: list[int] = []

    def __enter__(self) -> Kite:
        return self

    def __exit__(self, *_: object) -> None: ...

    def historical(self, token: int, *_: object, **__: object) -> Candles:
        self.asked.append(token)
        answer = self._answers[token]
        if isinstance(answer, Exception):
            raise answer
        opens = np.array([int(each.timestamp()) * 10**9 for each in answer], np.int64)
        values = (64000, 64150, 63910, 64100, 7, NO_OI)  # as the cases' BAR has them
        o, h, l, c, volume, oi = (np.full(len(opens), each, np.int64) for each in values)  # noqa: E741
        return Candles(opens, o, h, l, c, volume, oi, np.arange(len(opens)), 2)


def golden(connection: Connection, interval: str) -> list[str]:
    table = {"m1": "bars_1m", "d1": "bars_1d"}[interval]
    query = f"""
        SELECT exchange || ':' || tradingsymbol,
               to_char(ts_open AT TIME ZONE 'Asia/Kolkata', 'YYYY-MM-DD HH24:MI'),
               open, high, low, close, volume, oi, verdict, flags
        FROM {table} JOIN bar_instrument USING (instrument_id) ORDER BY ts_open, 1
    """
    found = []
    for row in connection.execute(cast(Any, query)).fetchall():
        name, when, *prices, volume, oi, verdict, flags = row
        words = [f"{price // 100}.{price % 100:02}" for price in prices]
        words += [str(volume), "-" if oi is None else str(oi), Verdict(verdict).name]
        words += [str(flag.name) for flag in Flag if flag & flags]
        found.append(" ".join([name, when, *words]))
    return found


def printed(case: Case, resources: Resources, files: Mapping[str, str | bytes]) -> tuple[str, int]:
    """What a run prints, and its exit code."""
    given = [resources.universe_file.parent / name for name in files]
    for path, content in zip(given, files.values(), strict=True):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    vendor = [path for path in given if path != resources.vendor_file]
    day = date.fromisoformat(case.day)
    order = Order(
        *(Days(day, day), vendor, case.asked, case.layout),
        with_kite=case.kite is not None,
        intervals=(case.interval,),
    )
    summary = Run(resources, order).to_end()
    return "\n".join(lines_of(summary)), summary.exit_code


@pytest.fixture(scope="module")
def shared(postgres_server: str, migrated_template: str) -> Iterator[Connection]:
    """One database for all rows."""
    with (
        database(postgres_server, migrated_template) as dsn,
        closing(connect(dsn, application_name="test")) as connection,
    ):
        yield connection


@pytest.fixture()
def connection(shared: Connection) -> Iterator[Connection]:
    """The empty database; what a row writes is rolled back."""
    with shared.transaction(force_rollback=True):
        yield shared


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_true_bars(
    connection: Connection, tmp_path: Path, calendar: SessionCalendar, case: Case
) -> None:
    tokens = tmp_path / "tokens.csv"
    tokens.write_text(TOKENS)
    own = tmp_path / OWN_FILE if OWN_FILE in case.files else None
    kite = Kite(case.kite or {})
    rules, master = load_rules(), InstrumentStore(connection)
    remember(master, case.known)
    bars = BarStore(connection, rules, calendar)
    stores = Stores(connection, bars, master, rules, calendar)
    log_in = cast(Any, lambda *_: kite)
    resources = Resources(stores, tokens, own, tmp_path / "state", log_in, None, "", "")
    if case.first:
        printed(case, resources, case.first)
    text, code = printed(case, resources, case.files)
    found = golden(connection, case.interval)
    assert [word for word in case.words if word not in text] == [], text
    assert found[: len(case.golden)] == list(case.golden)
    assert len(found) == (len(case.golden) if case.count is None else case.count)
    assert (code, kite.asked) == (case.code, list(case.kite_asked)), text
