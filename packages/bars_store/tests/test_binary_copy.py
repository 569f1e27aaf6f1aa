"""Binary COPY of arrays: what goes in comes back, nulls stay nulls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kite_bars_store.database import Connection, transaction
from kite_bars_store.database.binary import copy_arrays, read_arrays

FIELDS = (("t", "timestamptz"), ("a", "int8"), ("b", "int4"), ("c", "int2"))
ROWS = st.lists(
    st.tuples(
        st.integers(0, 4_000_000_000).map(lambda seconds: seconds * 1_000_000_000),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(1 - 2**31, 2**31 - 1),
        st.integers(1 - 2**15, 2**15 - 1),
    )
)


def columns(rows: list[tuple[int, int, int, int]]) -> dict[str, np.ndarray]:
    table = np.array(rows, np.int64).reshape(-1, 4).T
    return {name: table[number] for number, (name, _) in enumerate(FIELDS)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(ROWS)
def test_a_round_trip(connection: Connection, rows: list[tuple[int, int, int, int]]) -> None:
    given_columns = columns(rows)
    with transaction(connection, "a test") as cursor:
        cursor.execute("CREATE TEMP TABLE r (t timestamptz, a int8, b int4, c int2) ON COMMIT DROP")
        copy_arrays(cursor, "r", FIELDS, given_columns)
        found = read_arrays(cursor, b"SELECT t, a, b, c FROM r", FIELDS)
    for name in given_columns:
        assert found[name].tolist() == given_columns[name].tolist()


def test_postgres_reads_and_writes_the_same(connection: Connection) -> None:
    rows = [
        (1_700_000_000_000_000_000 + 60_000_000_000 * n, -n, n, -n % 9_999) for n in range(40_000)
    ]
    given_columns = columns(rows)
    nulls = {"a": given_columns["a"] % 2 == 1, "c": given_columns["c"] % 3 == 0}
    with transaction(connection, "a test") as cursor:
        cursor.execute("CREATE TEMP TABLE r (t timestamptz, a int8, b int4, c int2)")
        assert copy_arrays(cursor, "r", FIELDS, given_columns, nulls) == 40_000
        counts = cursor.execute("SELECT count(*), count(a), count(c) FROM r").fetchone()
        assert counts == (40_000, 20_000, int((~nulls["c"]).sum()))
        query = b"SELECT t, coalesce(a, 0), b, coalesce(c, 0)::int2 FROM r ORDER BY b"
        found = read_arrays(cursor, query, FIELDS)
        with pytest.raises(ValueError, match="some value is null"):
            read_arrays(cursor, b"SELECT t, a, b, c FROM r ORDER BY b LIMIT 2", FIELDS)
        with pytest.raises(ValueError, match="of another kind"):
            read_arrays(cursor, b"SELECT t, b, a, 1 FROM r WHERE a < 0", FIELDS)
        with pytest.raises(ValueError, match="c does not fit int2"):
            copy_arrays(cursor, "r", FIELDS, columns([(0, 0, 0, 40_000)]))
    for name in given_columns:
        kept = np.where(nulls.get(name, False), 0, given_columns[name])
        assert (found[name] == kept).all()
