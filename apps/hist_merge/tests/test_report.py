"""`report`: the page from data alone, and the command on the real Postgres."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest
from merged_bars import DAY, MANDM, bar_store, merge_the_usual, quiet_calendar, rising, said, when

from kite_bars_store.bars import (
    Conflict,
    Field,
    Flag,
    ObservedBar,
    RestatedStretch,
    Verdict,
    load_rules,
)
from kite_bars_store.bars.carried_opens import CarriedOpens
from kite_bars_store.bars.findings import Group
from kite_bars_store.bars.missing.missing import Held, Watched, days_between, explain
from kite_bars_store.report import Report, render
from kite_bars_store.report.gather import closed_days
from kite_bars_store.report.heatmap import ROWS_MAX, chart, class_names, heatmap, percent
from kite_bars_store.stores import Days
from kite_contracts.sessions.model import MINUTE_NS, midnight_ns
from kite_runtime.testing import Place

VOID = {"meta", "br", "link", "img"}
OPTIONAL = {"li", "tr", "th", "td"}


class Checked(HTMLParser):
    """Every element that must be closed is, in order; nothing comes from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe")
        assert not {"src", "href", "style"} & {name for name, _ in attrs}
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID | OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(page: str) -> str:
    """The text of a page that is as it should be."""
    parser = Checked()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert "http" not in page.replace("http-equiv", "")
    return " ".join(parser.text)


def report_of(names: list[str], days: int, there: range = range(555, 930)) -> Report:
    """Every instrument has the minutes ``there`` of each day, but the first one no bar."""
    watched = [Watched(name, "NSE") for name in names]
    span = days_between(DAY, DAY + timedelta(days - 1))
    count = len(names) - 1
    instrument = np.repeat(np.arange(1, len(names)), len(there))

    def held(day: date) -> Held:
        if day.weekday() >= 5:
            return Held(*(np.zeros(0, np.int64),) * 2, np.zeros(0, np.int8), np.zeros(0, np.bool_))
        opens = np.tile(midnight_ns(day) + np.array(there) * MINUTE_NS, count)
        size = len(opens)
        return Held(instrument, opens, np.ones(size, np.int8), np.ones(size, np.bool_))

    missing = explain(watched, span, held, [], quiet_calendar())
    conflicts = np.zeros(missing.present.shape, np.int64)
    conflicts[1, 0] = 1
    said_so = ObservedBar("kite", 10_015, 10_100, 10_005, 10_095, 120, None, 2)
    other = ObservedBar("vendor", 10_015, 10_025, 10_005, 10_020, 120, None, 2)
    won = Verdict.CONFLICT_BROKER_WON
    differs = Field.HIGH | Field.CLOSE
    exchange, symbol = names[1].split(":")
    return Report(
        missing=missing,
        bars=missing.present.astype(np.int64),
        conflicts=conflicts,
        verdicts={Verdict.BROKER_ONLY: int(missing.present.sum()) - 1, won: 1},
        flags={Flag.JUMP: 2},
        sizes=[(5, 0, 1)],
        largest=[
            Conflict(
                *(1, when(3), won, differs, said_so, other),
                *(Decimal("0.05"), Decimal("74.3"), Decimal(0)),
            )
        ],
        findings=[Group("NO_BARS", names[0], "m1", 375 * days, span[0], span[-1])],
        opens=CarriedOpens(),
        revisions=[
            RestatedStretch(
                *(7, exchange, symbol, "kite", 1, when(0), when(9), 10, Decimal("0.5")),
                *(when(20), None, None, None),
            )
        ],
        closed={},
        rules=load_rules(),
    )


def test_a_page_of_one_file_that_says_it_all() -> None:
    report = report_of(["NSE:GONE", "NSE:M&M", "NSE:<b>"], 3)
    page = render(report)
    text = checked(page)
    for part in (
        *("Golden bars", "NSE:<b>", "NO_BARS", "CONFLICT_BROKER_WON", "JUMP"),
        "hist_merge findings --from 2026-06-01 --to 2026-06-03 --minutes",
        "hist_merge show 'NSE:M&M' 2026-06-01T09:18",
        "hist_merge accept 7 'NSE:M&M' --note ''",
        "kite against vendor: high 101.00 against 100.25 (15 ticks, 74.3 bps); close 100.95",
        "2026-06-01 09:15",
    ):
        assert part in text
    assert render(report_of(["NSE:GONE", "NSE:M&M", "NSE:<b>"], 3)) == page


def test_nothing_odd_is_said_so() -> None:
    report = report_of(["NSE:A", "NSE:B"], 1)
    quiet = Report(
        **{
            **vars(report),
            "conflicts": report.conflicts * 0,
            "findings": [],
            "revisions": [],
            "flags": {},
            "largest": [],
        }
    )
    text = checked(render(quiet))
    assert "No two sources differ" in text
    assert "No bar has a flag" in text
    assert (report.has_findings, quiet.has_findings) == (True, False)


def test_five_hundred_instruments_and_sixty_days_are_a_small_page() -> None:
    names = [f"NSE:S{number:04}" for number in range(520)]
    report = report_of(names, 60, range(555, 900))
    page = render(report)
    assert len(page) < 6_000_000
    assert "20 more instruments have no row" in page
    shown = heatmap(report)
    assert (len(shown.rows), shown.left_out) == (ROWS_MAX, 20)
    assert shown.rows[0].symbol == "NSE:S0000"  # lacks most
    assert [row.symbol for row in shown.rows] == sorted(row.symbol for row in shown.rows)


@pytest.mark.parametrize(
    ("there", "colour", "number"),
    [
        (range(555, 930), "g0", "100"),
        (range(555, 929), "g0", "99"),  # one minute: nothing was traded
        (range(555, 927), "g1", "99"),
        (range(555, 900), "g2", "92"),
        (range(555, 700), "g3", "38"),
    ],
)
def test_colours_tell_what_lacks(there: range, colour: str, number: str) -> None:
    report = report_of(["NSE:GONE", "NSE:THERE"], 6, there)
    gone, row = heatmap(report).rows
    assert (gone.cells[0].colour, gone.cells[0].number) == ("g4", "0")
    assert (row.cells[0].colour, row.cells[0].number) == (colour, number)
    assert len(row.cells) == 5  # Saturday has no column


def test_numbers_are_cut_off_and_classes_named() -> None:
    assert percent(374, 375) == "99"
    assert class_names([100, 250], 100) == ["none", "< 1", "1–2.5", "≥ 2.5"]  # noqa: RUF001
    made = chart("t", "u", ["a", "b", "c"], [0, 1, 1_000], 90)
    assert [column.height for column in made.columns] == [0, 1, 130]


def test_a_day_without_session_tells_why() -> None:
    days = Days(date(2026, 6, 6), date(2026, 6, 8))
    closed = closed_days(quiet_calendar(), ["NSE:A", "MCX:B"], days)
    assert list(closed) == [date(2026, 6, 6), date(2026, 6, 7)]
    assert closed_days(quiet_calendar(), ["GLOBAL:A"], days) == {}


def test_the_command_writes_the_page(place: Place) -> None:
    span = ("--from", "2026-06-01", "--to", "2026-06-02")
    with bar_store(place.env["POSTGRES_DSN"]) as (store, _):
        merge_the_usual(store)
        store.merge([said("kite", rising(375), MANDM)])
    done = place("report", *span)
    assert done.code == 3
    # SBIN has 55 minutes of one day and none of the other, M&M one day, INFY of tokens.csv none.
    assert done.stdout == (
        "report.html: 430 bars of 3 instruments; 1,820 minutes are missing (1,820 unexplained), "
        "2 conflicts, 0 revisions wait\n"
    )
    text = checked(place.read("report.html"))
    assert "hist_merge show NSE:SBIN 2026-06-01T09:18" in text
    rows = place.read("report.html").partition("Findings by instrument")[2].partition("</tbody>")[0]
    cells = [each.split("<td")[1:] for each in rows.split("<tr>")[2:]]
    assert [[one.partition(">")[2].strip() for one in each] for each in cells] == [
        ["<code>CONFLICT_BROKER_WON</code>", "NSE:SBIN", "2", "2026-06-01", "2026-06-01"],
        ["<code>UNEXPLAINED</code>", "NSE:SBIN", "320", "2026-06-01", "2026-06-01"],
        ["<code>NO_BARS</code>", "NSE:INFY", "750", "2026-06-01", "2026-06-02"],
        ["<code>NO_BARS</code>", "NSE:M&amp;M", "375", "2026-06-02", "2026-06-02"],
        ["<code>NO_BARS</code>", "NSE:SBIN", "375", "2026-06-02", "2026-06-02"],
    ]
    again = place("report", *span, "--out", "again/page.html")
    assert again.code == 3
    assert place.read("again/page.html") == place.read("report.html")
    one = place("report", *span, "--symbols", "NSE:M&M", "--out", "one.html")
    assert "375 bars of 1 instruments; 375 minutes are missing" in one.stdout
    assert "did you mean NSE:SBIN" in place("report", *span, "--symbols", "NSE:SBINN").sentence
    place.write("taken", "")
    assert place("report", *span, "--out", "taken/page.html").code == 78
    assert place("report", "--from", "2026-06-02", "--to", "2026-06-01").code == 2
