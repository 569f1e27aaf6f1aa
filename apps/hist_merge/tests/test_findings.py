"""`findings`: what the counts of a run are made of, by instrument, day and minute."""

from __future__ import annotations

import json
from datetime import date, datetime

import pytest
from merged_bars import MANDM, bar_store, merge_the_usual, rising, said

from kite_bars_store.bars.findings import KINDS, USUAL, Finding, grouped
from kite_bars_store.bars.records import Flag, Verdict
from kite_runtime.clock import IST
from kite_runtime.testing import Place

SPAN = ("--from", "2026-06-01", "--to", "2026-06-02")


def test_every_flag_and_conflict_is_a_kind() -> None:
    assert {str(flag.name) for flag in Flag} <= set(KINDS)
    assert {verdict.name for verdict in Verdict if verdict.is_conflict} <= set(KINDS)
    assert set(KINDS) > USUAL


def test_findings_are_summed_by_kind_and_instrument() -> None:
    def at(day: int) -> datetime:
        return datetime(2026, 6, day, 9, 15, tzinfo=IST)

    found = [
        Finding("OFF_TICK", "NSE:PFC", at(1), 3),
        Finding("OFF_TICK", "NSE:PFC", at(4), 5),
        Finding("OFF_TICK", "NSE:SBIN", at(2), 1),
        Finding("JUMP", "NSE:PFC", at(2), 1),
    ]
    assert [(each.kind, each.symbol, each.minutes) for each in grouped(found)] == [
        ("OFF_TICK", "NSE:PFC", 8),
        ("OFF_TICK", "NSE:SBIN", 1),
        ("JUMP", "NSE:PFC", 1),
    ]
    (pfc, *_) = grouped(found)
    assert (pfc.first, pfc.last) == (date(2026, 6, 1), date(2026, 6, 4))


@pytest.fixture()
def merged(place: Place) -> Place:
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        merge_the_usual(store)
        off = {minute: (10_001, *bar[1:]) for minute, bar in rising(375).items() if minute < 3}
        store.merge([said("kite", {**rising(375), **off}, MANDM)])
    return place


def test_flags_lead_to_their_instrument_and_minutes(merged: Place) -> None:
    shown = merged("findings", *SPAN, "--flag", "off_tick", "--json")
    assert shown.code == 3
    (only,) = (json.loads(line) for line in shown.stdout.splitlines())
    assert (only["kind"], only["symbol"], only["minutes"]) == ("OFF_TICK", "NSE:M&M", 3)
    assert only["since"] == "2026-06-01T09:15:00+05:30"
    listed = merged("findings", *SPAN, "--flag", "OFF_TICK", "--minutes").stdout
    assert "2026-06-01 09:15" in listed
    summed = merged("findings", *SPAN).stdout
    for word in ("OFF_TICK", "CONFLICT_BROKER_WON", "UNEXPLAINED", "NSE:M&M", "NSE:SBIN"):
        assert word in summed
    assert "FLAT" not in summed


def test_an_instrument_of_the_universe_without_any_bar_is_found(merged: Place) -> None:
    shown = merged("findings", *SPAN, "--flag", "UNEXPLAINED", "--json").stdout
    found = [json.loads(line) for line in shown.splitlines()]
    infy = [each for each in found if each["symbol"] == "NSE:INFY"]
    assert sum(each["minutes"] for each in infy) == 750


def test_nothing_is_reported_as_nothing_and_wrong_kinds_are_refused(merged: Place) -> None:
    none = merged("findings", *SPAN, "--flag", "REVISION_RATIO")
    assert (none.code, none.stdout) == (0, "nothing of REVISION_RATIO\n")
    wrong = merged("findings", *SPAN, "--flag", "ODD")
    assert (wrong.code, "'ODD' is none of OFF_TICK" in wrong.sentence) == (2, True)
    assert merged("findings", "--from", "2020-01-01", "--to", "2020-01-02").code == 1
