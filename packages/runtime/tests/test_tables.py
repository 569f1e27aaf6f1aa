"""Tables at every width: no number and no name is cut."""

from __future__ import annotations

import io
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as RichConsole
from rich.table import Column, Table

from kite_runtime import console
from kite_runtime.tables import LONG_WORD, SparingTable, fitted

WIDTHS = (60, 80, 120, 200)
PRICES = ("open", "high", "low", "close")


def shown(table: Table, width: int) -> str:
    page = io.StringIO()
    plain = RichConsole(file=page, width=width, emoji=False)
    plain.print(fitted(table, plain, plain.options))
    text = page.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    return text


def bars(rows: int = 2) -> SparingTable:
    names = ("time (IST)", "instrument", *PRICES, "volume", "oi", "verdict", "flags")
    table = SparingTable(*names, title="bars", spare=("flags", "oi"))
    for number in range(rows):
        when, name = f"2026-11-18 10:{15 + number}", "NFO:BANKNIFTY26DEC45000PE"
        prices = [f"{1428 + number}.{n}5" for n in range(4)]
        table.add_row(when, name, *prices, "12,345,678", "987,654", "AGREED", "OFF_TICK")
    return table


def test_a_table_that_fits_is_left_alone() -> None:
    table = bars()
    plain = RichConsole(file=io.StringIO(), width=200)
    assert fitted(table, plain, plain.options) is table


def test_what_can_be_spared_goes_first_and_is_named() -> None:
    text = shown(bars(), 120)
    assert "not shown at this width: flags, oi" in text
    assert "OFF_TICK" not in text
    for price in ("1428.05", "1428.15", "1429.35", "12,345,678", "NFO:BANKNIFTY26DEC45000PE"):
        assert price in text


@pytest.mark.parametrize("width", [60, 80])
def test_a_table_that_is_still_too_wide_becomes_a_block_for_each_row(width: int) -> None:
    text = shown(bars(), width)
    assert re.search(r"^open +1428\.05 *$", text, re.M)
    assert re.search(r"^flags +OFF_TICK *$", text, re.M)  # a block has room for all
    assert len(re.findall(r"^instrument", text, re.M)) == 2
    assert "…" not in text


def test_values_that_are_missing_have_no_line_in_a_block() -> None:
    table = Table("a name that is as long as the screen is wide", "second", "third")
    table.add_row("x" * 39, "", "y" * 39)
    assert "second" not in shown(table, 60)


def test_a_value_of_several_lines_stands_below_its_name() -> None:
    table = Table(Column("value: 32 bytes", no_wrap=True), "decoded: packet")
    row = " ".join(["00"] * 16)
    table.add_row(f"0000  {row}  {'.' * 16}\n0010  {row}  {'.' * 16}", "token: 1\nprice: 2")
    lines = [line.strip() for line in shown(table, 80).splitlines()]
    assert lines[0] == "value: 32 bytes"
    assert lines[2] == f"0010  {row}  {'.' * 16}"
    assert lines[3:] == ["decoded: packet", "token: 1", "price: 2"]


def test_texts_are_wrapped_but_not_a_word_a_line() -> None:
    table = Table("id", "message", "note")
    table.add_row("1", "the volume fell from 1200 to 1100 " * 3, "quarantined by a person " * 3)
    lines = shown(table, 60).splitlines()
    assert 5 < len(lines) < 15


def test_a_table_without_a_header_stays_one() -> None:
    table = Table("", "", show_header=False)
    table.add_row("where", "x" * 100)
    assert shown(table, 60).count("x") == 100


WORD = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=24)
CELL = st.lists(WORD, max_size=4).map(" ".join)


@given(st.data(), st.integers(1, 12), st.sampled_from(WIDTHS))
def test_no_word_is_ever_cut(data: st.DataObject, columns: int, width: int) -> None:
    table = Table(*(f"column{n}" for n in range(columns)))
    rows = data.draw(st.lists(st.lists(CELL, min_size=columns, max_size=columns), max_size=3))
    for row in rows:
        table.add_row(*row)
    words = re.findall(r"\w+", shown(table, width))
    for word in (each for row in rows for cell in row for each in cell.split()):
        assert len(word) < LONG_WORD
        assert word in words


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_the_consoles_print_tables_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    monkeypatch.setattr(sys, name, page)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delattr(console, name, raising=False)
    getattr(console, name).print(bars())
    vars(console).pop(name)
    assert re.search(r"^open +1428\.05 *$", page.getvalue(), re.M)
