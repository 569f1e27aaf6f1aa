"""``backfill`` by its command line, against a served Kite and a real Postgres."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from kite_logins import history_calls, log_in, retries

from kite_bar_history.backfill import CALLS_A_SECOND_MAX, CLIENTS, Work, plan_of, span_of_days
from kite_bar_history.universe import Listed
from kite_bars_store.bars import BarInstrument, BarStore, load_rules
from kite_bars_store.database import connect
from kite_broker_zerodha.rest import CALLS_A_SECOND, CallKind
from kite_contracts.sessions import SessionCalendar
from kite_runtime.checkpoint import Checkpoint
from kite_runtime.clock import IST
from kite_runtime.errors import TryAgainLater
from kite_runtime.testing import Place
from kite_simulator import Lost, Restated, RestFault, RestSimulator

LONG = ("backfill", "--days", "240", "--yes")
"""Four calls for each of the two instruments."""
SBIN = Listed(BarInstrument("NSE", "SBIN", 2, 5), "NSE", 779521)
NOBODY = Listed(BarInstrument("NSE", "NOBODY"), "NSE", None)


@pytest.fixture()
def here(kite_place: Place, kite: RestSimulator) -> Place:
    log_in(kite, kite_place)
    return kite_place


def bars_of(place: Place, calendar: SessionCalendar, symbol: str, days: int = 310) -> int:
    now = datetime.now(UTC)
    with closing(connect(place.env["POSTGRES_DSN"], application_name="test")) as connection:
        store = BarStore(connection, load_rules(), calendar)
        return int(store.read_bars([symbol], now - timedelta(days), now + timedelta(1)).num_rows)


def summary_of(stdout: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stdout.splitlines()[-1])
    return found


def test_what_is_new_is_fetched_once(
    here: Place, kite: RestSimulator, calendar: SessionCalendar
) -> None:
    planned = here("backfill", "--dry-run", "--json")
    plan = summary_of(planned.stdout)
    assert (planned.code, plan["calls"], plan["instruments"]) == (0, 2, 2)
    assert history_calls(kite) == []

    refused = here("backfill")
    assert (refused.code, refused.sentence.split(":")[-1]) == (2, " give --yes")

    done = here("backfill", "--yes", "--json")
    assert done.code == 0, done.stderr
    summary = summary_of(done.stdout)
    assert abs(summary["read"]["kite"] - plan["rows"]) <= 10  # minutes that ended meanwhile
    assert summary["added"] == summary["read"]["kite"]
    assert "Plan of the backfill" in done.stderr
    assert bars_of(here, calendar, "NSE:SBIN") == summary["added"] // 2

    again = here("backfill", "--yes")
    assert again.code == 0
    assert "2 of 2 instruments have bars" in again.stderr
    assert len(history_calls(kite)) == 2 + retries(done)

    named = here("backfill", "--symbols", "NSE:SBIN,NSE:INFY", "--yes", "--json")
    repeated = summary_of(named.stdout)
    assert repeated["unchanged"] == summary["added"]
    assert repeated["added"] <= 20
    assert repeated["revised"] == 0
    assert list((Path(here.env["HIST_MERGE_STATE_DIR"]) / "unfinished").iterdir()) == []


def test_ctrl_c_then_the_same_command_fetches_no_chunk_twice(
    here: Place, kite: RestSimulator
) -> None:
    kite.service.fail_next(RestFault.SLOW, 20, seconds=1.0)  # so that it is not done before
    running = here.start(*LONG)
    running.until(lambda: len(history_calls(kite)) >= 2, "the second call")
    stopped = running.finish(signal.SIGINT)
    kite.service.recover()
    assert stopped.code == 130, stopped.stderr
    calls = len(history_calls(kite)) - retries(stopped)
    assert 2 <= calls < 8
    assert f"{calls:,} of 8 chunks are done" in stopped.stderr

    done = here(*LONG)
    assert done.code == 0, done.stderr
    assert "resuming the backfill" in done.stderr
    assert len(history_calls(kite)) == 8 + retries(stopped, done)
    assert len(set(history_calls(kite))) == 2


def test_a_killed_backfill_loses_what_was_under_way_at_most(
    here: Place, kite: RestSimulator, calendar: SessionCalendar
) -> None:
    kite.service.fail_next(RestFault.SLOW, 20, seconds=1.0)
    running = here.start(*LONG)
    running.until(lambda: len(history_calls(kite)) >= 3, "the third call")
    killed = running.finish(signal.SIGKILL)
    kite.service.recover()
    done = here(*LONG)
    assert (killed.code, done.code) == (-9, 0), done.stderr
    lost = CLIENTS + 1  # one is merged meanwhile
    assert len(history_calls(kite)) <= 8 + lost + retries(killed, done)
    since, until = span_of_days(240, datetime.now(IST).date())
    work = Work("m1", since, until, ("NSE:SBIN",), datetime.now(UTC))
    expected = plan_of(work, [SBIN], (), calendar, datetime.now(UTC)).rows
    for symbol in ("NSE:INFY", "NSE:SBIN"):
        assert expected - 30 <= bars_of(here, calendar, symbol) <= expected


def test_kite_away_is_a_75_and_the_rest_comes_later(here: Place, kite: RestSimulator) -> None:
    kite.service.fail_next(RestFault.HTML, 50)
    away = here("backfill", "--yes")
    assert away.code == 75
    assert "try again later" in away.stderr + away.stdout
    kite.service.recover()
    kite.service.fail_next(RestFault.TOO_MANY, 2)
    assert here("backfill", "--yes").code == 0
    kite.account.expire()
    dead = here("backfill", "--symbols", "NSE:INFY", "--yes")
    assert dead.code == 1
    assert "log in again" in dead.sentence
    here.env["KITE_ACCESS_TOKEN"] = ""
    nobody = here("backfill", "--symbols", "NSE:INFY", "--yes")
    assert nobody.code == 78
    assert "instruments auth url" in nobody.sentence


def test_what_kite_has_not_is_said(here: Place, kite: RestSimulator) -> None:
    now = datetime.now(UTC)
    kite.service.history.change(lost=[Lost(779521, now - timedelta(50), now - timedelta(10))])
    here.write(
        "configs/tokens.csv",
        "instrument_token,mode,exchange,tradingsymbol\n779521,full,NSE,SBIN\n257,full,NSE,GONE\n",
    )
    done = here("backfill", "--yes", "--json")
    assert done.code == 3, done.stderr
    summary = summary_of(done.stdout)
    assert summary["refused"] == {"REQUEST_REFUSED": 1}
    (note,) = summary["notes"]
    assert "bars more than Kite has" in note


def test_a_restated_stretch_waits_for_a_decision(here: Place, kite: RestSimulator) -> None:
    command = ("backfill", "--symbols", "NSE:INFY", "--days", "20", "--yes", "--json")
    assert here(*command).code == 0
    ex_day = datetime.now(IST).date() - timedelta(days=8)
    kite.service.history.change(restated=[Restated(408065, ex_day, Fraction(1, 2))])
    restated = here(*command)
    assert restated.code == 3, restated.stderr
    summary = summary_of(restated.stdout)
    assert summary["revisions"] >= 1
    assert summary["revised"] > 375
    assert summary["golden"]["deleted"] == 0
    assert "REVISION_RATIO" in summary["flags"]
    again = here(*command)
    assert summary_of(again.stdout)["revised"] == 0


def test_day_bars_are_one_call(here: Place, kite: RestSimulator) -> None:
    done = here("backfill", "--days", "300", "--interval", "d1", "--yes", "--json")
    assert done.code == 0, done.stderr
    assert summary_of(done.stdout)["read"]["kite"] > 2 * 180
    assert len(history_calls(kite)) == 2 + retries(done)


def test_a_vendor_seeds_what_is_new_too(
    here: Place, kite: RestSimulator, calendar: SessionCalendar
) -> None:
    days = (datetime.now(IST).date() - timedelta(days=n) for n in range(1, 15))
    opens = next(times[0] for day in days if len(times := calendar.expected_minutes("NSE", day)))
    first = datetime.fromtimestamp(int(opens) // 10**9, IST)
    lines = [
        f"NSE,SBIN,{first + timedelta(minutes=n):%Y-%m-%dT%H:%M:%S%z},800,801,799.5,800.05,7,"
        for n in range(5)
    ]
    header = "exchange,tradingsymbol,time,open,high,low,close,volume,oi"
    file = here.write("seed.csv", "\n".join([header, *lines]) + "\n")
    done = here("backfill", "--vendor", str(file), "--symbols", "NSE:SBIN", "--yes", "--json")
    summary = summary_of(done.stdout)
    assert (summary["added"], summary["verdicts"]) == (5, {"VENDOR_ONLY": 5})
    new = here("backfill", "--vendor", str(file), "--yes", "--json")
    assert "1 of 2 instruments have bars" in new.stderr
    assert history_calls(kite) == []


def test_wrong_calls_and_places(here: Place) -> None:
    for wrong in (("--days", "0"), ("--interval", "m5"), ("--symbols", "SBIN")):
        assert here("backfill", *wrong).code == 2
    here.write("file", "")
    unusable = here("backfill", "--yes", HIST_MERGE_STATE_DIR=str(here.folder / "file"))
    assert unusable.code == 78
    assert "cannot be written" in unusable.sentence


def test_sixty_days_are_one_call_and_the_rows_those_of_the_calendar(
    calendar: SessionCalendar,
) -> None:
    now = datetime(2026, 1, 5, 9, 25, 10, tzinfo=IST)
    since, until = span_of_days(60, date(2026, 1, 5))
    work = Work("m1", since, until, ("NSE:SBIN",), now)
    plan = plan_of(work, [SBIN, NOBODY], (), calendar, now)
    assert (plan.calls, plan.instruments, plan.without_token) == (1, 2, ("NSE:NOBODY",))
    days = [since.date() + timedelta(days=n) for n in range(59)]
    assert plan.rows == 10 + sum(len(calendar.expected_minutes("NSE", day)) for day in days)
    assert CALLS_A_SECOND[CallKind.HISTORICAL] == CALLS_A_SECOND_MAX
    rest = plan_of(work, [SBIN], [plan.chunks[0].key], calendar, now + timedelta(days=1))
    assert (rest.calls, rest.done) == (0, 1)
    assert Work.from_json(json.loads(json.dumps(work.as_json()))) == work


def test_a_checkpoint_survives_half_a_line_and_takes_one_process(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "work.jsonl"
    with Checkpoint(path) as first:
        first.begin({"days": 60})
        first.note("a")
        first.note("b", [7])
        with pytest.raises(TryAgainLater, match="another process"), Checkpoint(path):
            pass
    with path.open("ab") as file:
        file.write(b'{"done": "c", "val')
    with Checkpoint(path) as second:
        assert second.work == {"days": 60}
        assert second.done == {"a": None, "b": [7]}
        second.note("c")
    with Checkpoint(path) as third:
        assert set(third.done) == {"a", "b", "c"}
        third.finish()
    assert not path.exists()
    with Checkpoint(path):
        pass
    assert not path.exists()


def test_a_vendor_seeds_from_the_day_that_is_named(place: Place) -> None:
    """Two years back, which --days cannot be expected to be counted for."""
    header = "exchange,tradingsymbol,time,open,high,low,close,volume,oi"
    lines = [f"NSE,SBIN,2024-01-0{day}T09:15:00+0530,600,601,599.5,600.05,7," for day in (2, 3, 4)]
    place.write("seed.csv", "\n".join([header, *lines]) + "\n")
    named = ("--vendor", "seed.csv", "--layout", "plain", "--symbols", "NSE:SBIN", "--json")
    done = place("backfill", "--from", "2024-01-03", *named)
    summary = summary_of(done.stdout)
    assert (summary["read"], summary["golden"]["inserted"]) == ({"vendor": 2}, 2)
    assert summary["files"][0]["not_asked"] == 1
    cases = {
        ("--from", "20240103", "--days", "9"): "both name the first day",
        ("--from", "20990103"): "--from 2099-01-03 has not come yet",
        ("--from", "20240103", "--layout", "gone"): "there is no layout 'gone'",
    }
    for arguments, words in cases.items():
        wrong = place("backfill", *named[:2], "--symbols", "NSE:SBIN", *arguments)
        assert (wrong.code, words in wrong.sentence) == (2, True), wrong.sentence
