"""``heal`` by its command line: exactly the gaps' minutes, from a served Kite, once."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st
from kite_logins import history_calls, log_in, retries

from kite_bar_history.healing import gap_of, needs_of
from kite_bar_history.universe import Listed
from kite_bars_store.bars import BarInstrument, BarStore, Gap, GapLedger, Verdict, load_rules
from kite_bars_store.database import Connection, connect
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import MINUTE_NS
from kite_kafka_io.codec import AvroCodec
from kite_runtime.clock import IST
from kite_runtime.testing import Place
from kite_simulator import RestFault, RestSimulator

MONDAY = datetime(2026, 6, 1, tzinfo=IST)
TUESDAY = MONDAY + timedelta(days=1)
SBIN, INFY, NOBODY = 779521, 408065, 999 << 8 | 1


def at(hour: int, minute: int, second: int = 0, day: datetime = MONDAY) -> datetime:
    return day.replace(hour=hour, minute=minute, second=second)


def gap(name: str, since: datetime, until: datetime | None, tokens: Sequence[int] = (SBIN,)) -> Gap:
    state = "opened" if until is None else "closed"
    return Gap(name, state, "kite", 0, tuple(tokens), since, until, "idle", until or since)


@pytest.fixture()
def here(kite_place: Place, kite: RestSimulator) -> Place:
    log_in(kite, kite_place)
    return kite_place


@pytest.fixture()
def database(here: Place) -> Iterator[Connection]:
    with closing(connect(here.env["POSTGRES_DSN"], application_name="test")) as connection:
        yield connection


def json_of(stdout: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stdout.splitlines()[-1])
    return found


def test_exactly_the_minutes_of_the_gaps_come_and_the_gaps_close(
    here: Place, kite: RestSimulator, database: Connection, calendar: SessionCalendar
) -> None:
    ledger = GapLedger(database)
    ledger.record(gap("short", at(10, 0, 20), at(10, 2, 10), (SBIN, INFY)))
    ledger.record(gap("night", at(15, 29, 30), at(9, 16, 10, TUESDAY)))
    ledger.record(gap("closed market", at(20, 0), at(8, 0, 0, TUESDAY)))
    ledger.record(gap("unknown", at(10, 2), at(10, 3), (SBIN, NOBODY)))
    ledger.record(gap("open", at(12, 0), None))

    plan = json_of(here("heal", "--dry-run", "--json").stdout)
    assert (plan["gaps"], plan["waiting"], plan["unknown_tokens"]) == (4, 1, [NOBODY])
    assert (plan["calls"], plan["minutes"], history_calls(kite)) == (2, 6 + 3, [])

    done = here("heal", "--json")
    assert done.code == 3, done.stderr
    summary = json_of(done.stdout)
    assert summary["gaps"] == {"healed": 3, "left": 1, "waiting": 1}
    assert summary["verdicts"] == {"HEALED": 9}
    assert summary["missing"] == {}
    assert summary["notes"][0].startswith(f"not asked for: token {NOBODY}: is in no master of 20")
    assert list(summary["not_asked_for"]) == [str(NOBODY)]
    bars = BarStore(database, load_rules(), calendar).read_bars(
        ["NSE:SBIN"], MONDAY, MONDAY + timedelta(days=3)
    )
    times = [each.astimezone(IST) for each in bars["ts_open"].to_pylist()]
    next_day = [at(9, 15, 0, TUESDAY), at(9, 16, 0, TUESDAY)]
    assert times == [at(10, 0), at(10, 1), at(10, 2), at(15, 29), *next_day]
    assert {Verdict[each] for each in bars["verdict"].to_pylist()} == {Verdict.HEALED}
    rows = database.execute(
        "SELECT gap_id, cardinality(batch_ids) FROM feed_gap WHERE state = 'healed' ORDER BY 1"
    ).fetchall()
    assert rows == [("closed market", 0), ("night", 1), ("short", 2)]

    again = here("heal", "--json")
    assert again.code == 3
    assert json_of(again.stdout)["gaps"] == {"healed": 0, "left": 1, "waiting": 1}
    assert len(history_calls(kite)) == 2 + retries(done)


def test_ctrl_c_then_the_same_command_asks_for_no_minute_twice(
    here: Place, kite: RestSimulator, database: Connection
) -> None:
    stocks = [(n, t) for n, t in kite.service.master.tokens.items() if n.startswith("NSE:SIM")][:8]
    lines = [f"{token},full,NSE,{name.partition(':')[2]}" for name, token in stocks]
    head = "instrument_token,mode,exchange,tradingsymbol"
    here.write("configs/tokens.csv", "\n".join([head, *lines]) + "\n")
    GapLedger(database).record(gap("all of the shard", at(11, 0), at(11, 5), ()))
    kite.service.fail_next(RestFault.SLOW, 20, seconds=1.0)  # so that it is not done before
    running = here.start("heal")
    running.until(lambda: len(history_calls(kite)) >= 2, "the second call")
    stopped = running.finish(signal.SIGINT)
    kite.service.recover()
    assert stopped.code == 130, stopped.stderr
    assert len(GapLedger(database).unhealed()) == 1
    done = here("heal", "--json")
    assert done.code == 0, done.stderr
    assert len(set(history_calls(kite))) == 8
    assert len(history_calls(kite)) == 8 + retries(stopped, done)
    assert json_of(done.stdout)["gaps"]["healed"] == 1
    assert GapLedger(database).unhealed() == []
    (batches,) = database.execute(
        "SELECT batch_ids FROM feed_gap WHERE state = 'healed'"
    ).fetchall()[0]
    assert len(batches) == 8


def test_a_gap_whose_request_was_refused_is_not_healed(
    here: Place, kite: RestSimulator, database: Connection
) -> None:
    """Kite's refusal is no answer: the gap stays, and the next call asks for it alone."""
    GapLedger(database).record(gap("one", at(10, 0), at(10, 2)))
    GapLedger(database).record(gap("two", at(10, 0), at(10, 2), (INFY,)))
    kite.service.fail_next(RestFault.INPUT, 1)
    refused = here("heal", "--json")
    assert refused.code == 3, refused.stderr
    summary = json_of(refused.stdout)
    assert summary["gaps"] == {"healed": 1, "left": 1, "waiting": 0}
    assert summary["refused"] == {"REQUEST_REFUSED": 1}
    done = here("heal", "--json")
    assert (done.code, json_of(done.stdout)["gaps"]["healed"]) == (0, 1)
    assert len(history_calls(kite)) == 3 + retries(refused, done)


def event(kind: str, since: datetime, until: datetime | None = None, **other: Any) -> bytes:
    since_ns = int(since.timestamp()) * 10**9
    record = {
        "feed": "kite",
        "type": kind,
        "ts_ns": int((until or since).timestamp()) * 10**9,
        "shard": 0,
        "feed_session": None,
        "tokens": [SBIN],
        "from_ns": since_ns,
        "to_ns": None if until is None else int(until.timestamp()) * 10**9,
        "cause": "idle",
        "detail": None,
        "count": None,
        "gap_id": f"kite-0-{since_ns}",
    }
    return AvroCodec().encode("feed_event", record | other)


def test_gaps_come_from_the_events_of_the_feed(
    here: Place,
    kite: RestSimulator,
    database: Connection,
    kafka_bootstrap: str,
    make_topic: Callable[..., str],
) -> None:
    topic = make_topic()
    here.env |= {"KAFKA_BOOTSTRAP": kafka_bootstrap, "HIST_MERGE_EVENTS_TOPIC": topic}
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    opened, closed = at(10, 0), at(10, 1, 30)
    for value in (
        event("GAP_OPENED", opened),
        event("SUBSCRIBED", opened, gap_id=None),
        b"no event at all",
        event("GAP_CLOSED", opened, closed),
        event("GAP_CLOSED", opened, closed),
        event("GAP_OPENED", at(14, 0)),
    ):
        producer.produce(topic, value)
    assert producer.flush(30) == 0

    plan = json_of(here("heal", "--dry-run", "--json").stdout)
    assert (plan["gaps"], plan["waiting"], plan["minutes"]) == (1, 1, 2)
    assert GapLedger(database).unhealed() == []

    done = here("heal", "--json")
    assert done.code == 0, done.stderr
    assert "6 new events" in done.stderr
    assert "1 records" in done.stderr
    assert json_of(done.stdout)["gaps"] == {"healed": 1, "left": 0, "waiting": 1}
    (left,) = GapLedger(database).unhealed()
    assert (left.state, left.from_ts) == ("opened", at(14, 0))

    again = here("heal", "--json")
    assert "0 new events" in again.stderr
    assert len(history_calls(kite)) == 1 + retries(done)


def test_gaps_of_a_simulated_market_are_healed_by_a_simulator_alone(
    here: Place,
    kite: RestSimulator,
    kafka_bootstrap: str,
    make_topic: Callable[..., str],
) -> None:
    topic = make_topic()
    here.env |= {"KAFKA_BOOTSTRAP": kafka_bootstrap, "HIST_MERGE_EVENTS_TOPIC": topic}
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    opened, closed = at(10, 0), at(10, 1, 30)
    for value in (
        event("GAP_CLOSED", opened, closed, feed="simulated.demo"),
        event("GAP_CLOSED", at(11, 0), at(11, 1), feed="simulate", gap_id="a feed of that name"),
    ):
        producer.produce(topic, value)
    assert producer.flush(30) == 0

    plan = json_of(here("heal", "--dry-run", "--json").stdout)
    assert (plan["gaps"], plan["minutes"]) == (2, 3)
    here.env["KITE_API_URL"] = "https://api.kite.trade"
    of_kite = here("heal", "--dry-run", "--json")
    assert "1 gap events of simulated markets" in of_kite.stderr
    plan = json_of(of_kite.stdout)
    assert (plan["gaps"], plan["minutes"]) == (1, 1)


def test_events_that_are_no_gaps() -> None:
    decode = AvroCodec().decode
    whole = gap_of(decode(event("GAP_CLOSED", at(10, 0), at(10, 1))).record)
    assert whole is not None
    assert (whole.state, whole.to_ts, whole.tokens) == ("closed", at(10, 1), (SBIN,))
    for other in (
        event("STALE", at(10, 0)),
        event("GAP_OPENED", at(10, 0), gap_id=None),
        event("GAP_CLOSED", at(10, 0)),
        event("GAP_CLOSED", at(10, 1), at(10, 0)),
    ):
        assert gap_of(decode(other).record) is None


def found(token: int, day: date) -> Listed:
    return Listed(BarInstrument("NSE", f"T{token}"), "NSE", token)


spells = st.tuples(st.integers(9 * 60, 16 * 60), st.integers(1, 90), st.sampled_from([1, 2, 3]))


@given(st.lists(spells, min_size=1, max_size=5), st.integers(0, 3))
def test_calls_cover_each_missing_minute_once_and_go_on_after_any_of_them(
    calendar: SessionCalendar, spells: list[tuple[int, int, int]], calls_done: int
) -> None:
    gaps = [
        gap(str(n), MONDAY + timedelta(minutes=m), MONDAY + timedelta(minutes=m + length), (token,))
        for n, (m, length, token) in enumerate(spells)
    ]
    needs = needs_of(gaps, (), found, calendar, datetime.now(UTC))
    session = calendar.expected_minutes("NSE", MONDAY.date())
    opens = int(MONDAY.timestamp()) * 10**9
    lacking = {
        (f"NSE:T{token}", opens + minute * MINUTE_NS)
        for m, length, token in spells
        for minute in range(m, m + length)
    }
    lacking = {each for each in lacking if each[1] in session}
    calls = needs.calls({})
    asked = [(c.listed.instrument.name, int(t)) for c in calls for t in c.minutes]
    assert len(asked) == len(set(asked)) == needs.minutes
    assert set(asked) == lacking
    done = {str(n): call.as_json([n]) for n, call in enumerate(calls[:calls_done])}
    left = needs.calls(json.loads(json.dumps(done)))
    assert [c.listed for c in left] == [c.listed for c in calls[calls_done:]]
    assert [c.minutes.tolist() for c in left] == [c.minutes.tolist() for c in calls[calls_done:]]
    everything = {str(n): call.as_json([n]) for n, call in enumerate(calls)}
    assert [each for each, _ in needs.healed(everything)] == gaps


def test_a_gap_that_has_just_ended_waits_for_its_last_minute(calendar: SessionCalendar) -> None:
    one = gap("fresh", at(10, 0), at(10, 1, 20))
    for second, waits in ((9, 1), (10, 0)):
        needs = needs_of([one], (), found, calendar, at(10, 2, second))
        assert len(needs.waiting) == waits
