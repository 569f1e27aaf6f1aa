"""`show`: who said what of a bar, and why the golden one is as it is."""

from __future__ import annotations

from decimal import Decimal
from html import unescape
from itertools import accumulate
from typing import Any

import pytest
from merged_bars import MANDM, NIFTY, bar_store, carrying, merge_the_usual, rising, said

from kite_bar_history.universe import near, symbol_of
from kite_bars_store.bars import BarInstrument, Flag, Limits, ObservedBar, Verdict
from kite_bars_store.bars.explain import FLAGS, MEANINGS, differences
from kite_runtime.errors import NotFound
from kite_runtime.testing import Place

NAMES = ["CDS:USDINR26JUNFUT", "NSE:M&M", "NSE:NIFTY 50", "NSE:SBIN", "BSE:SBIN", "NSE:SBICARD"]
TCS = BarInstrument("NSE", "TCS", 2, 5)
LIMITS = Limits(price_ticks=1, price_bps=1, volume_units=0, volume_bps=100, jump_bps=2000)


@pytest.fixture()
def merged(place: Place) -> Place:
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        merge_the_usual(store)
        store.merge([said("kite", rising(3), MANDM)])
        store.merge([said("kite", rising(3), NIFTY)])
    return place


def shown(place: Place, *arguments: str) -> dict[str, Any]:
    done = place("show", *arguments, "--json")
    assert (done.code, done.stderr) == (0, "")
    (document,) = done.json()
    found: dict[str, Any] = document
    return found


def test_a_conflict_is_explained(merged: Place) -> None:
    told = shown(merged, "NSE:SBIN", "2026-06-01T09:18")
    assert told["golden"]["verdict"] == "CONFLICT_BROKER_WON"
    (sentence,) = told["why"]
    assert sentence == (
        "kite differs from vendor in high 101.00 against 100.25 (15 ticks, 74.3 bps); close 100.95 "
        "against 100.20 (15 ticks, 74.3 bps); volume 120 against 104 (1333.3 bps), which is more "
        "than price_ticks = 1 or price_bps = 1, volume_units = 0 or volume_bps = 100; kite won, "
        "because precedence is kite, vendor, live"
    )
    sources = {each["source"]: each for each in told["observations"]}
    assert [sources[name]["status"] for name in ("kite", "vendor")] == ["golden", "compared"]
    assert (sources["vendor"]["file"], sources["kite"]["file"]) == ("SBIN.csv", None)
    assert (sources["vendor"]["close"], sources["kite"]["close"]) == ("100.20", "100.95")
    assert [each["ts_open"][11:16] for each in told["around"]] == [
        *("09:16", "09:17", "09:18", "09:19", "09:20"),
    ]


def test_each_verdict_has_its_sentence(merged: Place) -> None:
    agreed = shown(merged, "sbin", "2026-06-01 09:16")
    assert agreed["why"] == ["kite and vendor say the same"]
    within = shown(merged, "NSE:SBIN", "2026-06-01T09:20")
    assert (
        "close 100.30 against 100.35 (1 tick, 5.0 bps), which is within price_ticks = 1"
        in (within["why"][0])
    )
    alone = shown(merged, "NSE:SBIN", "2026-06-01T04:16Z")  # 09:46 in India
    assert alone["why"] == ["only kite has it, so nothing could be compared"]
    gone = shown(merged, "NSE:SBIN", "2026-06-01T09:42")
    assert (gone["golden"], gone["observations"]) == (None, [])
    assert gone["why"][0].startswith("no source has it: the segment trades then")
    closed = shown(merged, "NSE:SBIN", "2026-06-01T16:00")
    assert closed["why"] == ["no source has it: post-close closed at 16:00 on 2026-06-01"]


@pytest.mark.parametrize("whole_day", [False, True])
def test_a_replaced_volume_is_explained(merged: Place, whole_day: bool) -> None:
    """By the one minute that is the day so far, or by a day whose volumes never fall."""
    vendor = rising(20)
    totals = list(accumulate(bar[4] for bar in vendor.values()))
    kite = {n: (*bar[:4], totals[n]) for n, bar in vendor.items() if whole_day or n == 15}
    with bar_store(merged.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("kite", {**vendor, **kite}, TCS), said("vendor", vendor, TCS)])
    told = shown(merged, "NSE:TCS", "2026-06-01T09:30")
    assert told["golden"]["verdict"] == "VOLUME_REPLACED"
    assert told["golden"]["volume"] == vendor[15][4]
    assert told["golden"]["from_other"] == ["volume"]
    assert told["why"][0].startswith(f"kite differs from vendor in volume {totals[15]} against")
    assert told["why"][1] == (
        "from vendor: volume (that of kite is the day's so far: with all before it, the one of "
        "vendor makes it up, or its volumes never fall on that day)"
    )


def test_an_open_that_is_carried_is_said(place: Place) -> None:
    kite, vendor = carrying(60)
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("kite", kite), said("vendor", vendor)])
    setting = '`[field] open = ["kite", "live", "vendor"]` in merge.toml takes the other\'s'
    lines = shown(place, "NSE:SBIN", "2026-06-01T09:22")["why"]
    assert lines[1:] == [
        "the open of vendor is its own previous close, as are 59 of the 59 that differ on this "
        f"day: {setting}"
    ]
    assert len(shown(place, "NSE:SBIN", "2026-06-01T09:15")["why"]) == 1  # has none before it
    page = place("report", "--from", "2026-06-01", "--to", "2026-06-01", "--out", "r.html")
    text = unescape((place.folder / "r.html").read_text())
    assert f"opens that differ are vendor's own previous close: {setting}" in text, page.stderr


def test_the_previous_close_is_that_of_the_bar_before(place: Place) -> None:
    """Of a stock that trades each third minute; a few opens are no habit, and name no setting."""
    kite, vendor = (
        {3 * minute: bar for minute, bar in bars.items() if minute < 19} for bars in carrying(60)
    )
    kite[60] = vendor[60] = (10_000, 10_100, 9_900, 10_000, 9)
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("kite", kite), said("vendor", vendor)])
    stated = "the open of vendor is its own previous close, as are 18 of the 18 that differ on this"
    assert shown(place, "NSE:SBIN", "2026-06-01T09:33")["why"][1:] == [f"{stated} day"]
    assert len(shown(place, "NSE:SBIN", "2026-06-01T10:15")["why"]) == 1  # the opens are equal
    # What was recorded later is not shown as of a time before.
    then = ("--as-of", "2026-06-01T00:00")
    assert len(shown(place, "NSE:SBIN", "2026-06-01T09:33", *then)["why"]) == 1


def test_what_was_known_then(merged: Place) -> None:
    with bar_store(merged.env["POSTGRES_DSN"]) as (store, connection):
        row = connection.execute("SELECT max(recorded_at) FROM bar_batch").fetchone()
        assert row is not None
        corrected = rising(1)
        corrected[0] = (10_000, 10_010, 9_990, 10_000, 100)
        store.merge([said("kite", corrected)])
    now = shown(merged, "NSE:SBIN", "2026-06-01T09:15")
    assert [each["status"] for each in now["observations"]] == ["replaced", "compared", "golden"]
    assert now["golden"]["close"] == "100.00"
    assert now["why"][1].startswith("kite had other values before")
    then = shown(merged, "NSE:SBIN", "2026-06-01T09:15", "--as-of", row[0].isoformat())
    assert then["golden"]["close"] == "100.05"
    assert len(then["observations"]) == 2


def test_a_table_for_people(merged: Place) -> None:
    done = merged("show", "NSE:M&M", "2026-06-01T09:15")
    assert done.code == 0
    for part in ("NSE:M&M", "BROKER_ONLY", "observations", "golden bars around it", "100.05"):
        assert part in done.stdout
    assert shown(merged, "nifty 50", "2026-06-01T09:15:30")["symbol"] == "NSE:NIFTY 50"


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_no_width_cuts_a_price(merged: Place, columns: str) -> None:
    done = merged("show", "NSE:SBIN", "2026-06-01T09:15", COLUMNS=columns)
    told = shown(merged, "NSE:SBIN", "2026-06-01T09:15")
    for each in told["observations"]:
        for name in ("open", "high", "low", "close"):
            assert each[name] in done.stdout.split()
        assert f"{each['volume']:,}" in done.stdout.split()
    assert "…" not in done.stdout


def test_unknown_symbols_and_times(merged: Place) -> None:
    done = merged("show", "NSE:SBINN", "2026-06-01T09:15")
    assert (done.code, done.sentence) == (
        *(1, "no bars of NSE:SBINN were ever merged: did you mean NSE:SBIN?"),
    )
    assert merged("show", "NSE:SBIN", "yesterday").code == 2
    assert merged("show", "NSE:SBIN", "2026-06-01", "--interval", "m5").code == 2


def test_a_day(merged: Place) -> None:
    with bar_store(merged.env["POSTGRES_DSN"]) as (store, _):
        store.merge([said("kite", {0: (10_000, 10_500, 9_900, 10_400, 5_000)}, interval="d1")])
    told = shown(merged, "NSE:SBIN", "2026-06-01", "--interval", "d1")
    assert (told["golden"]["close"], told["interval"]) == ("104.00", "d1")
    sunday = shown(merged, "NSE:SBIN", "2026-05-31", "--interval", "d1")
    assert "does not trade on weekends" in sunday["why"][0]


def test_symbols_as_people_type_them() -> None:
    assert symbol_of(" nse:m&m ", NAMES) == "NSE:M&M"
    assert symbol_of("NIFTY 50", NAMES) == "NSE:NIFTY 50"
    with pytest.raises(NotFound, match="on several exchanges: name one of NSE:SBIN, BSE:SBIN"):
        symbol_of("SBIN", NAMES)
    assert near("NSE:SBI", NAMES) == ["NSE:SBICARD", "NSE:SBIN", "BSE:SBIN"]
    with pytest.raises(NotFound, match="no bars were merged yet"):
        symbol_of("NSE:SBIN", [])
    with pytest.raises(NotFound, match="`report` lists"):
        symbol_of("NSE:ZZZZZZ", NAMES)


def test_differences_are_exact_and_at_one_scale() -> None:
    won = ObservedBar("kite", 830_000, 831_000, 829_000, 830_050, 5, None, 4)
    other = ObservedBar("vendor", 8_300, 8_310, 8_290, 8_300, 5, 7, 2)
    (found,) = differences(won, other, Decimal("0.0025"), LIMITS)
    assert (found.field, found.ticks, found.is_beyond) == ("close", Decimal(2), False)
    assert str(found) == "close 83.0050 against 83.00 (2 ticks, 0.6 bps)"


def test_every_verdict_and_flag_is_told() -> None:
    assert set(FLAGS) == set(Flag)
    assert set(MEANINGS) == set(Verdict)
