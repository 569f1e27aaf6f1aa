"""`findings`: what the counts of a run are made of, by instrument, day and minute."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from masters import Row, snapshot
from masters import day as dump_day
from merged_bars import (
    DAY,
    MANDM,
    NIFTY,
    bar_store,
    merge_the_usual,
    rising,
    said,
)
from vendor_made_up import prices, rupees

from kite_bars_store.bars import BarInstrument
from kite_bars_store.bars.findings import KINDS, NOTABLE, USUAL, Finding, grouped
from kite_bars_store.bars.missing.missing import UNEXPLAINED
from kite_bars_store.bars.records import Flag, Verdict
from kite_bars_store.database import connect
from kite_bars_store.instruments import InstrumentStore
from kite_runtime.clock import IST
from kite_runtime.testing import Place

SPAN = ("--from", "2026-06-01", "--to", "2026-06-02")
TCS = BarInstrument("NSE", "TCS", 2, 5)


def listed(place: Place, *arguments: str) -> list[dict[str, Any]]:
    """The findings, all of which have exit code 3 where there are any."""
    shown = place("findings", *arguments, "--json")
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert shown.code == (3 if found else 0), shown.stderr
    return found


def summed(found: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for each in found:
        key = each["kind"], each["symbol"].partition(":")[2]
        sums[key] = sums.get(key, 0) + each["bars"]
    return sums


def test_every_flag_verdict_and_gap_is_a_kind() -> None:
    assert {str(flag.name) for flag in Flag} <= set(KINDS)
    assert {verdict.name for verdict in Verdict} <= set(KINDS)
    assert {str(cause) for cause in UNEXPLAINED} < NOTABLE
    assert {verdict.name for verdict in Verdict if verdict.is_conflict} < NOTABLE
    assert set(KINDS) == NOTABLE | USUAL
    assert not NOTABLE & USUAL


def test_findings_are_summed_by_kind_interval_and_instrument() -> None:
    def at(day: int) -> datetime:
        return datetime(2026, 6, day, 9, 15, tzinfo=IST)

    found = [
        Finding("OFF_TICK", "NSE:PFC", "m1", at(1), 3),
        Finding("OFF_TICK", "NSE:PFC", "m1", at(4), 5),
        Finding("OFF_TICK", "NSE:SBIN", "m1", at(2), 9),
        Finding("OFF_TICK", "NSE:PFC", "d1", at(2), 3),
        Finding("NO_BARS", "NSE:SBIN", "m1", at(3), 375),
        Finding("JUMP", "NSE:PFC", "m1", at(2), 1),
    ]
    assert [(each.kind, each.interval, each.symbol, each.bars) for each in grouped(found)] == [
        ("OFF_TICK", "d1", "NSE:PFC", 3),
        ("OFF_TICK", "m1", "NSE:SBIN", 9),
        ("OFF_TICK", "m1", "NSE:PFC", 8),
        ("JUMP", "m1", "NSE:PFC", 1),
        ("NO_BARS", "m1", "NSE:SBIN", 375),
    ]
    days, _, pfc, *_ = grouped(found)
    assert (days.first, days.last) == (date(2026, 6, 2), date(2026, 6, 4))
    assert (pfc.first, pfc.last) == (date(2026, 6, 1), date(2026, 6, 4))


@pytest.fixture()
def merged(place: Place) -> Place:
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        merge_the_usual(store)
        off = {minute: (10_001, *bar[1:]) for minute, bar in rising(375).items() if minute < 3}
        store.merge([said("kite", {**rising(375), **off}, MANDM)])
    return place


def test_flags_lead_to_their_instrument_and_minutes(merged: Place) -> None:
    (only,) = listed(merged, *SPAN, "--flag", "off_tick")
    assert only == {
        "kind": "OFF_TICK",
        "symbol": "NSE:M&M",
        "interval": "m1",
        "since": "2026-06-01T09:15:00+05:30",
        "bars": 3,
        "detail": "",
    }
    lines = merged("findings", *SPAN, "--flag", "OFF_TICK", "--minutes").stdout
    assert lines == "OFF_TICK             NSE:M&M  2026-06-01 09:15  3 minutes\n"
    shown = merged("findings", *SPAN)
    assert shown.stdout.splitlines() == [
        "OFF_TICK  3 minutes, all of NSE:M&M, 2026-06-01",
        "    a price is no multiple of the tick, as after an adjustment",
        "CONFLICT_BROKER_WON  2 minutes, all of NSE:SBIN, 2026-06-01",
        "    they differ by more than the rules allow; the broker precedes",
        "UNEXPLAINED  320 minutes, all of NSE:SBIN, 2026-06-01",
        "    nothing explains it: fetch it again, or ask the source",
        "NO_BARS  1,500 minutes of 3 instruments",
        "    the instrument has no bar on this day at all",
        "    NSE:INFY  750  2026-06-01 to 2026-06-02",
        "    NSE:M&M   375  2026-06-02",
        "    NSE:SBIN  375  2026-06-02",
    ]
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_what_is_usual_is_listed_on_demand(merged: Place) -> None:
    usual = listed(merged, *SPAN, *(part for kind in sorted(USUAL) for part in ("--flag", kind)))
    # SBIN: 25 minutes of both (one a conflict of prices, one of volumes, one within tolerance), 30
    # of Kite alone.
    assert summed(usual) == {
        ("AGREED", "SBIN"): 22,
        ("WITHIN_TOLERANCE", "SBIN"): 1,
        ("BROKER_ONLY", "SBIN"): 30,
        ("BROKER_ONLY", "M&M"): 375,
    }


def test_one_day_and_one_symbol(merged: Place) -> None:
    """--day stands for --from and --to, --symbol for --symbols, a comma for another one."""
    several = ("--symbol", "NSE:SBIN,nse:INFY", "--symbols", "NSE:M&M")
    assert {each["symbol"] for each in listed(merged, *SPAN, *several)} == {
        *("NSE:SBIN", "NSE:INFY", "NSE:M&M"),
    }
    day = listed(merged, "--day", "2026-06-01", "--symbol", "nse:SBIN")
    assert summed(day) == {("CONFLICT_BROKER_WON", "SBIN"): 2, ("UNEXPLAINED", "SBIN"): 320}
    assert day == listed(merged, "--from", "20260601", "--to", "20260601", "--symbols", "NSE:SBIN")


class TestNoBars:
    """A day on which nothing came is the worst gap of all."""

    def test_of_the_universe_in_an_empty_database(self, place: Place) -> None:
        expected = {("NO_BARS", "SBIN"): 750, ("NO_BARS", "INFY"): 750}
        assert summed(listed(place, *SPAN)) == expected
        page = place("report", *SPAN)
        assert (page.code, page.stdout) == (
            3,
            "report.html: 0 bars of 2 instruments; 1,500 minutes are missing (1,500 unexplained), "
            "0 conflicts, 0 revisions wait\n",
        )
        assert "<td><code>NO_BARS</code><td>NSE:INFY<td" in place.read("report.html")

    def test_of_a_day_on_which_nothing_came(self, merged: Place) -> None:
        """Without a universe it is of those that had bars before, if no more than a month."""
        (merged.folder / "configs/tokens.csv").unlink()
        both = {("NO_BARS", "M&M"): 375, ("NO_BARS", "SBIN"): 375}
        assert summed(listed(merged, "--day", "2026-06-02")) == both
        assert summed(listed(merged, "--day", "2026-07-02")) == both
        for day in ("2026-05-29", "2026-07-03"):
            none = merged("findings", "--day", day)
            assert (none.code, none.stdout) == (1, "")
            assert none.sentence.startswith(f"no bars are expected on {day}: configs/")

    def test_of_a_symbol_that_is_named(self, merged: Place) -> None:
        with closing(connect(merged.env["POSTGRES_DSN"], application_name="test")) as connection:
            row = Row("PFC", 7, exchange="NSE", expiry=None, strike=None)
            InstrumentStore(connection).record(snapshot(0, [row], ("NSE",)))
        for symbol in ("NSE:INFY", "NSE:PFC"):  # of tokens.csv, of the instrument history
            found = listed(merged, "--day", "2026-06-01", "--symbol", symbol)
            assert summed(found) == {("NO_BARS", symbol[4:]): 375}
        for command in ("findings", "report"):
            wrong = merged(command, *SPAN, "--symbol", "NSE:SBINN")
            assert (wrong.code, wrong.sentence) == (
                *(1, "no bars of NSE:SBINN were ever merged: did you mean NSE:SBIN?"),
            )

    def test_none_is_missing_after_the_expiry(self, place: Place) -> None:
        """As the first dump without it shows."""
        expiry = dump_day(1)
        name = BarInstrument("NFO", "SBIN26AUGFUT", 2, 5)
        with bar_store(place.env["POSTGRES_DSN"]) as (store, connection):
            row = Row(name.tradingsymbol, 7, instrument_type="FUT", expiry=expiry, strike=None)
            other = Row("NIFTY26SEPFUT", 8, instrument_type="FUT", strike=None)
            InstrumentStore(connection).record(snapshot(0, [row, other]))
            InstrumentStore(connection).record(snapshot(2, [other]))
            store.merge([said("kite", rising(375), name, dump_day(0))])
        call = ("--symbol", "NFO:SBIN26AUGFUT", "--flag", "NO_BARS", "--from", f"{expiry}")
        found = listed(place, *call, "--to", f"{expiry + timedelta(5)}")
        assert [each["since"][:10] for each in found] == [str(expiry)]
        (place.folder / "configs/tokens.csv").unlink()
        after = ("--day", f"{expiry + timedelta(1)}")
        assert place("findings", *after).sentence.startswith("no bars are expected")

    def test_a_day_without_session_is_no_finding(self, merged: Place) -> None:
        for command in ("findings", "report"):
            weekend = merged(command, "--from", "2026-06-06", "--to", "2026-06-07")
            assert weekend.code == 0
            assert weekend.stdout.splitlines()[-1] == (
                "no session of NSE has ended from 2026-06-06 to 2026-06-07, so no minute is "
                "missing: `instruments calendar`"
            )
        with_friday = listed(merged, "--from", "2026-06-05", "--to", "2026-06-07")
        assert {each["since"][:10] for each in with_friday} == {"2026-06-05"}


def test_trades_within_a_halt_and_bars_outside_the_session(place: Place) -> None:
    """On 2021-02-24 the calendar halts the exchange from 11:43 on; 15:35 is before it reopens."""
    day = date(2021, 2, 24)
    kite = {minute: (10_000, 10_010, 9_990, 10_005, 7) for minute in (*range(140, 150), 380)}
    kite[150] = (10_005, 10_005, 10_005, 10_005, 0)  # padded: no trade contradicts the calendar
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("kite", kite, day=day), said("vendor", kite, day=day)])
    both = ("--flag", "TRADED_IN_HALT", "--flag", "OUTSIDE")
    found = listed(place, "--day", f"{day}", "--symbol", "NSE:SBIN", *both)
    places = [(each["kind"], each["since"][11:16], each["bars"]) for each in found]
    assert places == [
        ("TRADED_IN_HALT", "11:43", 1),
        ("TRADED_IN_HALT", "11:44", 1),
        ("OUTSIDE", "11:45", 1),
        ("OUTSIDE", "15:35", 1),
    ]
    assert found[0]["detail"].startswith("trading was halted")
    usual = listed(place, "--day", f"{day}", "--symbol", "NSE:SBIN")
    assert {each["kind"] for each in usual} >= {"TRADED_IN_HALT"}
    assert "OUTSIDE" not in {each["kind"] for each in usual}


def test_doubts_have_instrument_day_and_minutes(place: Place) -> None:
    """The same prices in all of a day, and the prices of one source far from the other's."""
    plain = rising(40)
    wave, doubled = ({m: (*(times * price + 5 * m for price in bar[:4]), bar[4])
                      for m, bar in plain.items()} for times in (1, 2))  # fmt: skip
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("kite", plain), said("vendor", doubled)])
        store.merge([said("kite", wave, MANDM)])
        store.merge([said("kite", wave, TCS)])
        store.merge([said("kite", {m: wave[m] for m in range(29)}, NIFTY)])  # few may be alike
    found = listed(place, "--day", "2026-06-01", "--flag", "SAME_PRICES", "--flag", "OTHER_LEVEL")
    assert summed(found) == {
        ("SAME_PRICES", "M&M"): 40,
        ("SAME_PRICES", "TCS"): 40,
        ("OTHER_LEVEL", "SBIN"): 40,
    }
    assert {each["since"][:16] for each in found} == {"2026-06-01T09:15"}
    assert "NSE:TCS has the very prices of NSE:M&M in all 40 minutes" in found[0]["detail"]
    assert "vendor has NSE:SBIN at 2.01 times the prices of kite" in found[-1]["detail"]
    # Another instrument's bars are read for it, and listed for those alone that are asked for.
    one = listed(place, "--day", "2026-06-01", "--symbol", "NSE:TCS", "--flag", "SAME_PRICES")
    assert [each["symbol"] for each in one] == ["NSE:TCS"]
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("vendor", plain)])  # corrected: what was replaced does not count
        store.merge([said("kite", plain, TCS)])
    assert listed(place, "--day", "2026-06-01", "--flag", "OTHER_LEVEL") == []
    assert listed(place, "--day", "2026-06-01", "--flag", "SAME_PRICES") == []


def test_bars_of_days_are_listed_as_such(place: Place) -> None:
    """A conflict between two day bars ends `daily` with 3, so `findings` leads to it."""
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        for number in range(3):
            bar = {0: (10_000, 10_500, 9_900, 10_400, 5_000)}
            other = {0: (10_000, 10_700, 9_900, 10_400, 5_000)}
            day = DAY + timedelta(number)
            pair = (("kite", bar), ("vendor", bar if number == 2 else other))
            store.merge([said(name, one, day=day, interval="d1") for name, one in pair])
    call = ("--from", "2026-06-01", "--to", "2026-06-03", "--flag", "CONFLICT_BROKER_WON")
    (only,) = listed(place, *call)
    assert (only["interval"], only["bars"], only["since"]) == (
        *("d1", 2, "2026-06-01T00:00:00+05:30"),
    )
    shown = place("findings", *call).stdout.splitlines()[0]
    assert shown == "CONFLICT_BROKER_WON  2 days, all of NSE:SBIN, 2026-06-01 to 2026-06-02"
    assert listed(place, *call, "--interval", "m1") == []


def off_tick(symbol: str, days: int) -> Iterator[str]:
    """Lines of the layout bar-end-text, each third bar a paisa above the grid."""
    for number in range(days):
        when = dump_day(number)
        for at in range(375):
            label = datetime(when.year, when.month, when.day, 9, 16) + timedelta(minutes=at)
            more = 1 if at % 3 == 0 and symbol == "PFC" and number < 2 else 0
            ohlc = ",".join(rupees(each + more) for each in prices(at)[:4])
            yield f"{symbol},{label:%Y%m%d},{label:%H:%M},{ohlc},{1_000 + at % 7},0"


def test_one_command_leads_from_a_count_of_the_summary_to_all_of_them(place: Place) -> None:
    tokens = {"PFC": 3660545, "SBIN": 779521}
    rows = [
        Row(name, token, exchange="NSE", expiry=None, strike=None) for name, token in tokens.items()
    ]
    with closing(connect(place.env["POSTGRES_DSN"], application_name="test")) as connection:
        InstrumentStore(connection).record(snapshot(0, rows, ("NSE",)))
    lines = [f"{line}\n" for name in tokens for line in off_tick(name, 3)]
    place.write("feed.txt", "".join(lines))
    members = "".join(f"{token},full,NSE,{name}\n" for name, token in tokens.items())
    place.write("configs/tokens.csv", f"instrument_token,mode,exchange,tradingsymbol\n{members}")
    days = ("--from", f"{dump_day(0)}", "--to", f"{dump_day(2)}")
    done = place("daily", *days, "--no-kite", "--vendor", "feed.txt", "--interval", "m1")
    lines = done.stdout.splitlines()
    assert "flags          OFF_TICK 250" in lines, done.stderr
    (named,) = (line for line in lines if line.startswith("to see which"))
    call = shlex.split(named.partition("hist_merge ")[2].partition(": ")[0])
    shown = place(*call).stdout.splitlines()
    assert shown[0] == "OFF_TICK  250 minutes, all of NSE:PFC, 2026-08-03 to 2026-08-04"


def test_flags_of_whole_bars_in_doubt_end_daily_with_findings(place: Place) -> None:
    """Volumes that never fall, and hours that are not verified; a plain day ends with 0."""
    members = "instrument_token,mode,exchange,tradingsymbol\n779521,full,NSE,SBIN\n"
    place.write("configs/tokens.csv", members)

    def daily(day: date, first: tuple[int, int], rising: bool) -> tuple[int, dict[str, int]]:
        lines = []
        for at in range(375 if first == (9, 15) else 60):
            label = datetime(day.year, day.month, day.day, *first) + timedelta(minutes=at + 1)
            ohlc = ",".join(map(rupees, prices(at)[:4]))
            volume = 1_000 + (at * 3 if rising else at % 7)
            lines.append(f"SBIN,{label:%Y%m%d},{label:%H:%M},{ohlc},{volume},0\n")
        place.write("feed.txt", "".join(lines))
        call = ("--no-kite", "--vendor", "feed.txt", "--interval", "m1", "--json")
        done = place("daily", "--day", f"{day}", *call)
        (summary,) = done.json()
        return done.code, summary["flags"]

    assert daily(date(2024, 1, 2), (9, 15), False) == (0, {})
    assert daily(date(2024, 1, 3), (9, 15), True) == (3, {"CUMULATIVE_VOLUME": 375})
    assert daily(date(2012, 11, 13), (15, 45), False) == (3, {"UNVERIFIED_HOURS": 60})
    call = ("--day", "2012-11-13", "--symbol", "NSE:SBIN")
    assert summed(listed(place, *call)) == {
        ("UNVERIFIED_HOURS", "SBIN"): 60,
        ("UNVERIFIED_DAY", "SBIN"): 375,
    }


def test_nothing_is_reported_as_nothing_and_wrong_kinds_are_refused(merged: Place) -> None:
    none = merged("findings", *SPAN, "--flag", "REVISION_RATIO")
    assert (none.code, none.stdout) == (0, "nothing of REVISION_RATIO\n")
    wrong = merged("findings", *SPAN, "--flag", "ODD")
    assert (wrong.code, "'ODD' is none of OFF_TICK" in wrong.sentence) == (2, True)
