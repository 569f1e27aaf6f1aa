"""Frames for tests of vendors' lines: SBIN and INFY are asked for, TCS is known."""

from __future__ import annotations

from kite_bar_history.universe import Listed
from kite_bar_history.vendor_files.input import header_cells, positions_in
from kite_bar_history.vendor_files.layouts import Layout, load_layouts
from kite_bar_history.vendor_files.lines import Frame
from kite_bar_history.vendor_files.values import Clock, Fault, Naming, Roster
from kite_bars_store.bars import BarInstrument

SBIN = Listed(BarInstrument("NSE", "SBIN", 2, 5), "NSE")
INFY = Listed(BarInstrument("NSE", "INFY", 2, 5), "NSE")
LAYOUTS = load_layouts(None)


def roster() -> Roster:
    return Roster((SBIN, INFY))


def frame_of(
    layout: Layout, header: str = "", symbol: str = "", span: tuple[int, int] = (0, 1 << 62)
) -> Frame:
    positions = positions_in(layout, header.encode())
    assert not isinstance(positions, Fault)
    cells = header_cells(header.encode(), layout.delimiter)
    width = len(cells) if layout.header else layout.width
    naming = Naming.of(layout, {"symbol": symbol})
    return Frame(layout, naming, roster(), Clock(layout), positions, width, *span)
