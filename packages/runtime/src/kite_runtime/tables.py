"""Tables that fit the screen without cutting a number or a name.

Rich narrows columns that do not fit until their cells end in an ellipsis, and what was a price is
then lost. Here no word of a cell is cut: a table that is too wide first goes without the columns
that its maker can spare, and says which; one that is still too wide becomes a block of lines for
each row. `kite_runtime.console` does this with every table that is printed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

LONG_WORD: Final = 40
"""A longer word, such as a path or a digest, may go on in the next line of its cell."""
SENTENCE: Final = 20
"""Texts longer than this get so many columns at least: a word a line is no text."""


class SparingTable(Table):
    """A table whose columns ``spare`` are left out where it is too wide, the first named first."""

    def __init__(self, *headers: Column | str, spare: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(*headers, **options)
        self.spare = spare


def make_table(
    *columns: str,
    title: str | None = None,
    right: Collection[str] = (),
    whole: Collection[str] = (),
    spare: tuple[str, ...] = (),
) -> SparingTable:
    """A table with a row of headers. What is too long for a cell is folded, not cut; ``right`` are
    the columns of numbers, ``whole`` those that are never folded."""
    made = SparingTable(title=title, title_justify="left", spare=spare)
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        made.add_column(name, justify=justify, no_wrap=name in whole, overflow="fold")
    return made


def fitted(table: Table, console: Console, options: ConsoleOptions) -> RenderableType:
    """The table as it is where it fits, else narrower, with fewer columns or as blocks."""
    roomy = options.update(width=10**6, max_width=10**6)
    if Measurement.get(console, roomy, table).maximum <= options.max_width or not table.columns:
        return table
    spare = list(table.spare) if isinstance(table, SparingTable) else []
    for count in range(len(spare) + 1):
        left_out = spare[:count]
        columns = [each for each in table.columns if each.header not in left_out]
        narrow = _narrow(table, columns, console, roomy, options.max_width)
        if narrow is not None:
            if left_out:
                narrow.caption = f"not shown at this width: {', '.join(left_out)}"
                narrow.caption_justify = "left"
            return narrow
    return _blocks(table) if table.show_header else table


def _narrow(
    table: Table, columns: list[Column], console: Console, roomy: ConsoleOptions, width: int
) -> Table | None:
    """A table of these columns that is ``width`` wide at most; None where a word would be cut."""
    sizes = [_size(each, table.show_header, console, roomy) for each in columns]
    least = [size.minimum for size in sizes]
    borders = Measurement.get(console, roomy, _of(table, columns, [1] * len(columns))).maximum
    room = width - (borders - len(columns)) - sum(least)
    if room < 0:
        return None
    wanted = [size.maximum - size.minimum for size in sizes]
    share = min(1.0, room / (sum(wanted) or 1))
    return _of(
        table, columns, [low + int(more * share) for low, more in zip(least, wanted, strict=True)]
    )


def _size(column: Column, header: bool, console: Console, roomy: ConsoleOptions) -> Measurement:
    """From the longest word of the column to its longest line."""
    cells = [*([column.header] if header else ()), *column.cells]
    found = [Measurement.get(console, roomy, each) for each in cells]
    most = max((each.maximum for each in found), default=1)
    if column.no_wrap:
        return Measurement(most, most)
    word = max((each.minimum for each in found), default=1)
    least = max(min(word, LONG_WORD), min(most, SENTENCE))
    return Measurement(max(1, least), max(1, most))


def _of(table: Table, columns: list[Column], widths: list[int]) -> Table:
    made = Table(
        title=table.title,
        title_justify=table.title_justify,
        caption=table.caption,
        box=table.box,
        show_header=table.show_header,
        show_edge=table.show_edge,
        show_lines=table.show_lines,
        pad_edge=table.pad_edge,
    )
    for each, width in zip(columns, widths, strict=True):
        made.add_column(
            each.header, justify=each.justify, style=each.style, width=width, overflow="fold"
        )
    cells = zip(*(each.cells for each in columns), strict=True)
    for row, of_row in zip(table.rows, cells, strict=True):
        made.add_row(*of_row, style=row.style, end_section=row.end_section)
    return made


def _blocks(table: Table) -> RenderableType:
    """A line for each value that is there, an empty line after each row; a value that has lines of
    its own stands below its name."""
    made: list[RenderableType] = [Text.from_markup(str(table.title))] if table.title else []
    for number, row in enumerate(zip(*(column.cells for column in table.columns), strict=True)):
        if number:
            made.append("")
        for column, cell in zip(table.columns, row, strict=True):
            if "\n" in str(cell).strip():
                made += [Text(str(column.header), "dim"), cell]
            elif str(cell):
                lines = made[-1] if made and isinstance(made[-1], Table) else _lines()
                lines.add_row(column.header, cell)
                made += [] if made and made[-1] is lines else [lines]
    return Group(*made)


def _lines() -> Table:
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", overflow="fold")
    made.add_column(overflow="fold")
    return made
